// A study's page: the address says which runs are shown, and everything on the page follows the address.

import { actionsOf } from "/static/actions.js";
import { shortNumber } from "/static/axes.js";
import { Curves, controls } from "/static/curves.js";
import { copyButtons, text, toast } from "/static/dialogs.js";
import { Figures } from "/static/figures.js";
import { Filters } from "/static/filters.js";
import { keyboard } from "/static/keys.js";
import { ask, latest, paced } from "/static/request.js";
import { Tab } from "/static/tab.js";
import { Table } from "/static/table.js";

const $ = (id) => document.getElementById(id);
const page = $("study");
const { name, address, api } = page.dataset;
const ENDED = 1500; // milliseconds after a study's end after which what is slow to follow is asked for once more
const LIVE = 1500; // milliseconds between two looks at repeats that train
const MOST_COMPARED = 8;
const KEPT = ["filter", "where", "state", "sort"];

let good = {}; // the last choice that the service took
let best = page.dataset.best === "" ? null : Number(page.dataset.best);
let state = page.dataset.state;
let used = Number(page.dataset.used);
let shownSummary = $("summary").innerHTML;
let again = null; // the next look
let shownHeads = $("heads").innerHTML;

const tab = new Tab(name);
const curves = new Curves($("curves"), { onOpen: open, onHover: (number) => table.mark(number) });
const chart = controls(curves, () => loadCurves());
const figures = new Figures(document.querySelector(".panel.figures"), $("figure"), address);
const table = new Table($("runs"), {
  fetchWindow: () => loadRows(),
  onPick: () => picked(),
  onAt: (number) => curves.hover(number),
});

// The address

function query() {
  return new URLSearchParams(location.search);
}

function choice() {
  const given = query();
  return Object.fromEntries(KEPT.map((key) => [key, given.get(key) || ""]).filter(([, value]) => value));
}

function go(changes, { step = true } = {}) {
  const given = query();
  for (const [key, value] of Object.entries(changes)) value ? given.set(key, value) : given.delete(key);
  const target = `${address}${given.size ? `?${given}` : ""}`;
  if (target === location.pathname + location.search) return;
  history[step ? "pushState" : "replaceState"](null, "", target);
}

const filters = new Filters($("filters"), $("wrong"), { go, refresh: () => refresh() });

function open(number) {
  location.assign(`${address}/runs/${number}`);
}

// What is shown

const loadRows = latest(async (signal) => {
  const wanted = choice();
  const given = await ask(`${address}/rows?${new URLSearchParams({ ...wanted, ...table.window() })}`, { signal });
  good = wanted;
  show(given);
});

const loadCurves = latest(async (signal) => {
  const asked = new URLSearchParams({ ...good, metric: chart.metric(), numbers: [...table.picked].slice(0, MOST_COMPARED).join(",") });
  const given = await ask(`${address}/curves?${asked}`, { signal });
  chart.fill(given);
  curves.empty = given.chosen || !Object.keys(good).length ? "No epoch has ended yet" : "No run matches";
  curves.front = new Set(table.picked);
  curves.show(given);
  const drawn = given.runs.length;
  $("drawn").textContent = drawn < given.matched ? `${drawn.toLocaleString("en")} of ${given.matched.toLocaleString("en")} drawn` : "";
});

function show(given) {
  filters.right();
  table.show(given);
  $("count").textContent = `${given.matched.toLocaleString("en")} of ${given.total.toLocaleString("en")} runs`;
  if (given.summary !== shownSummary) $("summary").innerHTML = shownSummary = given.summary;
  if (given.heads !== shownHeads) $("heads").innerHTML = shownHeads = given.heads;
  $("tensorboard").href = given.tensorboard;
  $("nothing").hidden = given.matched > 0;
  if (!given.matched) nothing(given);
  $("prune").disabled = "closed" in $("prune").dataset || !(given.state === "running" && given.running);
  const better = given.best !== null && best !== null && given.best !== best;
  if (better) toast(`New best: ${shortNumber(given.best)}`);
  const moved = given.used !== used || given.state !== state;
  if (state === "running" && given.state !== "running") setTimeout(ended, ENDED);
  [best, state, used] = [given.best, given.state, given.used];
  tab.show({ used, trials: given.trials, state, best: best === null ? "" : shortNumber(best), isNew: better });
  if (moved) figures.load().catch(() => {});
  if (state === "running") listen();
  live();
}

// Repeats are trained by a study of their own, which sends this page no events.
function live() {
  clearTimeout(again);
  if (document.querySelector("#summary [data-live]")) again = setTimeout(refresh, LIVE);
}

// What was asked for while the last run ended may lack it.
function ended() {
  figures.load().catch(() => {});
  loadCurves().catch(() => {});
}

function nothing({ total }) {
  const line = $("nothing-said");
  if (!total) return void (line.textContent = "No trial has begun yet. The first one appears here as soon as a worker has loaded the study file.");
  const button = text("button", "Show all runs");
  button.type = "button";
  button.className = "link";
  button.dataset.clear = "";
  line.replaceChildren("No run matches. ", button);
}

async function refresh({ alsoCurves = true } = {}) {
  try {
    await loadRows();
    if (alsoCurves) await loadCurves();
  } catch (error) {
    if (error.problem?.parts) filters.wrong(error.problem);
    else if (error.status) toast(error.message);
  }
}

// The address has changed without us: the back button.
addEventListener("popstate", () => {
  const given = query();
  filters.set(given.get("filter") || "", given.get("where") || "");
  select();
  figures.choose(given.get("figure"), false).catch(() => {});
  refresh();
});

// Clicks

document.addEventListener("click", (event) => {
  const target = event.target;
  const part = target.closest("[data-filter]");
  if (part) return filters.by(part.dataset.filter, event.shiftKey);
  if (target.closest("[data-clear]")) {
    go({ filter: "", where: "", state: "" });
    filters.set("", "");
    return refresh();
  }
  const action = target.closest("[data-action]");
  if (action) return actions[action.dataset.action](action);
  const link = target.closest("a[data-sort], a[data-state]");
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey) return undefined;
  event.preventDefault();
  const given = new URL(link.href).searchParams;
  go({ sort: given.get("sort") || "", state: given.get("state") || "" });
  filters.settle();
  return refresh({ alsoCurves: "state" in link.dataset });
});

$("rows").addEventListener("pointerover", (event) => {
  const row = event.target.closest("tr[data-number]");
  curves.hover(row ? Number(row.dataset.number) : null);
});
$("rows").addEventListener("pointerleave", () => curves.hover(null));

// The selection

function select() {
  const numbers = (query().get("select") || "").split(",").filter((text) => /^\d+$/.test(text));
  table.picked = new Set(numbers.map(Number));
  table.mark();
  buttons();
}

function picked() {
  go({ select: [...table.picked].join(",") }, { step: false });
  buttons();
  loadCurves().catch(() => {});
}

function buttons() {
  const count = table.picked.size;
  $("compare").disabled = count < 2 || count > MOST_COMPARED;
  $("compare").textContent = count ? `Compare ${count}` : "Compare";
  $("compare").title = count > MOST_COMPARED ? "Two to eight runs are compared" : "Mark two to eight runs with x";
  $("unselect").hidden = !count;
}

function compare() {
  if (!$("compare").disabled) location.assign(`${address}/compare?runs=${[...table.picked].join(",")}`);
}

$("compare").addEventListener("click", compare);
$("unselect").addEventListener("click", () => {
  table.picked.clear();
  table.mark();
  picked();
});

// What is done to the study

const actions = actionsOf({
  name,
  api,
  choice,
  now: () => ({ state, used }),
  refresh: () => refresh(),
  begun: () => {
    listen();
    for (const wait of [2000, 5000, 9000, 14000]) setTimeout(refresh, wait);
  },
});

$("prune").addEventListener("click", actions.prune);
$("keys").addEventListener("click", () => $("help").showModal());

// Keys

keyboard({
  "/": () => focus($("filter")),
  w: () => focus($("where")),
  j: () => table.step(1),
  k: () => table.step(-1),
  ArrowDown: () => table.step(1),
  ArrowUp: () => table.step(-1),
  Enter: () => table.at !== null && open(table.at),
  x: () => table.at !== null && table.pick(table.at),
  c: compare,
  t: () => $("tensorboard").click(),
  p: () => $("prune").disabled || actions.prune(),
  "?": () => $("help").showModal(),
});

function focus(box) {
  box.focus();
  box.select();
}

// What moves by itself

const moved = paced(700, async () => {
  if (document.hidden && state !== "running") return;
  await loadRows().catch((error) => error.problem?.parts || Promise.reject(error));
});
const grown = paced(1500, () => (document.hidden ? null : loadCurves()));
let stream = null;

function listen() {
  if (stream && stream.readyState !== EventSource.CLOSED) return;
  stream = new EventSource(`${api}/events`);
  for (const kind of ["study", "start", "epoch", "end", "best"]) {
    stream.addEventListener(kind, () => {
      moved();
      grown();
    });
  }
}

document.addEventListener("visibilitychange", () => document.hidden || (moved(), grown()));

// The filters' height is what the heads of the table stick below.
new ResizeObserver(([entry]) => document.documentElement.style.setProperty("--under", `${entry.target.offsetHeight - 1}px`)).observe($("filters"));

figures.onChoose = (kind) => go({ figure: kind === "history" ? "" : kind }, { step: false });
copyButtons();
table.adopt(Number(page.dataset.matched));
select();
tab.show({ used, trials: Number(page.dataset.trials), state, best: best === null ? "" : shortNumber(best), isNew: false });
$("prune").disabled = "closed" in $("prune").dataset || state !== "running";
good = $("wrong").hidden ? choice() : {};
loadCurves().catch(() => {});
figures.choose(query().get("figure"), false).catch(() => {});
listen();
live();
document.documentElement.dataset.ready = "true";
