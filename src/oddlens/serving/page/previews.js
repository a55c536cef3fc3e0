/** Small pictures of the images, made when they come into view and not before. */

const WIDTH = 480;
const SMALL_FILE = 300_000; // bytes; such a file is its own preview
const AT_ONCE = 2;

const urls = new Map();
const queue = [];
let busy = 0;

/** The URL of an image's preview, or null where this browser cannot show its format. */
export function preview(image) {
  if (!urls.has(image)) {
    const made = new Promise((resolve) => queue.push({ image, resolve }));
    urls.set(image, made);
    work();
  }
  return urls.get(image);
}

/** Gives back the memory of images that are gone. */
export async function forget(images) {
  for (const image of images) {
    const url = await urls.get(image);
    urls.delete(image);
    if (url) URL.revokeObjectURL(url);
  }
}

async function work() {
  if (busy >= AT_ONCE) return;
  busy += 1;
  for (let next = queue.shift(); next; next = queue.shift()) next.resolve(await made(next.image.file));
  busy -= 1;
}

async function made(file) {
  if (file.size <= SMALL_FILE) return URL.createObjectURL(file);
  try {
    // Decoded and scaled away from the page's own thread.
    const bitmap = await createImageBitmap(file, { resizeWidth: WIDTH, resizeQuality: "medium" });
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
    // Not by transferFromImageBitmap: in Chromium that forgets how a camera was held (EXIF).
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
    bitmap.close();
    return URL.createObjectURL(await canvas.convertToBlob({ type: "image/jpeg", quality: 0.85 }));
  } catch {
    return null;
  }
}
