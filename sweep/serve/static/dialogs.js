// What asks before something is done, says that it was done, and copies a command.

import { ask } from "/static/request.js";

const $ = (id) => document.getElementById(id);

// Asks in a dialog, does the work when told to, and shows what it was refused with.
export function confirm({ title, body, yes, danger = false, ready = true, work }) {
  const dialog = $("ask");
  $("ask-title").textContent = title;
  $("ask-body").replaceChildren(...body);
  const button = $("ask-yes");
  button.textContent = yes;
  button.className = `button ${danger ? "danger" : "primary"}`;
  button.disabled = !ready;
  $("ask-wrong").hidden = true;
  $("ask-no").onclick = () => dialog.close();
  button.onclick = async () => {
    button.disabled = true;
    try {
      await work();
      dialog.close();
    } catch (error) {
      $("ask-wrong").textContent = error.message;
      $("ask-wrong").hidden = false;
      button.disabled = false;
    }
  };
  dialog.querySelector("form").onsubmit = (event) => {
    event.preventDefault();
    if (!button.disabled) button.click();
  };
  dialog.showModal();
  return button;
}

export function text(tag, content) {
  const element = document.createElement(tag);
  element.textContent = content;
  return element;
}

let fading = null;

export function toast(message) {
  const element = $("toast");
  element.textContent = message;
  element.hidden = false;
  clearTimeout(fading);
  fading = setTimeout(() => (element.hidden = true), 5000);
}

const runs = (count) => (count === 1 ? "1 running trial" : `${count} running trials`);

// Lists what would be pruned, then asks, then prunes exactly those.
export async function prune(api, choice, then) {
  let found;
  try {
    found = await ask(`${api}/prune`, { method: "POST", body: { ...choice, dry_run: true } });
  } catch (error) {
    return toast(error.message);
  }
  const numbers = found.runs.map((run) => run.number);
  const list = document.createElement("ul");
  list.append(...found.runs.map((run) => text("li", run.name || `t${String(run.number).padStart(4, "0")}`)));
  confirm({
    title: numbers.length ? `Prune ${runs(numbers.length)}?` : "Nothing to prune",
    body: numbers.length ? [text("p", "Each ends after its present epoch; its value so far is kept."), list] : [text("p", "No running trial matches.")],
    yes: numbers.length ? `Prune ${runs(numbers.length)}` : "Prune",
    danger: true,
    ready: numbers.length > 0,
    work: async () => {
      await ask(`${api}/prune`, { method: "POST", body: { runs: numbers } });
      toast(`${runs(numbers.length)} will be pruned after the present epoch`);
      then?.();
    },
  });
}

export function copyButtons() {
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      toast("Copied");
    } catch {
      toast("This browser does not let the page copy; select the text instead");
    }
  });
}
