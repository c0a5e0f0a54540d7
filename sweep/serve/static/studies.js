// The list of studies, asked for again every few seconds while the page is looked at.

import { ask } from "/static/request.js";

const list = document.getElementById("studies");
let shown = null;

async function refresh() {
  if (document.hidden) return;
  const html = await ask("/studies");
  if (shown !== null && html !== shown) list.innerHTML = html;
  shown = html;
}

list.addEventListener("click", (event) => {
  const row = event.target.closest("tr[data-href]");
  if (row && !event.target.closest("a") && !getSelection().toString()) location.assign(row.dataset.href);
});
setInterval(() => refresh().catch(() => {}), 2500);
document.documentElement.dataset.ready = "true";
