/** Asks the desk to open the link, until it is open or the user must decide. */

/** @import { OpenView } from "../shared/api.d.ts" */

const WORKING = ["queued", "starting", "stopping", "fetching"];
// The server holds an answer that says "not yet". After an error nothing does.
const PAUSE_MS = 2000;
const SHORT_MS = 150;
const { base = "/", xsrf = "" } = document.body.dataset;
/** @param {string} id */
const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
/** @param {number} ms */
const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

/** @returns {Promise<OpenView | null>} null: no answer, or one that is not the desk's */
async function ask() {
  try {
    const answer = await fetch(`${base}api/open?wait=yes`, {
      method: "POST", redirect: "manual", cache: "no-store",
      headers: { "Content-Type": "application/json", "X-XSRFToken": xsrf }, body: "{}",
    });
    if (answer.status === 403 || answer.type === "opaqueredirect") location.assign(`${base}open/wait`);
    const body = await answer.json();
    return answer.ok ? body : null;
  } catch {
    return null;
  }
}

/** @param {OpenView} view */
function show({ text, next, details, state, url }) {
  byId("progress").textContent = text;
  byId("next").textContent = next ?? "";
  byId("details").textContent = details ?? "";
  byId("details").hidden = !details;
  byId("again").hidden = WORKING.includes(state) || state === "ready" || state === "none";
  if (state === "ready" && url) location.replace(url);
}

async function run() {
  for (;;) {
    const view = await ask();
    if (view) {
      show(view);
      if (!WORKING.includes(view.state)) return;
    } else {
      const progress = byId("progress");
      progress.textContent = progress.dataset.lost ?? "";
    }
    await pause(view ? SHORT_MS : PAUSE_MS);
  }
}

run();
