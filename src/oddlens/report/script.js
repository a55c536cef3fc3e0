"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const root = document.documentElement;
  const gallery = $("gallery");
  const cards = [...gallery.children];
  const viewer = $("viewer");
  const chips = [...document.querySelectorAll("[data-filter]")];
  let filter = "all";
  let current = null;

  const visible = () => [...gallery.children].filter((card) => !card.hidden);
  const matches = (card, words) =>
    (filter === "all" || card.dataset.verdict === filter || card.dataset.error === filter) &&
    words.every((word) => card.dataset.name.includes(word));

  function apply() {
    const words = $("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const card of cards) {
      card.hidden = !matches(card, words);
      count += !card.hidden;
    }
    $("empty").hidden = count > 0;
  }

  function order(by) {
    const score = (card) => Number(card.dataset.score);
    const compare = {
      down: null,
      up: (a, b) => score(a) - score(b),
      name: (a, b) => a.dataset.name.localeCompare(b.dataset.name, undefined, { numeric: true }),
    }[by];
    gallery.append(...(compare ? [...cards].sort(compare) : cards));
  }

  function show(card) {
    current = card;
    const list = visible();
    $("view").replaceChildren(
      card.querySelector(".frame").cloneNode(true),
      card.querySelector(".facts").cloneNode(true),
    );
    $("place").textContent = `${list.indexOf(card) + 1} of ${list.length}`;
    if (!viewer.open) viewer.showModal();
  }

  function move(step) {
    const list = visible();
    show(list[(list.indexOf(current) + step + list.length) % list.length]);
  }

  // Arrow keys walk through the gallery as it is laid out, row by row.
  function walk(event) {
    const card = event.target.closest(".card");
    if (!card) return;
    const list = visible();
    const top = list[0].offsetTop;
    const columns = list.findIndex((other) => other.offsetTop > top);
    const row = columns < 0 ? list.length : columns;
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -row, ArrowDown: row };
    const goal = list[list.indexOf(card) + (steps[event.key] ?? NaN)];
    if (!goal) return;
    event.preventDefault();
    goal.querySelector(".open").focus();
  }

  for (const chip of chips) {
    chip.addEventListener("click", () => {
      filter = chip.dataset.filter;
      for (const other of chips) other.setAttribute("aria-pressed", String(other === chip));
      apply();
    });
  }
  $("search").addEventListener("input", apply);
  $("order").addEventListener("change", (event) => order(event.target.value));
  const heat = () => root.style.setProperty("--heat", $("heat").value / 100);
  $("heat")?.addEventListener("input", heat);
  for (const id of ["found", "truth"]) {
    const box = $(id);
    const set = () => root.classList.toggle(`no-${id}`, !box.checked);
    box?.addEventListener("change", set);
  }
  gallery.addEventListener("click", (event) => {
    const button = event.target.closest(".open");
    if (button) show(button.closest(".card"));
  });
  gallery.addEventListener("keydown", walk);
  $("back").addEventListener("click", () => move(-1));
  $("next").addEventListener("click", () => move(1));
  $("close").addEventListener("click", () => viewer.close());
  viewer.addEventListener("click", (event) => event.target === viewer && viewer.close());
  viewer.addEventListener("close", () => current?.querySelector(".open").focus());
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    if (viewer.open) {
      if (event.key === "ArrowLeft") move(-1);
      if (event.key === "ArrowRight") move(1);
    } else if (event.key === "/" && !typing) {
      event.preventDefault();
      $("search").focus();
    }
  });
  // Browsers keep the state of forms over a reload; follow it.
  apply();
  order($("order").value);
  if ($("heat")) heat();
})();
