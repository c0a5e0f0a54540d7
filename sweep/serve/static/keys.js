// Keys of a page: each does its work wherever the focus is, except in boxes, in dialogs and on what has keys of its own.

export function keyboard(keys) {
  document.addEventListener("keydown", (event) => {
    const target = event.target;
    if (event.metaKey || event.ctrlKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (target.matches("input:not([type=checkbox]), select, textarea")) return;
    if (event.key === "Enter" && target.closest("a, button")) return;
    const work = keys[event.key];
    if (!work) return;
    event.preventDefault();
    work();
  });
}
