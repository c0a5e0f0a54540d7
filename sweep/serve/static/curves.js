// Many learning curves on one canvas: each run a line in the colour of its state; in front, each in a colour of its own,
// the best one, those that are selected, and the one under the pointer.

import { nice, roomy, shortNumber, ticks, within } from "/static/axes.js";

const LEFT = 52;
const RIGHT = 14;
const TOP = 8;
const BOTTOM = 24;
const SERIES = 8; // colours for those that are selected

export class Curves {
  constructor(canvas, { onOpen = () => {}, onHover = () => {}, colour = null } = {}) {
    this.canvas = canvas;
    this.runs = null; // until they are known
    this.best = null;
    this.front = new Set();
    this.hovered = null;
    this.logarithmic = false;
    this.threshold = null;
    this.whole = new Set(); // runs whose values the axis covers in any case
    this.upTo = null; // the last epoch that is shown; all if null
    this.better = null; // at which end of the axis the better values are, if one knows: "low" or "high"
    this.empty = "No epoch has ended yet";
    this.colour = colour;
    this.onOpen = onOpen;
    this.onHover = onHover;
    canvas.addEventListener("pointermove", (event) => this.#point(event));
    canvas.addEventListener("pointerleave", () => this.hover(null, true));
    canvas.addEventListener("click", () => this.hovered !== null && onOpen(this.hovered));
    canvas.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  show({ runs, best, better = null }) {
    this.runs = runs;
    this.best = best;
    this.better = better;
    this.draw();
  }

  hover(number, tell = false) {
    if (number === this.hovered) return;
    this.hovered = number;
    if (tell) this.onHover(number);
    this.draw();
  }

  draw() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.#paint();
    });
  }

  #paint() {
    const { canvas } = this;
    const ratio = devicePixelRatio || 1;
    const width = canvas.clientWidth;
    const height = canvas.clientHeight;
    if (!width || !height || !this.runs) return;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    const style = getComputedStyle(document.documentElement);
    const get = (name) => style.getPropertyValue(`--${name}`).trim();
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.font = `11px ${get("sans")}`;
    this.scale = this.#scale(width, height);
    if (!this.scale) return this.#nothing(pen, width, height, get("quiet"));
    this.#axes(pen, width, height, get);
    pen.save();
    pen.beginPath();
    pen.rect(LEFT, TOP - 3, width - LEFT - RIGHT + 6, height - TOP - BOTTOM + 6);
    pen.clip();
    const many = Math.min(0.85, Math.max(0.22, 14 / this.runs.length));
    this.runs.forEach((run, place) => {
      if (!this.#inFront(run)) this.#line(pen, run, this.#colour(run, place, get), 1, run.state === "running" ? 0.95 : this.front.size ? many * 0.6 : many);
    });
    this.runs.forEach((run, place) => {
      if (this.#inFront(run)) this.#line(pen, run, this.#colour(run, place, get), run.number === this.hovered ? 2.6 : 1.9, 1);
    });
    pen.restore();
    this.#threshold(pen, width, get);
    this.#label(pen, width, get);
  }

  #inFront(run) {
    return run.number === this.best || run.number === this.hovered || this.front.has(run.number);
  }

  #colour(run, place, get) {
    if (run.number === this.hovered) return get("ink");
    if (this.colour) return this.colour(run, place, get);
    if (this.front.has(run.number)) return get(`series-${[...this.front].indexOf(run.number) % SERIES}`);
    return get(run.number === this.best ? "best" : run.state) || get("quiet");
  }

  #scale(width, height) {
    const there = (value) => value !== null && (!this.logarithmic || value > 0);
    const longest = Math.max(1, ...this.runs.map((run) => run.values.length));
    const epochs = this.upTo ? Math.min(this.upTo, longest) : longest;
    const values = this.runs.flatMap((run) => run.values.slice(0, epochs).filter(there)).sort((a, b) => a - b);
    if (!values.length) return null;
    const map = this.logarithmic ? Math.log10 : (value) => value;
    const must = this.runs.filter((run) => this.whole.has(run.number)).flatMap((run) => run.values.filter(there));
    if (this.#limit() !== null && there(this.#limit())) must.push(this.#limit());
    const ends = [...within(values.map(map), this.better), ...must.map(map)];
    const [low, high] = roomy(Math.min(...ends), Math.max(...ends));
    const across = (width - LEFT - RIGHT) / Math.max(1, epochs - 1);
    const up = (height - TOP - BOTTOM) / (high - low);
    return { epochs, low, high, map, x: (epoch) => LEFT + epoch * across, y: (value) => height - BOTTOM - (map(value) - low) * up };
  }

  // The value of the threshold, where it is one of the metric that is shown.
  #limit() {
    return this.threshold && !this.threshold.hidden ? this.threshold.value : null;
  }

  #axes(pen, width, height, get) {
    const { scale } = this;
    pen.lineWidth = 1;
    pen.strokeStyle = get("line");
    pen.fillStyle = get("quiet");
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    for (const tick of ticks(scale.low, scale.high, this.logarithmic)) {
      const y = Math.round(scale.y(tick)) + 0.5;
      pen.globalAlpha = 0.6;
      pen.beginPath();
      pen.moveTo(LEFT, y);
      pen.lineTo(width - RIGHT, y);
      pen.stroke();
      pen.globalAlpha = 1;
      pen.fillText(shortNumber(tick), LEFT - 8, y);
    }
    pen.textAlign = "center";
    pen.textBaseline = "top";
    const step = Math.max(1, nice(scale.epochs / Math.max(2, Math.min(10, width / 90))));
    for (let epoch = step; epoch <= scale.epochs; epoch += step) pen.fillText(String(epoch), scale.x(epoch - 1), height - BOTTOM + 7);
    pen.textAlign = "left";
    pen.fillText("epoch", 6, height - BOTTOM + 7);
  }

  #line(pen, run, colour, thickness, alpha) {
    const { scale } = this;
    pen.strokeStyle = pen.fillStyle = colour;
    pen.lineWidth = thickness;
    pen.globalAlpha = alpha;
    pen.lineJoin = "round";
    pen.beginPath();
    let down = false;
    let last = null;
    run.values.forEach((value, epoch) => {
      const there = value !== null && (!this.logarithmic || value > 0);
      if (there) {
        last = [scale.x(epoch), scale.y(value)];
        down ? pen.lineTo(...last) : pen.moveTo(...last);
      }
      down = there;
    });
    pen.stroke();
    if (last && (run.state === "running" || run.state === "pruned" || run.values.length === 1)) {
      pen.beginPath();
      pen.arc(...last, run.state === "running" ? 3 : 2, 0, 7);
      pen.fill();
    }
    pen.globalAlpha = 1;
  }

  // A dashed line over the whole width; what it is stands in the legend, where it lies over no curve.
  #threshold(pen, width, get) {
    if (this.#limit() === null || (this.logarithmic && this.#limit() <= 0)) return;
    pen.strokeStyle = get("fail");
    pen.lineWidth = 1.5;
    pen.setLineDash([4, 3]);
    pen.beginPath();
    pen.moveTo(LEFT, this.scale.y(this.#limit()));
    pen.lineTo(width - RIGHT, this.scale.y(this.#limit()));
    pen.stroke();
    pen.setLineDash([]);
  }

  #label(pen, width, get) {
    const run = this.runs.find((one) => one.number === this.hovered);
    if (!run) return;
    const last = run.values.findLast((value) => value !== null);
    const said = `${run.name}  ${last === undefined ? "" : shortNumber(last)}`;
    pen.font = `11px ${get("mono")}`;
    const room = width - LEFT - RIGHT - 12;
    const long = Math.min(room, pen.measureText(said).width);
    pen.fillStyle = get("panel");
    pen.globalAlpha = 0.92;
    pen.fillRect(width - RIGHT - long - 12, TOP, long + 12, 20);
    pen.globalAlpha = 1;
    pen.fillStyle = get("ink");
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    pen.fillText(said, width - RIGHT - 6, TOP + 10, room);
  }

  #nothing(pen, width, height, colour) {
    pen.fillStyle = colour;
    pen.font = `13px ${getComputedStyle(document.documentElement).getPropertyValue("--sans")}`;
    pen.textAlign = "center";
    pen.fillText(this.runs.length ? "No value of this metric yet" : this.empty, width / 2, height / 2);
  }

  #point(event) {
    if (!this.scale) return;
    const { offsetX, offsetY } = event;
    let near = null;
    let distance = 18;
    for (const run of this.runs) {
      for (const away of [0, -1, 1]) {
        const epoch = Math.round(((offsetX - LEFT) / (this.canvas.clientWidth - LEFT - RIGHT)) * Math.max(1, this.scale.epochs - 1)) + away;
        const value = run.values[epoch];
        if (value === null || value === undefined || (this.logarithmic && value <= 0)) continue;
        const here = Math.hypot(this.scale.x(epoch) - offsetX, this.scale.y(value) - offsetY);
        if (here < distance) [near, distance] = [run.number, here];
      }
    }
    this.canvas.classList.toggle("pointed", near !== null);
    this.hover(near, true);
  }

  #key(event) {
    const numbers = this.runs.map((run) => run.number);
    const at = numbers.indexOf(this.hovered);
    if (event.key === "ArrowDown" || event.key === "ArrowRight") this.hover(numbers[(at + 1) % numbers.length] ?? null, true);
    else if (event.key === "ArrowUp" || event.key === "ArrowLeft") this.hover(numbers[(at - 1 + numbers.length) % numbers.length] ?? null, true);
    else if (event.key === "Enter" && this.hovered !== null) this.onOpen(this.hovered);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}

// The boxes above a canvas: which metric, and whether by logarithm.
export function controls(curves, load) {
  const metric = document.getElementById("metric");
  const logarithmic = document.getElementById("logarithmic");
  metric.addEventListener("change", () => load());
  logarithmic.addEventListener("change", () => {
    curves.logarithmic = logarithmic.checked;
    curves.draw();
  });
  return {
    metric: () => metric.value,
    fill(given) {
      const known = [...metric.options].map((option) => option.value);
      if (known.join("\n") !== given.metrics.join("\n")) metric.replaceChildren(...given.metrics.map((name) => new Option(name, name)));
      metric.value = given.metric;
    },
  };
}
