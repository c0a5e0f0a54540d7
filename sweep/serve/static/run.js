// A run's page: its curve among its rivals', and what changes while it trains.

import { shortNumber } from "/static/axes.js";
import { Curves, controls } from "/static/curves.js";
import { copyButtons, prune } from "/static/dialogs.js";
import { ask, latest, paced } from "/static/request.js";

const page = document.getElementById("run");
const { curves: address, api, previous, next } = page.dataset;
const number = Number(page.dataset.number);
const study = page.dataset.address;
const canvas = document.getElementById("curves");

const curves = new Curves(canvas, { onOpen: (other) => location.assign(`${study}/runs/${other}`), colour });
const chart = controls(curves, () => load());
curves.front = curves.whole = new Set([number]);
if (["fail", "pruned"].includes(page.dataset.state) && !Number(page.dataset.epoch)) curves.empty = "It ended before its first epoch";
const unfinished = ["running", "waiting", "paused"];
const all = document.getElementById("all-epochs");
all.addEventListener("change", () => measure(page.dataset));

// A pruned run is shown until twice the epochs that it had, so that one sees why.
function measure({ threshold, measured, rivals, epoch, state }) {
  curves.threshold = threshold ? { ...curves.threshold, value: Number(threshold), epoch: Number(measured) } : null;
  document.getElementById("limit").hidden = !threshold;
  const of = rivals ? ` (${rivals} other run${rivals === "1" ? "" : "s"})` : "";
  document.getElementById("limit-said").textContent = threshold ? `threshold ${shortNumber(Number(threshold))} at epoch ${measured}${of}` : "";
  all.parentElement.hidden = state !== "pruned";
  curves.upTo = state === "pruned" && !all.checked ? Math.max(4, 2 * Number(epoch)) : null;
  curves.draw();
}

measure(page.dataset);
document.querySelector(".legend .swatch").classList.add(page.dataset.state === "complete" ? "own" : page.dataset.state);

function colour(run, place, get) {
  if (run.number === number) return run.state === "complete" ? get("link") : get(run.state) || get("ink");
  return run.number === curves.best ? get("best") : get("faint");
}

const load = latest(async (signal) => {
  const given = await ask(`${address}?metric=${encodeURIComponent(chart.metric())}`, { signal });
  const objective = given.metrics[0];
  chart.fill(given);
  curves.threshold = curves.threshold && { ...curves.threshold, hidden: given.metric !== objective };
  curves.show(given);
  document.getElementById("drawn").textContent = given.runs.length < given.matched ? `${given.runs.length} of ${given.matched} drawn` : "";
});

// The parts of the page that a running run changes are taken from the page itself, asked for again.
const again = paced(1000, async () => {
  const fresh = new DOMParser().parseFromString(await ask(location.href), "text/html");
  for (const place of ["main .summary", "main .panels.even"]) {
    const [mine, theirs] = [document.querySelector(place), fresh.querySelector(place)];
    if (mine && theirs && mine.innerHTML !== theirs.innerHTML) mine.innerHTML = theirs.innerHTML;
  }
  const now = fresh.getElementById("run");
  document.title = fresh.title;
  for (const name of ["threshold", "measured", "rivals", "epoch", "state"]) page.dataset[name] = now.dataset[name] ?? "";
  measure(page.dataset);
  await load();
  if (!unfinished.includes(now.dataset.state)) stream?.close();
});

let stream = null;
if (unfinished.includes(page.dataset.state)) {
  stream = new EventSource(`${api}/events`);
  for (const kind of ["start", "epoch", "end"]) {
    stream.addEventListener(kind, (event) => JSON.parse(event.data).number === number && again());
  }
}

document.addEventListener("click", (event) => {
  if (event.target.closest("#prune-run")) prune(api, { runs: [number] }, again);
});
document.addEventListener("keydown", (event) => {
  if (event.metaKey || event.ctrlKey || event.altKey || event.target.matches("input, select, canvas") || document.querySelector("dialog[open]")) return;
  if (event.key === "ArrowLeft" && previous) location.assign(previous);
  if (event.key === "ArrowRight" && next) location.assign(next);
});
copyButtons();
load();
document.documentElement.dataset.ready = "true";
