// The table of runs: as long as its runs are many, yet holding only the rows in sight, which come from the service as HTML.

const MARGIN = 12; // rows beyond what is in sight
const STEP = 20; // windows begin at multiples of this, so that scrolling a little asks for nothing

export class Table {
  constructor(table, { fetchWindow, onPick, onAt }) {
    this.table = table;
    this.body = table.tBodies[0];
    this.fetchWindow = fetchWindow;
    this.onPick = onPick;
    this.onAt = onAt;
    this.picked = new Set();
    this.at = null; // the number of the run that the keyboard is at
    this.matched = 0;
    this.from = 0;
    this.html = new Map();
    this.numbers = [];
    this.above = space();
    this.below = space();
    addEventListener("scroll", () => this.#moved(), { passive: true });
    addEventListener("resize", () => this.#moved());
    this.body.addEventListener("focusin", (event) => this.#reached(this.#numberOf(event.target)));
    this.body.addEventListener("change", (event) => event.target.matches("input[type=checkbox]") && this.pick(this.#numberOf(event.target)));
  }

  // Takes over the rows that came with the page.
  adopt(matched) {
    const rows = [...this.body.rows];
    this.numbers = rows.map((row) => Number(row.dataset.number));
    for (const row of rows) this.html.set(Number(row.dataset.number), null);
    this.matched = matched;
    this.#place();
  }

  get rowHeight() {
    return parseFloat(getComputedStyle(document.documentElement).getPropertyValue("--row")) || 30;
  }

  // The stretch of rows that should be there: what is in sight and a little more.
  window() {
    const height = this.rowHeight;
    const top = -this.table.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(top / height) - MARGIN);
    const from = Math.min(Math.floor(first / STEP) * STEP, Math.max(0, Math.floor((this.matched - 1) / STEP) * STEP));
    const count = Math.min(400, Math.ceil(innerHeight / height) + 2 * MARGIN + STEP);
    return { from, count };
  }

  show({ matched, from, rows }) {
    this.matched = matched;
    this.from = from;
    this.numbers = rows.map(([number]) => number);
    const old = new Map([...this.body.rows].filter((row) => row.dataset.number).map((row) => [Number(row.dataset.number), row]));
    const html = new Map();
    const made = rows.map(([number, text]) => {
      html.set(number, text);
      const there = old.get(number);
      return there && this.html.get(number) === text ? there : this.#make(number, text);
    });
    this.html = html;
    const focused = this.#focused();
    this.#exchange(made);
    this.#place();
    this.mark();
    // A row that is another one now, as those that came with the page are after the first answer, keeps the focus.
    if (focused && !this.body.contains(document.activeElement)) {
      const row = this.row(focused.number);
      if (row) focusable(row)[focused.place]?.focus({ preventScroll: true });
    }
  }

  // Which part of which row has the focus, if one has.
  #focused() {
    const row = this.body.contains(document.activeElement) ? document.activeElement.closest("tr[data-number]") : null;
    return row && { number: row.dataset.number, place: focusable(row).indexOf(document.activeElement) };
  }

  #make(number, text) {
    const template = document.createElement("template");
    template.innerHTML = text;
    return template.content.firstElementChild;
  }

  // Puts the rows in place while touching only those that differ, so that hovering and focus stay.
  #exchange(rows) {
    const wanted = [this.above, ...rows, this.below];
    const keep = new Set(wanted);
    for (const row of [...this.body.rows]) if (!keep.has(row)) row.remove();
    wanted.forEach((row, place) => {
      if (this.body.rows[place] !== row) this.body.insertBefore(row, this.body.rows[place] ?? null);
    });
  }

  #place() {
    if (this.body.rows[0] !== this.above) this.body.prepend(this.above);
    if (this.body.rows[this.body.rows.length - 1] !== this.below) this.body.append(this.below);
    const height = this.rowHeight;
    stretch(this.above, this.from * height);
    stretch(this.below, Math.max(0, this.matched - this.from - this.numbers.length) * height);
    this.table.setAttribute("aria-rowcount", String(this.matched));
    this.table.hidden = !this.matched;
  }

  #moved() {
    this.waiting ??= requestAnimationFrame(() => {
      this.waiting = null;
      const { from, count } = this.window();
      const covered = this.from <= from && this.from + this.numbers.length >= Math.min(this.matched, from + count - STEP);
      if (!covered) this.fetchWindow();
    });
  }

  #numberOf(element) {
    return Number(element.closest("tr").dataset.number);
  }

  row(number) {
    return [...this.body.rows].find((row) => row.dataset.number === String(number));
  }

  pick(number) {
    this.picked.has(number) ? this.picked.delete(number) : this.picked.add(number);
    this.mark();
    this.onPick();
  }

  mark(hovered = null) {
    for (const row of this.body.rows) {
      if (!row.dataset.number) continue;
      const number = Number(row.dataset.number);
      row.classList.toggle("picked", this.picked.has(number));
      row.classList.toggle("at", number === this.at || number === hovered);
      // Of all rows only the one at the keyboard's place is gone through by Tab, part by part.
      for (const part of row.querySelectorAll("[role=button], input")) part.tabIndex = number === this.at ? 0 : -1;
      row.querySelector("input").checked = this.picked.has(number);
      row.dataset.series = this.picked.has(number) ? [...this.picked].indexOf(number) % 8 : ""; // its curve's colour
    }
  }

  #reached(number) {
    if (number === this.at) return;
    this.at = number;
    this.mark();
    this.onAt(number);
  }

  // Moves the keyboard's place by so many rows, and into sight.
  step(by) {
    const here = this.numbers.indexOf(this.at);
    const place = here < 0 ? 0 : Math.min(this.numbers.length - 1, Math.max(0, here + by));
    this.at = this.numbers[place] ?? null;
    this.mark();
    this.onAt(this.at);
    const row = this.row(this.at);
    if (!row) return;
    if (this.body.contains(document.activeElement)) row.querySelector("a")?.focus({ preventScroll: true });
    const { top, bottom } = row.getBoundingClientRect();
    const under = (this.table.tHead.getBoundingClientRect().bottom || 0) + 4;
    if (top < under) scrollBy(0, top - under - 60);
    else if (bottom > innerHeight - 8) scrollBy(0, bottom - innerHeight + 80);
  }
}

function focusable(row) {
  return [...row.querySelectorAll("a, input, [role=button]")];
}

function space() {
  const row = document.createElement("tr");
  row.className = "space";
  row.setAttribute("aria-hidden", "true");
  const cell = row.insertCell();
  cell.colSpan = 9;
  return row;
}

function stretch(row, height) {
  row.hidden = height <= 0;
  row.cells[0].style.height = `${height}px`;
}
