/** The gallery: a card for each image. */

import { cool, fill, heat, writeName } from "./picture.js";
import { preview } from "./previews.js";
import { pText, scoreText } from "./words.js";

const BADGES = { waiting: "waiting", failed: "failed", flagged: "flagged", passed: "not flagged" };

/** Cards in a list; one of them is in the tab order, and arrow keys go to the others. */
export class Gallery {
  #album;
  #list;
  #template;
  #cards = new Map();
  #images = new WeakMap();
  #shown = [];
  #current = null;
  #sight;
  #inSight = new Set();
  #painting = null;

  /** @param open called with the image whose card was chosen. */
  constructor(album, list, template, open) {
    this.#album = album;
    this.#list = list;
    this.#template = template;
    this.#sight = new IntersectionObserver((changes) => this.#seen(changes), { rootMargin: "400px" });
    list.addEventListener("click", (event) => {
      const card = event.target.closest(".open")?.closest(".card");
      if (card) open(this.#images.get(card));
    });
    list.addEventListener("focusin", (event) => this.#rove(this.#images.get(event.target.closest(".card"))));
    list.addEventListener("keydown", (event) => this.#walk(event));
  }

  /** The images shown, in order. */
  get shown() {
    return this.#shown;
  }

  /** Shows these images, in this order; what has the focus keeps it. */
  arrange(images) {
    const focused = this.#list.contains(document.activeElement) ? document.activeElement : null;
    this.#shown = images;
    let next = this.#list.firstElementChild;
    for (const image of images) {
      const card = this.#cards.get(image) ?? this.#make(image);
      if (card === next) next = next.nextElementSibling;
      else this.#list.insertBefore(card, next);
    }
    while (next) {
      const gone = next;
      next = next.nextElementSibling;
      gone.remove();
    }
    // Whoever comes from elsewhere begins with the first.
    if (!focused || !images.includes(this.#current)) this.#rove(images[0] ?? null);
    if (focused && document.activeElement !== focused) {
      if (focused.isConnected) focused.focus({ preventScroll: true });
      else this.focus(this.#current);
    }
  }

  /** Writes anew what is said of an image. */
  update(image) {
    const card = this.#cards.get(image);
    if (!card) return;
    this.judge(image);
    const answer = this.#album.answer(image);
    const cue = card.querySelector(".cue");
    cue.textContent = answer?.strongest_cue ?? "";
    cue.title = answer?.strongest_cue ? "the cue that stands out most" : "";
    card.querySelector(".numbers").textContent = answer ? numbers(answer) : "";
    this.#label(image, card);
    if (card.dataset.drawn) this.#draw(image, card);
  }

  /** Writes the verdict anew, nothing else: cheap, for every step of a slider. */
  judge(image) {
    const card = this.#cards.get(image);
    if (!card) return;
    const verdict = this.#album.verdict(image);
    if (card.dataset.verdict === verdict) return;
    card.dataset.verdict = verdict;
    card.querySelector(".badge").textContent = BADGES[verdict];
    this.#label(image, card);
  }

  /** Paints heat maps for the rate that is chosen now: those in sight, others when they come. */
  repaint() {
    this.#painting ??= requestAnimationFrame(() => {
      this.#painting = null;
      for (const card of this.#inSight) this.#heat(card);
    });
  }

  #heat(card) {
    const answer = this.#album.answer(this.#images.get(card));
    heat(card.querySelector(".stack"), answer, this.#album.pixelThreshold);
  }

  #label(image, card) {
    const said = [image.name, BADGES[card.dataset.verdict], card.querySelector(".numbers").textContent];
    card.querySelector(".open").setAttribute("aria-label", `${said.filter(Boolean).join(", ")}, enlarge`);
  }

  /** Forgets the cards of images that are gone. */
  drop(images) {
    for (const image of images) {
      const card = this.#cards.get(image);
      if (!card) continue;
      this.#sight.unobserve(card);
      this.#inSight.delete(card);
      card.remove();
      this.#cards.delete(image);
    }
  }

  focus(image) {
    this.#button(image)?.focus();
  }

  #button(image) {
    return this.#cards.get(image)?.querySelector(".open");
  }

  #make(image) {
    const card = this.#template.content.firstElementChild.cloneNode(true);
    writeName(card.querySelector(".name"), image.name);
    this.#cards.set(image, card);
    this.#images.set(card, image);
    this.update(image);
    this.#sight.observe(card);
    return card;
  }

  #seen(changes) {
    for (const { isIntersecting, target } of changes) {
      if (isIntersecting) this.#appears(target);
      else {
        this.#inSight.delete(target);
        cool(target.querySelector(".stack"));
      }
    }
  }

  #appears(card) {
    this.#inSight.add(card);
    if (card.dataset.drawn) this.#heat(card);
    else {
      card.dataset.drawn = "yes";
      this.#draw(this.#images.get(card), card);
    }
  }

  async #draw(image, card) {
    const url = await preview(image);
    fill(card.querySelector(".stack"), url, this.#album.answer(image));
    // A heat map takes memory: only what is in sight has one.
    if (this.#inSight.has(card)) this.#heat(card);
  }

  #rove(image) {
    const [before, now] = [this.#button(this.#current), this.#button(image)];
    if (before) before.tabIndex = -1;
    if (now) now.tabIndex = 0;
    this.#current = image;
  }

  #walk(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const cards = [...this.#list.children];
    const at = this.#shown.indexOf(this.#current);
    const below = cards.findIndex((card) => card.offsetTop > cards[0].offsetTop);
    const row = below < 0 ? cards.length : below;
    const goals = {
      ArrowLeft: at - 1,
      ArrowRight: at + 1,
      ArrowUp: at - row,
      ArrowDown: at + row,
      Home: 0,
      End: cards.length - 1,
    };
    const goal = this.#shown[goals[event.key]];
    if (event.key in goals) event.preventDefault();
    if (goal) this.focus(goal);
  }
}

function numbers({ error, score, p_value: p }) {
  return error ? error.message : `score ${scoreText(score)} · p ${pText(p)}`;
}
