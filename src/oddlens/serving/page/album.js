/** The images of the page, what each model says of them, and the verdict at the chosen rate. */

import { placeOfRate, rankOf } from "./rates.js";

/**
 * Tells of its changes by events: "added", "answered" (detail: the image), "cleared", "model", "rate".
 *
 * An image is `{id, name, file, answers}`; its answers are results of the service by model name, or
 * `{error: {code, message}}`.
 */
export class Album extends EventTarget {
  images = [];
  model = null;
  ranks = [1];
  place = 0;
  #wanted = null;
  #nextId = 0;

  add(entries) {
    const added = entries.map(({ name, file }) => ({ id: this.#nextId++, name, file, answers: new Map() }));
    this.images.push(...added);
    this.#tell("added", added);
  }

  clear() {
    const gone = this.images;
    this.images = [];
    this.#tell("cleared", gone);
  }

  /** Asks another model; the images that it has not seen are waiting then. */
  use(model) {
    this.model = model;
    this.ranks = model.ranks;
    this.place = placeOfRate(this.#wanted ?? model.false_alarm_rate, model.held_out, this.ranks);
    this.#tell("model");
  }

  /** Chooses a false-alarm rate by its place among those that the model can guarantee. */
  choose(place) {
    this.place = place;
    this.#wanted = this.rate;
    this.#tell("rate");
  }

  /** The greatest rank among the held-out images that is flagged: k of k/(n+1). */
  get rank() {
    return this.ranks[this.place];
  }

  /** The false-alarm rate that is guaranteed. */
  get rate() {
    return this.rank / (this.model.held_out + 1);
  }

  /** Of the pixels of heat maps, at this rate; null for a model without maps. */
  get pixelThreshold() {
    return this.model?.pixel_thresholds?.[this.place] ?? null;
  }

  answer(image) {
    return this.model && image.answers.get(this.model.name);
  }

  setAnswer(image, modelName, answer) {
    image.answers.set(modelName, answer);
    if (modelName === this.model.name) this.#tell("answered", image);
  }

  /** Forgets what the present model has said. */
  forgetAnswers() {
    for (const image of this.images) image.answers.delete(this.model.name);
  }

  /** Forgets failures, so that these images are sent again. */
  forgetFailures() {
    const failed = this.images.filter((image) => this.verdict(image) === "failed");
    for (const image of failed) image.answers.delete(this.model.name);
    for (const image of failed) this.#tell("answered", image);
  }

  /** "waiting", "failed", "flagged" or "passed". */
  verdict(image) {
    const answer = this.answer(image);
    if (!answer) return "waiting";
    if (answer.error) return "failed";
    return rankOf(answer.p_value, this.model.held_out) <= this.rank ? "flagged" : "passed";
  }

  counts() {
    const counts = { all: this.images.length, waiting: 0, failed: 0, flagged: 0, passed: 0 };
    for (const image of this.images) counts[this.verdict(image)] += 1;
    return counts;
  }

  /**
   * The images to show, in order; those without a score come last.
   *
   * @param filter a verdict or "all". @param words all of them must be in the name, in lower case.
   * @param order "odd", "usual", "name" or "added".
   */
  arranged({ filter, words, order }) {
    const shown = this.images.filter(
      (image) =>
        (filter === "all" || this.verdict(image) === filter) &&
        words.every((word) => image.name.toLowerCase().includes(word)),
    );
    const score = (image) => this.answer(image)?.score ?? null;
    const byScore = (sign) => (a, b) => {
      const [one, other] = [score(a), score(b)];
      if (one === null || other === null) return (one === null) - (other === null);
      return sign * (one - other);
    };
    const compare = {
      odd: byScore(-1),
      usual: byScore(1),
      name: (a, b) => NAMES.compare(a.name, b.name),
      added: () => 0,
    }[order];
    return shown.sort(compare);
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

const NAMES = new Intl.Collator(undefined, { numeric: true });
