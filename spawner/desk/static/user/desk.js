/**
 * The desk: draws the page from the server's state, again on each new state.
 * There is no other source of truth; a click only asks the server.
 */

import { confirmed, withdraw } from "./confirm.js";
import { patch } from "../shared/dom.js";
import { notebookUrl } from "./examples.js";
import { fill, formats } from "../shared/format.js";
import { imageTitle } from "./instance.js";
import { canQueue, canStart, chosenFlavor, chosenImage } from "./start.js";
import { ticketTitle } from "./queue.js";
import { client, follow, Refused, SignedOut } from "../shared/live.js";
import { memory } from "./memory.js";
import { askToTell, tell } from "./notifications.js";
import { page } from "./page.js";
import "../shared/menu.js";

/** @typedef {import("../shared/types.js").State} State */
/** @typedef {import("../shared/types.js").Ui} Ui */

const RELOAD_PAUSE_MS = 30_000;

/** @param {string} id */
const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
/** @param {string} id */
const data = (id) => JSON.parse(byId(id).textContent ?? "null");

const { base = "/", xsrf = "" } = document.body.dataset;
const app = byId("app");
const api = client(base, xsrf);
const f = formats(document.documentElement.lang);
/** @type {Record<string, string>} */
const words = data("strings");
/** @type {import("../shared/types.js").Translate} */
const t = (key, values = {}) => fill(words[key] ?? key, values);

/** @type {State} */
let state = data("state");
let receivedAt = performance.now();
/** @type {Ui} */
const ui = {
  flavor: null, image: null, busy: null, problem: null, asked: false, before: null,
  opening: memory.get("opening"), switching: null, dismissed: memory.get("dismissed"),
};

/** @param {?string} example */
function setOpening(example) {
  ui.opening = example;
  memory.set("opening", example);
}

// Drawing

/** @returns {import("../shared/types.js").Model} */
const model = () => ({ state, ui, t, f, now: Date.parse(state.now) + performance.now() - receivedAt });

const lineLength = () => state.flavors.find(({ id }) => id === state.ticket?.flavor)?.in_line ?? 1;

/** @returns {boolean} whether the focus had to be moved */
function render() {
  const focused = document.activeElement;
  patch(app, page(model()));
  const run = state.instance?.state;
  const place = state.ticket?.place;
  document.title = run ? `${run === "running" ? "● " : ""}${t(`state_${run}`)} - Freepool`
    : place ? `${t("place_of", { place: f.number(place), n: f.number(lineLength()) })} - Freepool` : "Freepool";
  if (!focused || focused.isConnected) return false;
  (document.getElementById("open") ?? document.getElementById("title"))?.focus();
  return true;
}

// A new state

/** @param {State} next */
function apply(next) {
  const age = Date.parse(state.now) - Date.parse(next.now);
  // An answer and an event can overtake each other. A much older clock is a
  // clock that was set back, and that has to be believed.
  if (age > 0 && age < 60_000) return;
  const before = state.instance?.state;
  const ticket = state.ticket;
  state = next;
  receivedAt = performance.now();
  const run = state.instance?.state;

  if (run !== "running" && before !== run) withdraw();
  if (!run && !state.ticket && !ui.busy && !ui.switching) setOpening(null);
  if (run === "running" && before && before !== "running") ui.switching = null;
  if (!run && before === "starting") ui.asked = false;
  if (run && run !== before) ui.problem = null;

  const moved = render();
  // Moving the focus has already read out the new title, but not why one ended.
  if (run !== before || ticket?.place !== state.ticket?.place) announce(moved && run !== undefined);
  if (ticket) tellNews(ticket);
  if (run === "running" && goToExample()) return;
  // What is to be wiped may be told to run once more.
  if (run === "running" && ui.asked && state.instance?.id !== ui.before) {
    ui.asked = false;
    const place = document.activeElement;
    // Whoever has gone on to something else is left there.
    if (!place || place === document.body || place.closest(".hero")) byId("open").focus();
  }
  if (!run && ui.switching && !ui.busy) {
    const { flavor, image, example } = ui.switching;
    ui.switching = null;
    setOpening(example);
    ask("example", "instance", { flavor, image, example });
  }
}

/** @param {boolean} said */
function announce(said) {
  const run = state.instance?.state;
  const { ticket } = state;
  byId("announce").textContent = said ? "" : run ? t(`${run}_title`)
    : ticket ? (ticket.place ? t("line_title", { place: f.number(ticket.place) }) : t("turn_title"))
      : state.last?.text ?? t("ended");
}

/**
 * What has come of waiting is news for somebody who looks elsewhere.
 * @param {import("../shared/types.js").Ticket} before
 */
function tellNews(before) {
  const { instance, ticket } = state;
  const title = ticketTitle(model(), before);
  if (ticket?.held && !before.held) tell(t("turn_title"), t("notify_held", { title }), before.id);
  else if (!ticket && instance && instance.state !== "stopping") tell(t("turn_title"), t("notify_ready", { title }), before.id);
}

/** @returns {boolean} whether the page is being left */
function goToExample() {
  const example = state.examples.find(({ id }) => id === ui.opening);
  setOpening(null);
  if (!example || !state.instance || state.instance.image !== example.image) return false;
  location.assign(notebookUrl(state.instance.url, example.path));
  return true;
}

// Asking the server

/**
 * @param {string} control  what shows that it is busy
 * @param {string} path
 * @param {object} [body]
 */
async function ask(control, path, body = {}) {
  if (ui.busy) return;
  ui.busy = control;
  ui.problem = null;
  render();
  /** @type {?State} */
  let answer = null;
  try {
    answer = await api.post(path, body);
  } catch (error) {
    if (error instanceof SignedOut) return signedOut();
    ui.problem = error instanceof Refused
      ? {
        message: error.message || t("unknown_error"),
        next: error.message ? error.next : t("unknown_error_next"),
        details: error.details,
      }
      : { message: t("no_answer"), next: t("no_answer_next"), details: "" };
    ui.switching = null;
    ui.asked = false;
    if (!state.instance && !state.ticket) setOpening(null);
  }
  ui.busy = null;
  if (answer) apply(answer);
  render();
  if (ui.problem) app.querySelector(".alert")?.scrollIntoView({ block: "center" });
}

function signedOut() {
  // A page that loads while its API refuses would otherwise reload for ever.
  const previous = Number(memory.get("reloaded") ?? 0);
  if (Date.now() - previous > RELOAD_PAUSE_MS) {
    memory.set("reloaded", String(Date.now()));
    if (memory.get("reloaded")) return location.reload();
  }
  ui.busy = null;
  ui.problem = { message: t("signed_out"), next: t("signed_out_next"), details: "" };
  render();
}

/** The next instance that runs is the one that was asked for here. */
function askForNext() {
  ui.asked = true;
  ui.before = state.instance?.id ?? null;
}

/** @param {string} title */
const question = (title, values = {}) => confirmed({
  title: t(`confirm_${title}_title`, values), text: t(`confirm_${title}_text`, values),
  action: t(words[`confirm_${title}_action`] ? `confirm_${title}_action` : "confirm_restart_action"), cancel: t("cancel"),
});

/** @type {Record<string, (control: HTMLElement) => unknown>} */
const actions = {
  start() {
    const flavor = chosenFlavor(model());
    const image = chosenImage(model());
    if (!flavor || !image || !(canStart(flavor) || canQueue(flavor))) return;
    askForNext();
    ask("start", "instance", { flavor: flavor.id, image: image.id });
  },
  cancel() {
    ui.asked = false;
    setOpening(null);
    ask("cancel", "instance/stop");
  },
  async stop() {
    if (!(await question("stop"))) return;
    ui.asked = false;
    ask("stop", "instance/stop");
  },
  async restart() {
    if (!(await question("restart"))) return;
    askForNext();
    ask("restart", "instance/restart");
  },
  async leave() {
    const { ticket } = state;
    if (!ticket || !(await question("leave", { title: ticketTitle(model(), ticket) }))) return;
    if (!state.instance) ui.asked = false;
    ask("leave", "ticket/cancel");
  },
  async take() {
    const { ticket } = state;
    if (!ticket || !(await question("take", { title: ticketTitle(model(), ticket) }))) return;
    askForNext();
    ask("take", "ticket/take");
  },
  instead({ dataset }) {
    const flavor = state.flavors.find(({ id }) => id === dataset.flavor);
    const image = state.images.find(({ id, available }) => available && id === state.ticket?.image) ?? chosenImage(model());
    if (!flavor || !image) return;
    askForNext();
    ask(`instead-${flavor.id}`, "instance", { flavor: flavor.id, image: image.id });
  },
  async notify() {
    await askToTell();
    render();
  },
  async example({ dataset }) {
    const example = state.examples.find(({ id }) => id === dataset.example);
    if (!example) return;
    const running = state.instance;
    if (running?.image === example.image) {
      setOpening(example.id);
      if (running.state === "running") goToExample();
      else render();
    } else if (running) {
      const image = imageTitle(model(), example.image);
      if (!(await question("switch", { title: example.title, image }))) return;
      setOpening(null);
      ui.switching = { flavor: running.flavor, image: example.image, example: example.id };
      ask("switch", "instance/stop");
    } else {
      const flavor = chosenFlavor(model());
      if (!flavor) return;
      setOpening(example.id);
      ask("example", "instance", { flavor: flavor.id, image: example.image, example: example.id });
    }
  },
  "dismiss-problem"() { ui.problem = null; render(); },
  "dismiss-last"() {
    ui.dismissed = state.last?.ended_at ?? null;
    memory.set("dismissed", ui.dismissed);
    render();
  },
};

/** @param {Event} event */
function act(event) {
  const control = /** @type {Element} */ (event.target).closest("[data-action]");
  if (!(control instanceof HTMLElement) || (control instanceof HTMLFormElement) !== (event.type === "submit")) return;
  if (event.type === "submit") event.preventDefault();
  if (control.getAttribute("aria-disabled") === "true" || ui.busy) return;
  actions[control.dataset.action ?? ""]?.(control);
}

app.addEventListener("click", act);
app.addEventListener("submit", act);
app.addEventListener("change", ({ target }) => {
  if (target instanceof HTMLInputElement && target.name === "flavor") ui.flavor = target.value;
  if (target instanceof HTMLSelectElement && target.name === "image") ui.image = target.value;
  render();
});

patch(app, []);
render();
if (!state.instance) setOpening(null);
else if (state.instance.state === "running" && ui.opening) goToExample();

follow(api.events, api.state, {
  state: apply,
  connected: (yes) => { byId("connection").textContent = yes ? "" : t("reconnecting"); },
  signedOut,
});

// Ages and countdowns move without the server saying anything new.
setInterval(() => { if ((state.instance || state.ticket || state.paid?.instances.length) && !document.hidden) render(); }, 1000);
