/** What is going on: the progress bar, messages, and what a screen reader is told. */

import { plural, waitText } from "./words.js";

const $ = (id) => document.getElementById(id);
const SPEAK_EVERY = 4000; // ms: a screen reader must be able to finish a sentence
const PAUSED = { stopped: "Go on", halted: "Try again" };

/** Shows how far the sender is. */
export class Progress {
  #album;
  #sender;
  #began = null;
  #timer = null;
  #tick = null;
  #spoken = 0;

  constructor(album, sender) {
    this.#album = album;
    this.#sender = sender;
    for (const type of ["added", "answered", "cleared", "model"]) album.addEventListener(type, () => this.#soon());
    sender.addEventListener("state", () => this.#soon());
    $("stop").addEventListener("click", () => (PAUSED[sender.state] ? sender.resume() : sender.stop()));
    $("notice-close").addEventListener("click", () => this.dismiss());
  }

  /** Tells a screen reader. */
  say(text) {
    $("live").textContent = text;
  }

  /**
   * Shows a message on top of the page.
   *
   * @param bad whether something is wrong. @param action a button's words. @param act what it does.
   */
  notice(text, { bad = false, action = "", act = null } = {}) {
    $("notice").classList.toggle("bad", bad);
    $("notice").hidden = false;
    $("notice-text").textContent = text;
    $("notice-action").hidden = !action;
    $("notice-action").textContent = action;
    $("notice-action").onclick = () => {
      this.dismiss();
      act();
    };
  }

  /** What was wrong is over. */
  dismissBad() {
    if ($("notice").classList.contains("bad")) this.dismiss();
  }

  dismiss() {
    $("notice").hidden = true;
  }

  #soon() {
    this.#timer ??= requestAnimationFrame(() => {
      this.#timer = null;
      this.#show();
    });
  }

  /** Counts down while the service is busy. */
  #soonAgain() {
    this.#tick ??= setTimeout(() => {
      this.#tick = null;
      this.#soon();
    }, 1000);
  }

  #show() {
    const counts = this.#album.counts();
    const { state } = this.#sender;
    const done = counts.all - counts.waiting;
    $("progress").hidden = counts.waiting === 0;
    $("progress-bar").max = Math.max(1, counts.all);
    $("progress-bar").value = done;
    $("stop").textContent = PAUSED[state] ?? "Stop";
    if (counts.waiting === 0) this.#finished(counts);
    else this.#going(done, counts, state);
  }

  #going(done, counts, state) {
    this.#began ??= { at: Date.now(), done };
    const busy = Math.max(0, (this.#sender.until - Date.now()) / 1000);
    if (state === "waiting") this.#soonAgain();
    const words = {
      stopped: "stopped",
      halted: "the service could not go on",
      waiting: `the service is busy, going on in ${waitText(busy)}`,
    }[state];
    const text = `${done.toLocaleString("en")} of ${plural(counts.all, "image")} scored`;
    $("progress-text").textContent = `${text} · ${words ?? this.#left(done, counts.waiting)}`;
    if (Date.now() - this.#spoken > SPEAK_EVERY) {
      this.#spoken = Date.now();
      this.say(words ? `${text}, ${words}.` : `${text}, ${counts.flagged} flagged.`);
    }
  }

  #left(done, waiting) {
    const speed = (done - this.#began.done) / Math.max(1, Date.now() - this.#began.at);
    return speed > 0 ? `about ${waitText(waiting / speed / 1000)} left` : "working";
  }

  #finished(counts) {
    if (!this.#began) return;
    this.#began = null;
    this.#spoken = 0;
    const failed = counts.failed ? `, ${counts.failed} failed` : "";
    this.say(`All ${plural(counts.all, "image")} done: ${counts.flagged} flagged${failed}.`);
  }
}
