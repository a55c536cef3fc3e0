/** An image with its heat map on it, and its name. */

import { paint } from "./heat.js";

/**
 * Puts an image into a stack; without its heat map.
 *
 * @param stack the element. @param url of the image, or null where there is none to show.
 * @param answer of the service, or undefined.
 */
export function fill(stack, url, answer) {
  const layers = [];
  const absent = document.createElement("span");
  absent.className = "absent";
  if (url) {
    const photo = layer("photo", url);
    photo.addEventListener("load", () => shape(stack, photo.naturalWidth, photo.naturalHeight));
    photo.addEventListener("error", () => photo.replaceWith(absent));
    layers.push(photo);
  } else layers.push(absent);
  absent.textContent = answer?.error ? "no image" : "This browser cannot show the format";
  if (answer?.width) shape(stack, answer.width, answer.height);
  stack.replaceChildren(...layers);
}

/** Paints the heat map of a stack, where there is one. @param threshold of its pixels, or null. */
export function heat(stack, answer, threshold) {
  if (!answer?.map) return;
  const canvas = stack.querySelector(".heat") ?? layHeat(stack);
  paint(canvas, answer.map, threshold);
}

/** Takes the heat map of a stack away, and gives its memory back. */
export function cool(stack) {
  const canvas = stack.querySelector(".heat");
  if (!canvas) return;
  canvas.width = canvas.height = 0; // at once, and not when the browser comes to it
  canvas.remove();
}

function layHeat(stack) {
  const canvas = document.createElement("canvas");
  canvas.className = "heat";
  canvas.setAttribute("aria-hidden", "true");
  stack.append(canvas);
  return canvas;
}

/** The stack has the proportions of the image, so that the map lies on it exactly. */
function shape(stack, width, height) {
  stack.style.aspectRatio = `${width} / ${height}`;
  stack.style.setProperty("--ratio", String(width / height));
  stack.classList.toggle("tall", height > width);
}

function layer(name, url) {
  const image = new Image();
  image.className = name;
  image.alt = "";
  image.decoding = "async";
  image.draggable = false;
  image.src = url;
  return image;
}

/** Writes a file's name, its folders apart; as text, whatever it holds. */
export function writeName(element, name) {
  const slash = name.lastIndexOf("/") + 1;
  const folder = document.createElement("span");
  folder.textContent = name.slice(0, slash);
  element.replaceChildren(...(slash ? [folder] : []), name.slice(slash));
  element.title = name;
}
