/** Keeps the numbers of the landing page current while it is visible. */

/** @import { FreeAnswer } from "../shared/api.d.ts" */

const EVERY_MS = 15_000;
const { base = "/" } = document.body.dataset;

async function look() {
  if (document.hidden) return;
  const answer = await fetch(`${base}api/free`).catch(() => null);
  if (!answer?.ok) return;
  const { flavors } = /** @type {FreeAnswer} */ (await answer.json());
  for (const { id, text, is_free } of flavors) {
    const row = document.querySelector(`[data-flavor="${CSS.escape(id)}"]`);
    const said = row?.querySelector(".free-text");
    if (said && said.textContent !== text) said.textContent = text;
    row?.classList.toggle("is-free", is_free);
  }
}

setInterval(look, EVERY_MS);
document.addEventListener("visibilitychange", look);
