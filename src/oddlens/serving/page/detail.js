/** One image enlarged, with all that is known of it. */

import { fill, heat, writeName } from "./picture.js";
import { atMostPercent, pText, scoreText, standingText } from "./words.js";

const $ = (id) => document.getElementById(id);
const BADGES = { waiting: "waiting", failed: "failed", flagged: "flagged", passed: "not flagged" };

/** The dialog: arrow keys go to the next image, Escape closes it. */
export class Detail {
  #album;
  #gallery;
  #dialog = $("viewer");
  #image = null;
  #url = null;

  constructor(album, gallery) {
    this.#album = album;
    this.#gallery = gallery;
    $("back").addEventListener("click", () => this.#step(-1));
    $("next").addEventListener("click", () => this.#step(1));
    $("close").addEventListener("click", () => this.#dialog.close());
    this.#dialog.addEventListener("click", (event) => event.target === this.#dialog && this.#dialog.close());
    this.#dialog.addEventListener("close", () => this.#closed());
    this.#dialog.addEventListener("keydown", (event) => {
      if (event.target.matches("input[type=range]")) return;
      if (event.key === "ArrowLeft") this.#step(-1);
      if (event.key === "ArrowRight") this.#step(1);
    });
  }

  /** Shows an image. */
  open(image) {
    this.#image = image;
    this.#release();
    this.#url = URL.createObjectURL(image.file);
    this.update(image);
    if (!this.#dialog.open) this.#dialog.showModal();
  }

  /** Shows what is new, if it is of the image that is shown. */
  update(image) {
    if (image !== this.#image) return;
    const answer = this.#album.answer(image);
    const verdict = this.#album.verdict(image);
    const shown = this.#gallery.shown;
    $("view-place").textContent = `${shown.indexOf(image) + 1} of ${shown.length}`;
    writeName($("view-name"), image.name);
    $("view-badge").textContent = BADGES[verdict];
    this.#dialog.dataset.verdict = verdict;
    $("view-why").textContent = this.#why(verdict, answer);
    $("view-heat-control").hidden = !answer?.map;
    const stack = document.createElement("span");
    stack.className = "stack";
    fill(stack, this.#url, answer);
    heat(stack, answer, this.#album.pixelThreshold);
    $("view-frame").replaceChildren(stack);
    this.#numbers(answer);
    this.#cues(answer);
  }

  #why(verdict, answer) {
    if (verdict === "waiting") return "Not scored yet.";
    if (verdict === "failed") return answer.error.message;
    const among = this.#album.model.held_out;
    const k = Math.round(answer.p_value * (among + 1)) - 1;
    const of = `the ${among.toLocaleString("en")} held-out normal images`;
    const reach = { 0: `None of ${of} scores`, 1: `1 of ${of} scores` }[k] ?? `${k.toLocaleString("en")} of ${of} score`;
    return `${reach} as high.`;
  }

  #numbers(answer) {
    const rows = !answer || answer.error ? [] : [
      ["score", scoreText(answer.score)],
      ["p-value", pText(answer.p_value)],
      ["flagged up to p", pText(this.#album.rate)],
      ["false alarms, at most", atMostPercent(this.#album.rate)],
      ["size", `${answer.width} × ${answer.height}`],
    ];
    $("view-numbers").replaceChildren(...rows.map(([term, value]) => pair(term, value)));
  }

  #cues(answer) {
    const names = Object.keys(answer?.cues ?? {});
    $("view-cues-part").hidden = !names.length;
    const { standings } = answer ?? {};
    if (standings) names.sort((a, b) => standings[b] - standings[a]);
    const most = Math.max(3, ...Object.values(standings ?? {}));
    $("view-cues").replaceChildren(
      ...names.map((name) => cueRow(name, answer.cues[name], standings?.[name], most, name === answer.strongest_cue)),
    );
    $("view-unit").textContent = unit(standings, this.#album.model);
  }

  #step(by) {
    const { shown } = this.#gallery;
    if (shown.length) this.open(shown[(shown.indexOf(this.#image) + by + shown.length) % shown.length]);
  }

  #release() {
    if (this.#url) URL.revokeObjectURL(this.#url);
    this.#url = null;
  }

  #closed() {
    const image = this.#image;
    this.#image = null;
    this.#release();
    $("view-frame").replaceChildren();
    this.#gallery.focus(image);
  }
}

function unit(standings, model) {
  if (!standings) return "The model file does not say how the cues compare: raw values.";
  if (model.method === "ensemble") return "How rare each member's score is among normal images: \u2212log\u2081\u2080 p.";
  return "In standard deviations above the mean of held-out normal images.";
}

function pair(term, value) {
  const row = document.createElement("div");
  for (const [tag, text] of [["dt", term], ["dd", value]]) {
    const cell = document.createElement(tag);
    cell.textContent = text;
    row.append(cell);
  }
  return row;
}

function cueRow(name, raw, standing, most, strongest) {
  const row = document.createElement("tr");
  row.classList.toggle("strongest", strongest);
  const head = document.createElement("th");
  head.scope = "row";
  head.textContent = name;
  const bar = document.createElement("td");
  bar.className = "bar";
  if (standing !== undefined) {
    const fillBar = document.createElement("i");
    fillBar.style.width = `${100 * Math.min(1, Math.max(0, standing / most))}%`;
    bar.append(fillBar);
  }
  const value = document.createElement("td");
  value.textContent = standing === undefined ? scoreText(raw) : standingText(standing);
  value.title = `raw: ${scoreText(raw)}`;
  row.append(head, bar, value);
  return row;
}
