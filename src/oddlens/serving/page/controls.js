/** The sliders, and the numbers that follow from them. */

import { atMostPercent } from "./words.js";

const $ = (id) => document.getElementById(id);

/** The slider of the false-alarm rate. */
export function rateControl(album) {
  const slider = $("rate");
  slider.addEventListener("input", () => album.choose(Number(slider.value)));
  const show = () => {
    const count = album.model.held_out + 1;
    slider.max = album.ranks.length - 1;
    slider.value = album.place;
    slider.disabled = album.ranks.length === 1;
    const share = atMostPercent(album.rate);
    $("rate-share").textContent = share;
    slider.setAttribute("aria-valuetext", share);
    $("rate-words").textContent =
      `Flags at most ${album.rank} in ${count.toLocaleString("en")} normal images, judged by ` +
      `${album.model.held_out.toLocaleString("en")} held out.` +
      (album.place === 0 ? " A lower rate needs more of them." : "");
    $("heat-words").textContent =
      `Red: what at most ${album.rank} in ${count.toLocaleString("en")} normal images show anywhere. ` +
      "It moves with the rate; the verdict goes by the score.";
  };
  album.addEventListener("model", show);
  album.addEventListener("rate", show);
}

/** The sliders of the heat map's opacity: one setting, in the page and in the enlarged view. */
export function heatControl() {
  const sliders = [$("heat"), $("view-heat")];
  const set = (value) => {
    document.documentElement.style.setProperty("--heat", String(value / 100));
    for (const slider of sliders) {
      slider.value = value;
      slider.setAttribute("aria-valuetext", `${value}%`);
    }
    $("heat-share").textContent = `${value}%`;
  };
  for (const slider of sliders) slider.addEventListener("input", () => set(Number(slider.value)));
  set(Number(sliders[0].value));
}

/** The choice of a model, where several are served. */
export function modelControl(album, used) {
  const select = $("model");
  let models = [];
  select.addEventListener("change", () => {
    album.use(models[select.selectedIndex]);
    used();
  });
  album.addEventListener("model", () => {
    const { name, method, image_sizes: sizes, localizes } = album.model;
    const parts = [method, `looks at ${sizes.join(" and ")} px`];
    if (models.length === 1) parts.unshift(name);
    if (!localizes) parts.push("no heat maps");
    $("model-about").textContent = parts.join(" · ");
    $("heat-control").hidden = !localizes;
    select.value = name;
  });
  return (answer) => {
    models = answer.models;
    select.replaceChildren(...models.map(({ name }) => new Option(name, name)));
    $("model-choice").hidden = models.length < 2;
    const before = album.model?.name;
    album.use(
      models.find(({ name }) => name === before) ?? models.find(({ name }) => name === answer.default) ?? models[0],
    );
  };
}
