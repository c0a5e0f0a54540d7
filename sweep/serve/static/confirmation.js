// Training a study's best runs again with fresh seeds: the form, which says what it would take before it begins.

import { confirm, text, toast } from "/static/dialogs.js";
import { ask, latest } from "/static/request.js";

const MOST_SHOWN = 5;

function field(label, value, most) {
  const input = document.createElement("input");
  Object.assign(input, { type: "number", min: 1, max: most, value, required: true });
  const shown = text("label", `${label} `);
  shown.append(input);
  return { input, shown };
}

function tick(label) {
  const input = document.createElement("input");
  input.type = "checkbox";
  const shown = text("label", "");
  shown.append(input, ` ${label}`);
  return { input, shown };
}

const number = (run) => `t${String(run).padStart(4, "0")}`;

// Which runs train how often; of many the first.
function listed(runs) {
  const same = new Set(runs.map((run) => run.trainings)).size === 1;
  const some = runs.slice(0, MOST_SHOWN).map((run) => number(run.number) + (same ? "" : ` up to ${run.trainings} times`));
  const others = runs.length > MOST_SHOWN ? ` and ${runs.length - MOST_SHOWN} more` : "";
  return `${some.join(", ")}${others}${same ? `: up to ${runs[0].trainings} times each` : ""}`;
}

// `given.top` and `given.repeats` are what the form begins with; `begun` shows what is to come.
export function confirmBest(name, api, given, begun) {
  const top = field("How many of the best runs", given.top, 100);
  const repeats = field("Trainings of each, at most", given.repeats, 9999);
  const test = tick("then measure the winner with the study file's test(model)");
  const retry = tick("train repeats that failed once more");
  const what = text("p", "");
  what.setAttribute("role", "status");
  const runs = text("p", "");
  runs.className = "quiet";
  retry.shown.hidden = true;
  const asked = () => ({ top: Number(top.input.value), repeats: Number(repeats.input.value), retry_failed: retry.input.checked });

  const button = confirm({
    title: `Train the best runs of ${name} again?`,
    body: [
      text("p", "The run with the best value is partly the luckiest. The best runs train again with fresh seeds, the same for each; one that is shown to be worse than another trains no further."),
      top.shown,
      repeats.shown,
      test.shown,
      retry.shown,
      what,
      runs,
    ],
    yes: "Train",
    ready: false,
    work: async () => {
      await ask(`${api}/confirmation`, { method: "POST", body: { ...asked(), test: test.input.checked } });
      toast("Starting; the first repeat begins in some seconds");
      begun();
    },
  });

  const look = latest(async (signal) => {
    const planned = await ask(`${api}/confirmation`, { method: "POST", body: { ...asked(), dry_run: true }, signal });
    what.textContent = planned.trainings ? `It takes ${planned.said}.` : "Nothing is left to train: give more runs, or more trainings of each.";
    runs.textContent = listed(planned.candidates.filter((run) => run.trainings));
    retry.shown.hidden = !planned.failed;
    button.disabled = !planned.trainings && !retry.input.checked && !test.input.checked;
  });

  async function show() {
    what.className = "";
    if (![top, repeats].every((each) => each.input.checkValidity())) {
      what.textContent = "Give whole numbers of at least 1.";
      button.disabled = true;
      return;
    }
    try {
      await look();
    } catch (error) {
      what.className = "wrong";
      what.textContent = error.message;
      button.disabled = true;
    }
  }
  for (const each of [top, repeats, test, retry]) each.input.addEventListener("input", show);
  show();
}

export function stopConfirming(name, api, then) {
  confirm({
    title: `Stop training the best runs of ${name} again?`,
    body: [text("p", "Running repeats end after their present epoch, and train anew when it continues. What has ended is kept.")],
    yes: "Stop",
    work: async () => {
      await ask(`${api}/confirmation/stop`, { method: "POST" });
      toast("It stops after the running epochs");
      then();
    },
  });
}
