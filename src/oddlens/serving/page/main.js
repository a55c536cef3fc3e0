/** The page: what its parts tell each other. */

import { Album } from "./album.js";
import { models, token } from "./api.js";
import { askForToken } from "./ask.js";
import { heatControl, modelControl, rateControl } from "./controls.js";
import { download, toCsv } from "./csv.js";
import { Detail } from "./detail.js";
import { Gallery } from "./gallery.js";
import { listen } from "./intake.js";
import { forget } from "./previews.js";
import { Progress } from "./progress.js";
import { Sender } from "./sender.js";
import { plural } from "./words.js";

const $ = (id) => document.getElementById(id);
const ARRANGE_EVERY = 200; // ms, while answers come in

const album = new Album();
const sender = new Sender(album);
const gallery = new Gallery(album, $("gallery"), $("card"), (image) => detail.open(image));
const detail = new Detail(album, gallery);
const progress = new Progress(album, sender);
const chips = [...document.querySelectorAll("[data-filter]")];
let filter = "all";

heatControl();
rateControl(album);
const offer = modelControl(album, () => sender.restart());

function arrange() {
  const words = $("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  gallery.arrange(album.arranged({ filter, words, order: $("order").value }));
  $("none").hidden = gallery.shown.length > 0 || album.images.length === 0;
}

/** Runs at most once in a while, and once after the last call. */
function soon(work, delay) {
  let timer = null;
  return () => {
    timer ??= setTimeout(() => {
      timer = null;
      work();
    }, delay);
  };
}

function count() {
  const counts = album.counts();
  const scored = counts.flagged + counts.passed;
  document.body.classList.toggle("empty", counts.all === 0);
  for (const chip of chips) chip.querySelector("b").textContent = counts[chip.dataset.filter].toLocaleString("en");
  for (const name of ["flagged", "passed", "failed"]) $(`count-${name}`).textContent = counts[name].toLocaleString("en");
  $("tile-failed").hidden = $("retry").hidden = counts.failed === 0;
  chips.at(-1).hidden = counts.failed === 0 && filter !== "failed";
  $("download").disabled = scored + counts.failed === 0;
}

function refresh() {
  count();
  arrange();
}
const refreshSoon = soon(refresh, ARRANGE_EVERY);

album.addEventListener("added", () => {
  refresh();
  sender.start();
});
album.addEventListener("answered", ({ detail: image }) => {
  gallery.update(image);
  detail.update(image);
  if (album.counts().waiting) refreshSoon();
  else refresh();
});
album.addEventListener("rate", () => {
  for (const image of album.images) gallery.judge(image);
  gallery.repaint();
  count();
  if (filter !== "all") arrange();
});
album.addEventListener("model", () => {
  for (const image of album.images) gallery.update(image);
  refresh();
});
album.addEventListener("cleared", ({ detail: gone }) => {
  gallery.drop(gone);
  forget(gone);
  refresh();
});

for (const chip of chips) {
  chip.addEventListener("click", () => {
    filter = chip.dataset.filter;
    for (const other of chips) other.setAttribute("aria-pressed", String(other === chip));
    arrange();
  });
}
$("search").addEventListener("input", arrange);
$("order").addEventListener("change", arrange);
$("retry").addEventListener("click", () => {
  album.forgetFailures();
  sender.resume();
});
$("clear").addEventListener("click", () => {
  album.clear();
  sender.restart();
  $("pick-files").focus();
});
$("download").addEventListener("click", () => {
  const rows = gallery.shown
    .filter((image) => album.answer(image))
    .map((image) => ({ name: image.name, flagged: album.verdict(image) === "flagged", answer: album.answer(image) }));
  download(toCsv(rows, album.model.cues), `${album.model.name}-scores.csv`);
  progress.say(`${plural(rows.length, "line")} written to a CSV file.`);
});
$("sign-out").addEventListener("click", () => {
  token.forget();
  $("sign-out").hidden = true;
  progress.say("The token is forgotten.");
});

listen((entries, leftOut) => {
  progress.dismiss();
  if (leftOut) progress.notice(`${plural(leftOut, "file")} in the folder ${leftOut === 1 ? "is no image and was" : "are no images and were"} left out.`);
  album.add(entries);
  if (sender.state === "halted") sender.resume();
  if (!album.model) begin();
});

sender.addEventListener("state", () => {
  if (sender.state !== "halted") {
    progress.dismissBad();
    return;
  }
  const { trouble } = sender;
  recover(trouble, trouble.code === "no_such_model" ? begin : () => sender.resume());
});

/** After a failure of the service itself: a token is asked for, or the user says when to try again. */
async function recover(trouble, again) {
  if (trouble.status !== 401) {
    progress.notice(trouble.message, { bad: true, action: "Try again", act: again });
    return;
  }
  const why = token.get() ? "The token was refused. Please give it again." : null;
  if (await askForToken(why)) {
    $("sign-out").hidden = false;
    progress.dismiss();
    if (album.model) again();
    else await begin();
  } else progress.notice("Nothing can be scored without a token.", { bad: true, action: "Give a token", act: again });
}

sender.addEventListener("replaced", () => {
  sender.stop();
  album.forgetAnswers();
  progress.notice("The service has a new model of this name. All images are scored anew.");
  begin();
});

let beginning = false;
async function begin() {
  if (beginning) return;
  beginning = true;
  try {
    const answer = await models();
    sender.limits = answer.limits;
    offer(answer);
    $("sign-out").hidden = !token.get();
    sender.resume();
  } catch (trouble) {
    beginning = false;
    await recover(trouble, begin);
  } finally {
    beginning = false;
  }
}

count();
await begin();
