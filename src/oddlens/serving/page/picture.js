/** An image with its heat map on it, and its name. */

import { paint } from "./heat.js";

/**
 * Puts image and heat map into a stack.
 *
 * @param stack the element. @param url of the image, or null where there is none to show.
 * @param answer of the service, or undefined. @param threshold of the heat map's pixels, or null.
 */
export function fill(stack, url, answer, threshold) {
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
  if (answer?.map) layers.push(heat(answer.map, threshold));
  if (answer?.width) shape(stack, answer.width, answer.height);
  stack.replaceChildren(...layers);
}

/** Paints the heat map of a stack anew, where it has one. */
export function reheat(stack, answer, threshold) {
  const canvas = stack.querySelector(".heat");
  if (canvas && answer?.map) paint(canvas, answer.map, threshold);
}

function heat(map, threshold) {
  const canvas = document.createElement("canvas");
  canvas.className = "heat";
  canvas.setAttribute("aria-hidden", "true");
  paint(canvas, map, threshold);
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
