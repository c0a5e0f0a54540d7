// What a person does to a study: stop it, go on with it, delete it, prune some of its runs, train its best ones again. Each
// asks first.

import { confirmBest, stopConfirming } from "/static/confirmation.js";
import { confirm, prune, text, toast } from "/static/dialogs.js";
import { ask } from "/static/request.js";

// `choice` gives the filters in force, `now` the study's state and the trials that are used; `refresh` shows what has
// changed, and `begun` what is to come when the study has been started.
export function actionsOf({ name, api, choice, now, refresh, begun }) {
  return {
    prune: () => {
      const { filter = "", where = "" } = choice();
      prune(api, filter || where ? { filter, where } : { filter: "." }, refresh);
    },
    stop: () => stop(name, api),
    resume: () => resume(name, api, now(), begun),
    delete: () => remove(name, api),
    confirm: (button) => confirmBest(name, api, button.dataset, begun),
    stopConfirming: () => stopConfirming(name, api, refresh),
  };
}

function stop(name, api) {
  confirm({
    title: `Stop ${name}?`,
    body: [text("p", "It ends after the running epochs. What is running is run again when the study goes on.")],
    yes: "Stop",
    work: async () => {
      await ask(`${api}/stop`, { method: "POST" });
      toast("It stops after the running epochs");
    },
  });
}

function resume(name, api, { state, used }, begun) {
  const finished = state === "finished";
  const trials = document.createElement("input");
  Object.assign(trials, { type: "number", min: Math.max(1, used), value: finished ? 2 * used : "", placeholder: "as before" });
  const label = text("label", `trials in all, of which ${used} are done`);
  label.append(trials);
  confirm({
    title: finished ? `Train more trials of ${name}?` : `Go on with ${name}?`,
    body: [text("p", "It goes on with the options it was started with; earlier trials count."), label],
    yes: "Go on",
    work: async () => {
      await ask(`${api}/go-on`, { method: "POST", body: trials.value ? { trials: Number(trials.value) } : {} });
      toast("Starting; the first run begins in some seconds");
      begun();
    },
  });
}

function remove(name, api) {
  const again = document.createElement("input");
  again.autocomplete = "off";
  again.spellcheck = false;
  const label = text("label", `Write ${name} to confirm`);
  label.append(again);
  const button = confirm({
    title: `Delete ${name}?`,
    body: [text("p", "All its runs are removed from the store, and their event files. This cannot be undone."), label],
    yes: "Delete for ever",
    danger: true,
    ready: false,
    work: async () => {
      await ask(`${api}?confirm=${encodeURIComponent(again.value)}`, { method: "DELETE" });
      location.assign("/");
    },
  });
  again.addEventListener("input", () => (button.disabled = again.value !== name));
}
