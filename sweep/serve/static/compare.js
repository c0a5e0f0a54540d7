// The curves of the runs that are compared, each in its own colour.

import { Curves, controls } from "/static/curves.js";
import { ask, latest } from "/static/request.js";

const { curves: address } = document.getElementById("compare").dataset;
const numbers = new URLSearchParams(location.search).get("runs").split(",").map((text) => Number(text.replace("t", "")));
const curves = new Curves(document.getElementById("curves"), {
  onOpen: (number) => location.assign(`runs/${number}`),
  colour: (run, place, get) => get(`series-${numbers.indexOf(run.number)}`),
});
const chart = controls(curves, () => load());
curves.front = new Set(numbers);

const load = latest(async (signal) => {
  const given = await ask(`${address}?${new URLSearchParams({ runs: numbers.join(","), metric: chart.metric() })}`, { signal });
  chart.fill(given);
  curves.show({ ...given, best: null });
});

load();
document.documentElement.dataset.ready = "true";
