// The two boxes that choose runs, by name and by condition: asked as one types, and marked where they are wrong.

import { text } from "/static/dialogs.js";

const TYPING = 70; // milliseconds after a key before the service is asked
const SETTLED = 900; // milliseconds after which what was typed is a step of the browser's history

export class Filters {
  // `go` puts changes into the address, `refresh` shows what the address says.
  constructor(form, line, { go, refresh }) {
    this.line = line;
    this.go = go;
    this.refresh = refresh;
    this.boxes = [form.elements.filter, form.elements.where];
    this.settle();
    for (const box of this.boxes) {
      box.addEventListener("input", () => this.#typed());
      box.addEventListener("keydown", (event) => event.key === "Escape" && box.blur());
    }
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#typed();
    });
  }

  // From here on what is typed is a new step of the browser's history.
  settle() {
    this.written = location.href;
  }

  set(filter, where) {
    [this.boxes[0].value, this.boxes[1].value] = [filter, where];
    this.settle();
  }

  // Filters by a part of a name, or by it within what is filtered already.
  by(pattern, within) {
    const box = this.boxes[0];
    box.value = within && box.value ? both(box.value, pattern) : pattern;
    this.settle();
    this.#typed();
  }

  #typed() {
    clearTimeout(this.typing);
    clearTimeout(this.settling);
    this.typing = setTimeout(() => {
      const [filter, where] = this.boxes.map((box) => box.value);
      this.go({ filter, where }, { step: location.href === this.written });
      this.refresh();
    }, TYPING);
    this.settling = setTimeout(() => this.settle(), SETTLED);
  }

  // A wrong filter keeps what is shown, and marks the place.
  wrong({ field, parts, said }) {
    const code = text("code", parts[0]);
    code.append(text("mark", parts[1] || " "), parts[2]);
    this.line.replaceChildren(code, ` ${said}. The last runs that matched are still shown.`);
    this.line.hidden = false;
    for (const box of this.boxes) box.name === field ? box.setAttribute("aria-invalid", "true") : box.removeAttribute("aria-invalid");
  }

  right() {
    this.line.hidden = true;
    for (const box of this.boxes) box.removeAttribute("aria-invalid");
  }
}

// A pattern that finds what two patterns find, wherever in the name each does.
function both(first, second) {
  const looking = (pattern) => `(?=.*(?:${pattern}))`;
  return /^\^(\(\?=\.\*\(\?:.*\)\))+$/.test(first) ? first + looking(second) : `^${looking(first)}${looking(second)}`;
}
