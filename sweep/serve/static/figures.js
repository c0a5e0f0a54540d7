// Optuna's figures, drawn by Plotly in the page's colours; Plotly is loaded when a figure is looked at for the first time.

import { ask, latest } from "/static/request.js";

let loading = null;

// Plotly sets some styles as attributes, which the page's Content-Security-Policy does not take; as properties it does.
function stylesAsProperties() {
  const set = Element.prototype.setAttribute;
  Element.prototype.setAttribute = function (name, value) {
    if (name === "style") this.style.cssText = value;
    else set.call(this, name, value);
  };
}

function plotly() {
  if (!loading) stylesAsProperties();
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = "/static/plotly.min.js";
    // What Plotly has for maps it writes into the page as a style, which the policy does not take and no figure needs.
    document.head.appendChild = (node) => (node.nodeName === "STYLE" ? node : Node.prototype.appendChild.call(document.head, node));
    script.onload = () => {
      delete document.head.appendChild;
      resolve(window.Plotly);
    };
    script.onerror = () => reject(new Error("the figures' program did not load"));
    document.head.append(script);
  });
  return loading;
}

export class Figures {
  constructor(panel, element, address) {
    this.element = element;
    this.address = address;
    this.tabs = [...panel.querySelectorAll("[role=tab]")];
    this.kind = this.tabs[0].dataset.kind;
    this.text = null;
    for (const tab of this.tabs) tab.addEventListener("click", () => this.choose(tab.dataset.kind));
    panel.querySelector("[role=tablist]").addEventListener("keydown", (event) => this.#key(event));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#draw());
    new ResizeObserver(() => this.drawn && this.element.clientWidth !== this.width && this.#draw()).observe(element);
    this.load = latest((signal) => this.#load(signal));
  }

  choose(kind, tell = true) {
    this.kind = this.tabs.some((tab) => tab.dataset.kind === kind) ? kind : this.tabs[0].dataset.kind;
    for (const tab of this.tabs) {
      const chosen = tab.dataset.kind === this.kind;
      tab.setAttribute("aria-selected", String(chosen));
      tab.tabIndex = chosen ? 0 : -1;
      if (chosen) this.element.setAttribute("aria-labelledby", tab.id);
    }
    if (tell) this.onChoose?.(this.kind);
    return this.load();
  }

  #key(event) {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    const here = this.tabs.findIndex((tab) => tab.dataset.kind === this.kind);
    const tab = this.tabs[(here + by + this.tabs.length) % this.tabs.length];
    tab.focus();
    this.choose(tab.dataset.kind);
    event.preventDefault();
  }

  async #load(signal) {
    const given = await ask(`${this.address}/figures/${this.kind}`, { signal });
    const text = `${this.kind}${JSON.stringify(given)}`;
    if (text === this.text) return;
    this.text = text;
    this.given = given;
    await this.#draw();
  }

  async #draw() {
    if (!this.given) return;
    if (this.given.message) {
      if (this.drawn) window.Plotly.purge(this.element);
      this.drawn = false;
      const line = document.createElement("p");
      line.textContent = this.given.message;
      this.element.replaceChildren(line);
      return;
    }
    const Plotly = await plotly();
    if (!this.drawn) this.element.replaceChildren();
    const [data, layout] = themed(structuredClone(this.given), this.kind, this.element.clientWidth, this.element.clientHeight);
    await Plotly.react(this.element, data, layout, { displaylogo: false, displayModeBar: false, responsive: false });
    this.drawn = true;
    this.width = this.element.clientWidth;
    this.element.dataset.drawn = this.kind;
  }
}

function themed({ data, layout }, kind, width, height) {
  const style = getComputedStyle(document.documentElement);
  const get = (name) => style.getPropertyValue(`--${name}`).trim();
  const axes = Object.keys(layout).filter((name) => /^xaxis\d*$/.test(name)).length;
  const axis = { gridcolor: get("line"), zerolinecolor: get("line"), linecolor: get("line"), automargin: true, tickfont: { size: 10.5 } };
  for (const name of Object.keys(layout)) {
    if (!/^[xy]axis\d*$/.test(name)) continue;
    const title = layout[name].title;
    layout[name] = { ...layout[name], ...axis, title: { ...(typeof title === "string" ? { text: title } : title), font: { size: 11.5 }, standoff: 8 } };
  }
  for (const name of ["xaxis", "yaxis"]) layout[name] = { ...axis, ...layout[name] };
  Object.assign(layout, {
    width: Math.max(width, kind === "slices" ? axes * 185 : 0),
    height,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: get("sans"), size: 12, color: get("quiet") },
    margin: { l: kind === "parallel" ? 40 : 8, r: kind === "parallel" ? 24 : 12, t: kind === "history" ? 20 : 12, b: 8 },
    legend: { orientation: "h", y: 1, yanchor: "bottom", x: 0, font: { size: 11 } },
    hoverlabel: { font: { family: get("mono"), size: 11 } },
  });
  if (kind === "history") history(data, get);
  if (kind === "importances") for (const trace of data) trace.marker = { ...trace.marker, color: get("running") };
  if (kind === "importances" || kind === "parallel") layout.showlegend = false;
  if (kind === "parallel") parallel(data, layout, get);
  if (kind === "slices") slices(data, get);
  return [data, layout];
}

// Lines from faint (poor) to strong (good), as Optuna shades them: by how dark it made them.
function parallel(data, layout, get) {
  for (const trace of data) {
    const shade = /^rgb\(([\d.]+), ?([\d.]+), ?([\d.]+)\)$/.exec(trace.line?.color || "");
    if (shade) {
      const light = (Number(shade[1]) + Number(shade[2]) + Number(shade[3])) / 765;
      trace.line.color = get("running");
      trace.opacity = 0.9 - 0.75 * light;
    }
    if (trace.marker) trace.marker.showscale = false;
  }
  for (const note of layout.annotations || []) Object.assign(note, { font: { size: 10, color: get("quiet") }, bgcolor: get("panel"), borderpad: 0 });
  for (const shape of layout.shapes || []) shape.line = { ...shape.line, color: get("faint") };
}

// Points from faint (early trials) to strong (late ones).
function slices(data, get) {
  for (const trace of data) {
    if (!trace.marker) continue;
    Object.assign(trace.marker, { showscale: false, reversescale: false, size: 6, line: { width: 0.5, color: get("panel") } });
    if (typeof trace.marker.color === "object") trace.marker.colorscale = [[0, get("faint")], [1, get("running")]];
  }
}

function history(data, get) {
  for (const trace of data) {
    const best = /best/i.test(trace.name || "");
    trace.marker = { ...trace.marker, color: get(/infeasible/i.test(trace.name || "") ? "faint" : "complete"), size: 5, opacity: 0.75 };
    if (best) trace.line = { color: get("running"), width: 2, shape: "hv" };
  }
}
