// The start page: the preview of a study file, which takes a worker some seconds, and the start itself.

import { ask, said } from "/static/request.js";

const $ = (id) => document.getElementById(id);
const form = $("start");

async function preview() {
  try {
    $("preview").innerHTML = await ask(form.dataset.preview);
  } catch (error) {
    const line = document.createElement("p");
    line.className = "wrong";
    line.textContent = error.message;
    $("preview").replaceChildren(line);
  }
}

// What was written for a parameter: a number, true, false or none where it reads as one, else text.
function value(text) {
  if (/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text)) return Number(text);
  return { true: true, false: false, none: null }[text] ?? (text === "none" ? null : text);
}

function settings() {
  const given = { file: form.dataset.file };
  for (const field of form.querySelectorAll("input[name]")) {
    if (field.value.trim()) given[field.name] = field.type === "number" ? Number(field.value) : field.value.trim();
  }
  const fixed = [...form.querySelectorAll("[data-fixed]")].filter((field) => field.value.trim());
  if (fixed.length) given.fixed = Object.fromEntries(fixed.map((field) => [field.dataset.fixed, value(field.value.trim())]));
  return given;
}

async function started(start) {
  for (;;) {
    const now = await ask(`/api/starts/${start}`);
    if (now.state === "running" || now.state === "ended") return void location.assign(`/studies/${encodeURIComponent(now.study)}`);
    if (now.state === "failed") throw new Error(now.problem || "it ended before it began");
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
}

form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = $("start-now");
  button.disabled = true;
  $("start-wrong").hidden = true;
  $("starting").textContent = "starting: a worker is loading the study file";
  $("starting").classList.add("turning");
  try {
    const { start } = await ask("/api/starts", { method: "POST", body: settings() });
    await started(start);
  } catch (error) {
    $("start-wrong").textContent = error.problem ? said(error.problem) : error.message;
    $("start-wrong").hidden = false;
    $("starting").textContent = "";
    $("starting").classList.remove("turning");
    button.disabled = false;
  }
});

if (form) {
  $("start-now").disabled = false; // a click before this script listened would send the form nowhere and lose what it held
  preview();
}
document.documentElement.dataset.ready = "true";
