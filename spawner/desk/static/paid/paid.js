/**
 * The paid path's pages are whole without this: it only keeps them fresh, writes times in the reader's own zone, and
 * copies documents.
 */

import { patch } from "../shared/dom.js";
import { formats } from "../shared/format.js";
import { client, follow } from "../shared/live.js";
import "../shared/menu.js";

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

let asked = 0;

/** The same page as it is now. */
async function refresh() {
  const number = ++asked;
  const answer = await fetch(location.href, { cache: "no-store", headers: { "X-XSRFToken": xsrf } });
  if (!answer.ok || answer.redirected || number !== asked) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const next = page.getElementById("app");
  if (!next || number !== asked) return;
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
// Coming back to a page that the browser has kept: its form may be sent again, and the server knows what was answered.
addEventListener("pageshow", ({ persisted }) => { if (persisted) location.reload(); });

document.addEventListener("click", async ({ target }) => {
  const button = /** @type {Element} */ (target).closest("[data-copy]");
  if (!(button instanceof HTMLElement)) return;
  const text = document.getElementById(button.dataset.copy ?? "")?.textContent ?? "";
  try {
    await navigator.clipboard.writeText(text);
    /** @type {HTMLElement} */ (document.getElementById("announce")).textContent = button.dataset.done ?? "";
    /** @type {Text} */ (button.firstChild).nodeValue = button.dataset.done ?? "";
  } catch { /* the text can be selected and copied by hand */ }
});

localize(document);
if ("live" in document.body.dataset) {
  const api = client(base, xsrf);
  follow(api.events, api.state, { state: refresh, connected: () => {}, signedOut: () => location.reload() });
}
