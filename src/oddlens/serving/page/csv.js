/** The scores as CSV, with the columns of `oddlens score`. */

/** A field; a name that a spreadsheet would take for a formula gets ./ before it, the same path. */
function field(value) {
  const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `./${value}` : String(value ?? "");
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/**
 * One line an image: path, score, p_value, is_anomaly, cue.<name>...; and error where one failed.
 *
 * @param rows `{name, flagged, answer}`, answered, in the order to write.
 * @param cues the names of the cues.
 */
export function toCsv(rows, cues) {
  const failed = rows.some(({ answer }) => answer.error);
  const head = ["path", "score", "p_value", "is_anomaly", ...cues.map((cue) => `cue.${cue}`)];
  const lines = rows.map(({ name, flagged, answer: { error, score, p_value: p, cues: found } }) => [
    ...(error ? [name, "", "", ""] : [name, score, p, flagged]),
    ...cues.map((cue) => found?.[cue]),
    ...(failed ? [error?.message] : []),
  ]);
  const all = [failed ? [...head, "error"] : head, ...lines];
  return `${all.map((line) => line.map(field).join(",")).join("\n")}\n`;
}

/** Hands a text to the user as a file. */
export function download(text, fileName) {
  const url = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = fileName;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
