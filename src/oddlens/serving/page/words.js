/** Numbers and errors in words. */

const MINUS = "\u2212";

/** A score or cue in four significant digits. */
export function scoreText(value) {
  if (!Number.isFinite(value)) return "not a number";
  const size = Math.abs(value);
  const text = size !== 0 && (size < 1e-3 || size >= 1e5) ? value.toExponential(2) : value.toPrecision(4);
  return text.replaceAll("-", MINUS);
}

/** How far out a cue lies: one decimal, none where it is far. */
export function standingText(value) {
  const size = Math.abs(value);
  const text = size >= 1e5 ? value.toExponential(1) : value.toFixed(size < 100 ? 1 : 0);
  return text.replaceAll("-", MINUS);
}

/** A p-value in three significant digits. */
export function pText(value) {
  return value < 1e-3 ? value.toExponential(1).replaceAll("-", MINUS) : String(Number(value.toPrecision(3)));
}

/** A bound in [0, 1] as a percentage in three significant digits, never rounded down. */
export function atMostPercent(share) {
  const digits = Math.max(0, 2 - Math.floor(Math.log10(100 * share)));
  const factor = 10 ** digits;
  return `${Math.ceil(Number((100 * share * factor).toFixed(6))) / factor}%`;
}

/** A count with its noun: 1 image, 1,200 images. */
export function plural(count, word) {
  return `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
}

/** A rough time to wait. */
export function waitText(seconds) {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  return `${Math.round(seconds / 60)} min`;
}

/** Bytes in megabytes. */
export function megabytes(bytes) {
  return `${(bytes / 2 ** 20).toFixed(1).replace(/\.0$/, "")} MiB`;
}

/** The first letter as a capital, and a full stop: clauses of the service as sentences. */
export function sentence(clause) {
  const text = clause.trim();
  return text ? text[0].toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".") : "";
}
