// The start page: the preview of a study file, which takes a worker some seconds, and the start itself.

import { ask, latest, said } from "/static/request.js";

const $ = (id) => document.getElementById(id);
const form = $("start");

let refused = false; // whether the file cannot be started
let starting = false;

function button() {
  $("start-now").disabled = refused || starting || "closed" in $("start-now").dataset;
}

async function preview() {
  try {
    $("preview").innerHTML = await ask(form.dataset.preview, { method: "POST" });
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
  const field = form.elements.trials;
  field.min = Math.max(1, Number($("standing").querySelector("[data-done]")?.dataset.done || 1));
  field.dataset.expected = `a whole number of at least ${field.min}`;
}

// What was written for a parameter: a number, true, false or none where it reads as one, else text.
function value(text) {
  if (/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text)) return Number(text);
  return { true: true, false: false, none: null }[text] ?? (text === "none" ? null : text);
}

// What a field says, as the API takes it; undefined where it is left empty.
function setting(field) {
  if (field.type === "checkbox") return field.checked || undefined;
  const text = field.value.trim();
  if (!text) return undefined;
  if (field.matches("textarea")) return text.split("\n").map((line) => line.trim()).filter(Boolean);
  return field.type === "number" ? Number(text) : text;
}

function settings() {
  const given = { file: form.dataset.file }; // what is undefined is not sent
  for (const field of form.querySelectorAll("[name]")) given[field.name] = setting(field);
  const fixed = [...form.querySelectorAll("[data-fixed]")].filter((field) => field.value.trim());
  const kept = (field) => (field.matches("select") ? JSON.parse(field.value) : value(field.value.trim()));
  if (fixed.length) given.fixed = Object.fromEntries(fixed.map((field) => [field.dataset.fixed, kept(field)]));
  return given;
}

function wrong(text) {
  $("start-wrong").textContent = text;
  $("start-wrong").hidden = false;
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
    wrong(error.problem ? said(error.problem) : error.message);
    $("starting").textContent = "";
    $("starting").classList.remove("turning");
    starting = false;
    button();
  }
});
// The browser finds some faults before the service does, and they read as the service's do.
form?.addEventListener(
  "invalid",
  (event) => {
    event.preventDefault();
    const { name, value, type, dataset } = event.target;
    const given = type === "number" ? value || "that" : `'${value}'`; // a number field does not tell what is no number
    if ($("start-wrong").hidden) wrong(`${name} must be ${dataset.expected}, not ${given}.`);
  },
  true,
);
$("start-now")?.addEventListener("click", () => ($("start-wrong").hidden = true));
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
