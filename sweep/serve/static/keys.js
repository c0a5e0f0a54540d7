// Keys of a page: each does its work wherever the focus is, except in boxes, in dialogs and on what has keys of its own.

export function keyboard(keys) {
  document.addEventListener("keydown", (event) => {
    const target = event.target;
    if ((event.key === "Enter" || event.key === " ") && target.matches("[role=button]")) return press(event);
    if (event.metaKey || event.ctrlKey || event.altKey || document.querySelector("dialog[open]")) return undefined;
    if (target.matches("input:not([type=checkbox]), select, textarea")) return undefined;
    if (event.key === "Enter" && target.closest("a, button, [role=button]")) return undefined;
    const work = keys[event.key];
    if (!work) return undefined;
    event.preventDefault();
    return work();
  });
}

// What stands for a button, such as a part of a run's name, is pressed as one is.
function press(event) {
  event.preventDefault();
  event.target.dispatchEvent(new MouseEvent("click", { bubbles: true, shiftKey: event.shiftKey }));
}
