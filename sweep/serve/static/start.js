// The start page: the preview of a study file, which takes a worker some seconds, and the start itself.

import { ask, latest, said } from "/static/request.js";

const $ = (id) => document.getElementById(id);
const form = $("start");

let refused = false; // whether the file cannot be started
let starting = false;

function button() {
  $("start-now").disabled = refused || starting;
}

async function preview() {
  try {
    $("preview").innerHTML = await ask(form.dataset.preview);
    refused = $("preview").querySelector("[data-refused]") !== null;
    button();
  } catch (error) {
    const line = document.createElement("p");
    line.className = "wrong";
    line.textContent = error.message;
    $("preview").replaceChildren(line);
  }
}

// Whether a study has the name already, whose trials that are done count.
const standing = latest(async (signal) => {
  const name = form.elements.name.value.trim() || form.dataset.study;
  $("standing").innerHTML = await ask(`/start/standing?name=${encodeURIComponent(name)}`, { signal });
  least();
});

function least() {
  form.elements.trials.min = Math.max(1, Number($("standing").querySelector("[data-done]")?.dataset.done || 1));
}

// What was written for a parameter: a number, true, false or none where it reads as one, else text.
function value(text) {
  if (/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text)) return Number(text);
  return { true: true, false: false, none: null }[text] ?? (text === "none" ? null : text);
}

const SECONDS = { s: 1, m: 60, h: 3600, d: 86400 };

function setting(field) {
  const text = field.value.trim();
  if ("time" in field.dataset) return parseFloat(text) * (SECONDS[text.at(-1)] || 1);
  return field.type === "number" ? Number(text) : text;
}

function settings() {
  const given = { file: form.dataset.file };
  for (const field of form.querySelectorAll("input[name], select[name]")) {
    if (field.value.trim()) given[field.name] = setting(field);
  }
  const fixed = [...form.querySelectorAll("[data-fixed]")].filter((field) => field.value.trim());
  const kept = (field) => (field.matches("select") ? JSON.parse(field.value) : value(field.value.trim()));
  if (fixed.length) given.fixed = Object.fromEntries(fixed.map((field) => [field.dataset.fixed, kept(field)]));
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
  starting = true;
  button();
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
    starting = false;
    button();
  }
});
// What was wrong is no longer said once something is changed about it.
form?.addEventListener("input", (event) => {
  $("start-wrong").hidden = true;
  if (event.target.name === "name") standing().catch(() => {});
});

if (form) {
  button(); // a click before this script listened would send the form nowhere and lose what it held
  least();
  preview();
}
document.documentElement.dataset.ready = "true";
