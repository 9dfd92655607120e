/**
 * Keeps the paid pages up to date, shows times in the browser's zone, and copies documents.
 * The pages also work without this script.
 */

import { patch } from "../shared/dom.js";
import { formats } from "../shared/format.js";
import { client, follow } from "../shared/live.js";
import "../shared/menu.js";
import "../shared/zone.js";

/** @import { State } from "../shared/api.d.ts" */
/** @import { Client } from "../shared/live.js" */

const { base = "/", xsrf = "" } = document.body.dataset;
const app = /** @type {HTMLElement} */ (document.getElementById("app"));
const f = formats(document.documentElement.lang);

/** @param {ParentNode} root */
function localize(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    time.textContent = f.date(Date.parse(time.getAttribute("datetime") ?? ""));
  }
  for (const button of root.querySelectorAll("[data-copy]")) button.removeAttribute("hidden");
}

let refreshes = 0;

/** Load this page again and update what has changed. Only the newest of several refreshes counts. */
async function refresh() {
  const number = ++refreshes;
  const response = await fetch(location.href, { cache: "no-store", headers: { "X-XSRFToken": xsrf } });
  if (!response.ok || response.redirected || number !== refreshes) return;
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const next = page.getElementById("app");
  if (!next || number !== refreshes) return;
  localize(next);
  const before = app.querySelector(".status")?.textContent;
  const focused = document.activeElement;
  patch(app, [...next.childNodes]);
  const after = app.querySelector(".status")?.textContent;
  if (after && after !== before) /** @type {HTMLElement} */ (document.getElementById("announce")).textContent = after;
  if (focused && !focused.isConnected) document.getElementById("title")?.focus();
}

document.addEventListener("submit", (event) => {
  const form = /** @type {HTMLFormElement} */ (event.target);
  if (!form.hasAttribute("data-once")) return;
  if (form.dataset.sent) return event.preventDefault();
  form.dataset.sent = "yes";
  const button = form.querySelector("button[data-busy]");
  if (button instanceof HTMLElement) button.textContent = button.dataset.busy ?? "";
});
// A page from the back-forward cache is loaded again: its form may be sent again, and its state may be old.
addEventListener("pageshow", ({ persisted }) => { if (persisted) location.reload(); });

document.addEventListener("click", async ({ target }) => {
  const button = /** @type {Element} */ (target).closest("[data-copy]");
  if (!(button instanceof HTMLElement)) return;
  const text = document.getElementById(button.dataset.copy ?? "")?.textContent ?? "";
  try {
    await navigator.clipboard.writeText(text);
    /** @type {HTMLElement} */ (document.getElementById("announce")).textContent = button.dataset.done ?? "";
    /** @type {Text} */ (button.firstChild).nodeValue = button.dataset.done ?? "";
  } catch { /* the user can select and copy the text */ }
});

localize(document);
if ("live" in document.body.dataset) {
  /** @type {Client<State>} */
  const api = client(base, xsrf);
  follow(api, { state: refresh, connected: () => {}, signedOut: () => location.reload() });
}
