/** Sends what waits in small batches, and goes on by itself where the service is busy. */

import { Trouble, score } from "./api.js";
import { megabytes, sentence } from "./words.js";

const LANES = 2; // one request is scored while the next travels
const BATCH = 8;
const BATCH_BYTES = 8 * 2 ** 20;
const TRIES = 3;
const LONGEST_WAIT = 60;
const OF_THE_SERVICE = new Set([401, 403, 404, 421]); // no token, no such model: no image's fault

/**
 * Events: "state" after every change of `state`, which is "idle", "sending", "waiting" (the service
 * is busy; `until` says to when), "stopped" (by the user) or "halted" (`trouble` says why); "replaced"
 * when the service has another model of that name by now.
 */
export class Sender extends EventTarget {
  state = "idle";
  until = 0;
  trouble = null;
  #album;
  #limits;
  #inFlight = new Set();
  #lanes = 0;
  #abort = new AbortController();
  #most = BATCH;
  #tries = new Map();

  constructor(album) {
    super();
    this.#album = album;
  }

  /** Takes the service's limits: `{max_files, max_body_bytes, max_image_bytes}`. */
  set limits(limits) {
    this.#limits = limits;
    this.#most = this.#usual;
  }

  get #usual() {
    return Math.min(BATCH, this.#limits.max_files);
  }

  /** Sends whatever waits, unless the user has stopped it. */
  start() {
    if (this.state === "stopped" || this.state === "halted" || !this.#album.model) return;
    while (this.#lanes < LANES && this.#waiting()) this.#lane();
  }

  /** Goes on after a stop or a halt. */
  resume() {
    this.#set("idle");
    this.start();
  }

  /** Ends what is on its way; the images wait. */
  stop() {
    this.#end();
    this.#set("stopped");
  }

  /** Ends what is on its way and begins anew: other images, or another model. */
  restart() {
    this.#end();
    this.#tries.clear();
    this.#most = this.#usual;
    this.#set("idle");
    this.start();
  }

  #end() {
    this.#abort.abort();
    this.#abort = new AbortController();
    this.#inFlight.clear();
  }

  #set(state) {
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }

  #waiting() {
    return this.#album.images.find((image) => this.#isWaiting(image));
  }

  #isWaiting(image) {
    return !this.#album.answer(image) && !this.#inFlight.has(image);
  }

  async #lane() {
    const { signal } = this.#abort;
    this.#lanes += 1;
    try {
      while (!signal.aborted) {
        const batch = this.#take();
        if (!batch.length) break;
        this.#set("sending");
        await this.#send(batch, signal);
      }
    } finally {
      this.#lanes -= 1;
    }
    if (signal.aborted) this.start(); // this lane was of an earlier beginning
    else if (!this.#lanes && (this.state === "sending" || this.state === "waiting")) this.#set("idle");
  }

  /** The next batch: few images, few bytes, at least one image. What is too large fails here. */
  #take() {
    if (this.state === "stopped" || this.state === "halted") return [];
    const batch = [];
    let bytes = 0;
    const bound = Math.min(BATCH_BYTES, this.#limits.max_body_bytes * 0.9);
    for (const image of this.#album.images) {
      if (batch.length >= this.#most) break;
      if (!this.#isWaiting(image)) continue;
      if (image.file.size > this.#limits.max_image_bytes) {
        this.#fail(image, "too_many_bytes", this.#tooLarge(image));
        continue;
      }
      if (batch.length && bytes + image.file.size > bound) break;
      batch.push(image);
      bytes += image.file.size;
    }
    for (const image of batch) this.#inFlight.add(image);
    return batch;
  }

  #tooLarge({ file }) {
    const most = megabytes(this.#limits.max_image_bytes);
    return `The file has ${megabytes(file.size)}, and this service takes ${most} at most.`;
  }

  async #send(batch, signal) {
    const { name: model, sha256 } = this.#album.model;
    const readable = await this.#readable(batch);
    try {
      if (!readable.length) return;
      const answer = await score(model, readable.map(({ file }) => file), signal);
      if (signal.aborted) return;
      if (answer.model.sha256 !== sha256) this.dispatchEvent(new Event("replaced"));
      else for (const result of answer.results) this.#note(readable[result.index], model, result);
    } catch (error) {
      if (!signal.aborted) await this.#handle(error, readable, signal);
    } finally {
      if (!signal.aborted) for (const image of batch) this.#inFlight.delete(image);
    }
  }

  /** Files can vanish or change after they were chosen; one such would end the whole request. */
  async #readable(batch) {
    const checks = batch.map(async (image) => {
      try {
        await image.file.slice(0, 1).arrayBuffer();
        return true;
      } catch {
        this.#fail(image, "gone", "The file cannot be read any more. Was it moved or changed?");
        return false;
      }
    });
    const found = await Promise.all(checks);
    return batch.filter((_, index) => found[index]);
  }

  #note(image, model, result) {
    const { error } = result;
    if (error) this.#fail(image, error.code, aboutFile(error.message), model);
    else this.#album.setAnswer(image, model, result);
  }

  #fail(image, code, message, model = this.#album.model.name) {
    this.#album.setAnswer(image, model, { error: { code, message } });
  }

  /** After this the images of the batch have an answer, or wait for another try. */
  async #handle(error, batch, signal) {
    if (!(error instanceof Trouble)) {
      // A bug of this page must not be lost, nor repeated for ever.
      console.error(error);
      for (const image of batch) this.#fail(image, "page", "The page failed on this image.");
    } else if (OF_THE_SERVICE.has(error.status)) this.#halt(error);
    else if (error.status === 429) await this.#pause(error.retryAfter ?? 2, signal);
    else if (error.status === 0 || error.status >= 500) await this.#again(error, batch, signal);
    else if (batch.length > 1) {
      // The fault may be one image's, or that there are too many: smaller batches tell.
      this.#most = error.status === 413 || error.status === 408 ? Math.ceil(batch.length / 2) : 1;
    } else this.#fail(batch[0], error.code, aboutFile(error.message));
  }

  async #again(error, batch, signal) {
    const tries = Math.max(...batch.map((image) => (this.#tries.get(image) ?? 0) + 1));
    for (const image of batch) this.#tries.set(image, tries);
    if (tries < TRIES) await this.#pause(error.retryAfter ?? tries, signal);
    else if (error.status === 0 || error.status === 503 || error.status === 502) this.#halt(error);
    else if (batch.length > 1) this.#most = 1;
    else this.#fail(batch[0], error.code, sentence(error.message));
  }

  #halt(error) {
    this.#tries.clear();
    this.#end();
    this.trouble = error;
    this.#set("halted");
  }

  async #pause(seconds, signal) {
    const wait = Math.min(Math.max(seconds, 0.1), LONGEST_WAIT) * 1000;
    this.until = Math.max(this.until, Date.now() + wait);
    this.#set("waiting");
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, wait);
      signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
    });
  }
}

/** The service says "is empty (0 bytes)" of a file; here a sentence. */
function aboutFile(message) {
  return sentence(/^(is|has|holds|cannot|does|was) /.test(message) ? `the file ${message}` : message);
}
