/**
 * Heat maps, painted here from their values, so that they follow the false-alarm rate at once.
 *
 * The colours are those of the service's own pictures (`maps=png`, oddlens/serving/heat.py) at the same
 * rate; a test holds both together. Level 1/2 is the pixel threshold: below it a cool haze, above it fire.
 */

// (level, red, green, blue, opacity), as in oddlens/report/heat.py.
const STOPS = [
  [0.0, 64, 78, 190, 0.0],
  [0.28, 64, 78, 190, 0.0],
  [0.46, 92, 60, 180, 0.26],
  [0.5, 176, 24, 96, 0.5],
  [0.62, 226, 44, 48, 0.74],
  [0.8, 252, 134, 22, 0.86],
  [1.0, 255, 240, 150, 0.94],
];
const REACHES = 8; // the hot end lies as many times as far from the usual as the threshold

/** The 256 colours, four bytes each: red, green, blue, opacity. */
export function palette() {
  const bytes = new Uint8ClampedArray(4 * 256); // which rounds halves to even
  for (let index = 0; index < 256; index += 1) {
    const level = Math.min(1, index * (1 / 255));
    const after = Math.max(1, STOPS.findIndex(([at]) => at >= level));
    const [low, high] = [STOPS[after - 1], STOPS[after]];
    for (let band = 1; band <= 4; band += 1) {
      const slope = (high[band] - low[band]) / (high[0] - low[0]);
      const value = slope * (level - low[0]) + low[band]; // in this order, as numpy rounds
      bytes[4 * index + band - 1] = band === 4 ? 255 * value : value;
    }
  }
  return bytes;
}

const COLOURS = new Uint32Array(palette().buffer); // a colour at a time

/** What each of the 65,536 codes of a 16-bit float stands for. */
export const VALUES = Float32Array.from({ length: 2 ** 16 }, (_, code) => {
  const [exponent, fraction] = [(code >> 10) & 31, code & 1023];
  if (exponent === 31) return NaN; // the service sends no infinity
  const size = exponent ? (1024 + fraction) * 2 ** (exponent - 25) : fraction * 2 ** -24;
  return code >> 15 ? -size : size;
});

const MOST = 512; // rows or columns that are kept: two bytes a pixel, for hundreds of images

/**
 * A map of the service, `{width, height, data}` in base64, as `{width, height, codes}`: 16-bit floats.
 *
 * A larger one is made smaller by the greatest value of each block, so that what is odd anywhere stays.
 */
export function read({ width, height, data }) {
  const text = atob(data);
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at += 1) bytes[at] = text.charCodeAt(at);
  const codes = new Uint16Array(bytes.buffer); // little-endian, as browsers' machines are
  const side = Math.ceil(Math.max(width, height) / MOST);
  return side > 1 ? peaks({ width, height, codes }, side) : { width, height, codes };
}

function peaks(map, side) {
  const [width, height] = [Math.ceil(map.width / side), Math.ceil(map.height / side)];
  const codes = new Uint16Array(width * height);
  for (let row = 0; row < map.height; row += 1) {
    for (let column = 0; column < map.width; column += 1) {
      const code = map.codes[row * map.width + column];
      const at = Math.floor(row / side) * width + Math.floor(column / side);
      const isFirst = row % side === 0 && column % side === 0;
      if (isFirst || VALUES[code] > VALUES[codes[at]]) codes[at] = code;
    }
  }
  return { width, height, codes };
}

/** The colour of each code at a threshold: many maps are painted at one. */
let painting = { threshold: null, colours: null };
function coloursAt(threshold) {
  if (painting.threshold === threshold) return painting.colours;
  const calm = Math.min(0, threshold - 1);
  const reach = threshold - calm;
  const colours = new Uint32Array(VALUES.length);
  for (let code = 0; code < colours.length; code += 1) {
    const relative = (VALUES[code] - calm) / reach;
    const level = relative <= 1 ? 0.5 * relative : 0.5 + (0.5 * Math.log(relative)) / Math.log(REACHES);
    colours[code] = COLOURS[Math.round(255 * Math.min(1, Math.max(0, level)))];
  }
  painting = { threshold, colours };
  return colours;
}

/** The pixels of a map, four bytes each. @param threshold of pixels, in the unit of the values. */
export function painted(codes, threshold) {
  const colours = coloursAt(threshold);
  const pixels = new Uint32Array(codes.length);
  for (let at = 0; at < codes.length; at += 1) pixels[at] = colours[codes[at]];
  return new Uint8ClampedArray(pixels.buffer);
}

/** Paints a map on a canvas, unless it shows just this already. */
export function paint(canvas, map, threshold) {
  if (canvas.dataset.threshold === String(threshold)) return;
  canvas.width = map.width;
  canvas.height = map.height;
  const image = new ImageData(painted(map.codes, threshold), map.width, map.height);
  canvas.getContext("2d").putImageData(image, 0, 0);
  canvas.dataset.threshold = String(threshold);
}
