// The tab: its title and its icon show how far a study is, and a star when it has a new best run that nobody has seen.

export class Tab {
  constructor(name) {
    this.name = name;
    this.icon = document.querySelector("link[rel=icon]");
    this.news = false;
    this.shown = "";
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden && this.news) this.#seen();
    });
  }

  show({ used, trials, state, best, isNew }) {
    this.given = { used, trials, state };
    if (isNew && document.hidden) this.news = true;
    this.best = best;
    this.#draw();
  }

  #seen() {
    this.news = false;
    this.#draw();
  }

  #draw() {
    const { used, trials, state } = this.given;
    const progress = state === "running" ? `${used}/${trials} ` : state === "finished" ? "✓ " : "";
    document.title = `${this.news ? `★ ${this.best} ` : ""}${progress}${this.name} – sweep`;
    const key = `${Math.round((64 * used) / trials)} ${state} ${this.news}`;
    if (key === this.shown) return;
    this.shown = key;
    this.icon.type = "image/png";
    this.icon.href = this.#picture(Math.min(1, used / trials), state);
  }

  #picture(share, state) {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = 64;
    const pen = canvas.getContext("2d");
    const colour = { running: "#3b76e0", finished: "#2c8a50", stopped: "#b87a14" }[state] || "#8b9099";
    pen.lineWidth = 11;
    pen.strokeStyle = "#9aa0a855";
    pen.beginPath();
    pen.arc(32, 32, 24, 0, 7);
    pen.stroke();
    pen.strokeStyle = colour;
    pen.beginPath();
    pen.arc(32, 32, 24, -Math.PI / 2, -Math.PI / 2 + 2 * Math.PI * Math.max(0.03, share));
    pen.stroke();
    if (this.news) {
      pen.fillStyle = "#e0a020";
      pen.beginPath();
      pen.arc(46, 18, 17, 0, 7);
      pen.fill();
    }
    return canvas.toDataURL("image/png");
  }
}
