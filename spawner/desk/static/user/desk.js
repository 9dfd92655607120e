/**
 * The desk's page. Each state from the server is drawn anew, and a click only sends a
 * request: what it changes is drawn when the server's next state has it.
 */

import { patch } from "../shared/dom.js";
import { client, follow, Refused, SignedOut } from "../shared/live.js";
import "../shared/menu.js";
import "../shared/zone.js";
import { app, base, byId, f, firstState, strings, t, xsrf } from "../shared/script_page.js";
import { cancelConfirm, confirmed } from "./confirm.js";
import { notebookUrl } from "./examples.js";
import { flavorFor } from "./fit.js";
import { imageTitle } from "./instance.js";
import { loss } from "./loss.js";
import { memory } from "./memory.js";
import { followNotices, noticeActions } from "./notices.js";
import { notify, requestPermission } from "./notifications.js";
import { page } from "./page.js";
import { ticketTitle } from "./queue.js";
import { canQueue, canStart, chosenFlavor, chosenImage } from "./start.js";

/** @import { StartRequest, State, TicketView } from "../shared/api.d.ts" */
/** @import { Client } from "../shared/live.js" */
/** @import { Model, Ui } from "./model.d.ts" */

const RELOAD_PAUSE_MS = 30_000;

/** @type {Client<State>} */
const api = client(base, xsrf);

/** @type {State} */
let state = firstState();
let receivedAt = performance.now();
/** @type {Ui} */
const ui = {
  flavor: null, image: null, busy: null, problem: null, asked: false, before: null,
  opening: memory.get("opening"), switching: null, dismissed: memory.get("dismissed"),
};

/**
 * The choices in the page's address, as a notebook that has ended links to them. They start nothing, and
 * are taken only once: the form is the user's.
 */
function chooseFromAddress() {
  const asked = new URLSearchParams(location.search);
  const flavor = state.flavors.find(({ id }) => id === asked.get("flavor"));
  const image = state.images.find(({ id }) => id === asked.get("image"));
  if (flavor) ui.flavor = flavor.id;
  if (image) ui.image = image.id;
  if (asked.has("flavor") || asked.has("image")) history.replaceState(null, "", location.pathname);
}

/** @param {string | null} example  its id */
function setOpening(example) {
  ui.opening = example;
  memory.set("opening", example);
}

// Drawing

/** @returns {Model} */
const model = () => ({ state, ui, t, f, now: Date.parse(state.now) + performance.now() - receivedAt });

const queueLength = () => state.flavors.find(({ id }) => id === state.ticket?.flavor)?.in_line ?? 1;

/** @returns {boolean} whether the focus was moved, because its element is gone */
function render() {
  const focused = document.activeElement;
  patch(app, page(model()));
  const instanceState = state.instance?.state;
  const place = state.ticket?.place;
  document.title = instanceState
    ? `${instanceState === "running" ? "● " : ""}${t(`state_${instanceState}`)} - Freepool`
    : place ? `${t("place_of", { place: f.number(place), n: f.number(queueLength()) })} - Freepool` : "Freepool";
  if (!focused || focused.isConnected) return false;
  (document.getElementById("open") ?? document.getElementById("title"))?.focus();
  return true;
}

// A new state

/** @param {State} next */
function apply(next) {
  const age = Date.parse(state.now) - Date.parse(next.now);
  // A response and an event can arrive in the wrong order: an older state is ignored. If it
  // is older by more than a minute, the server's clock was set back, and the state is new.
  if (age > 0 && age < 60_000) return;
  const before = state.instance?.state;
  const ticket = state.ticket;
  state = next;
  receivedAt = performance.now();
  const current = state.instance?.state;

  if (current !== "running" && before !== current) cancelConfirm();
  if (!current && !state.ticket && !ui.busy && !ui.switching) setOpening(null);
  if (current === "running" && before && before !== "running") ui.switching = null;
  if (!current && before === "starting") ui.asked = false;
  if (current && current !== before) ui.problem = null;

  const focusMoved = render();
  followNotices(state, api);
  // A screen reader announces the title when the focus moves to it, but not why an instance ended.
  if (current !== before || ticket?.place !== state.ticket?.place) announce(focusMoved && current !== undefined);
  if (ticket) notifyOfTurn(ticket);
  if (current === "running" && goToExample()) return;
  // The instance that is to be deleted may be reported as running once more.
  if (current === "running" && ui.asked && state.instance?.id !== ui.before) {
    ui.asked = false;
    const focused = document.activeElement;
    // The focus stays where the user has moved it.
    if (!focused || focused === document.body || focused.closest(".hero")) byId("open").focus();
  }
  if (!current && ui.switching && !ui.busy) {
    const { flavor, image, example } = ui.switching;
    ui.switching = null;
    setOpening(example);
    send("example", "instance", { flavor, image, example });
  }
}

/** @param {boolean} focusMoved */
function announce(focusMoved) {
  const { instance, ticket } = state;
  byId("announce").textContent = focusMoved ? "" : instance ? instance.ending?.title ?? t(`${instance.state}_title`)
    : ticket ? (ticket.place ? t("line_title", { place: f.number(ticket.place) }) : t("turn_title"))
      : state.last?.text ?? t("ended");
}

/**
 * Notify the user, who may be in another tab, that an instance is assigned or starting.
 * @param {TicketView} before  the ticket in the state before
 */
function notifyOfTurn(before) {
  const { instance, ticket } = state;
  const title = ticketTitle(model(), before);
  if (ticket?.held && !before.held) notify(t("turn_title"), t("notify_held", { title }), before.id);
  else if (!ticket && instance && instance.state !== "stopping") notify(t("turn_title"), t("notify_ready", { title }), before.id);
}

/** @returns {boolean} whether the browser leaves this page */
function goToExample() {
  const example = state.examples.find(({ id }) => id === ui.opening);
  setOpening(null);
  if (!example || !state.instance || state.instance.image !== example.image) return false;
  location.assign(notebookUrl(state.instance.url, example.path));
  return true;
}

// Requests

/**
 * @param {string} control  the control to show as busy
 * @param {string} path
 * @param {StartRequest | object} [body]
 */
async function send(control, path, body = {}) {
  if (ui.busy) return;
  ui.busy = control;
  ui.problem = null;
  render();
  /** @type {State | null} */
  let next = null;
  try {
    next = await api.post(path, body);
    if (path.startsWith("session/")) next = await api.state();  // its answer is the session's
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
  if (next) apply(next);
  render();
  if (ui.problem) app.querySelector(".alert")?.scrollIntoView({ block: "center" });
}

function signedOut() {
  // Reload at most once in RELOAD_PAUSE_MS: the page may load although its API refuses.
  const previous = Number(memory.get("reloaded") ?? 0);
  if (Date.now() - previous > RELOAD_PAUSE_MS) {
    memory.set("reloaded", String(Date.now()));
    if (memory.get("reloaded")) return location.reload();
  }
  ui.busy = null;
  ui.problem = { message: t("signed_out"), next: t("signed_out_next"), details: "" };
  render();
}

/** Note that this tab asked for the next instance that runs. */
function askForNext() {
  ui.asked = true;
  ui.before = state.instance?.id ?? null;
}

// Questions whose action deletes the files of a running notebook.
const WIPING = new Set(["stop", "restart", "switch", "take"]);

/** @param {string} name  of the question */
const confirmAction = (name, values = {}) => confirmed({
  title: t(`confirm_${name}_title`, values), text: t(`confirm_${name}_text`, values),
  action: t(strings[`confirm_${name}_action`] ? `confirm_${name}_action` : "confirm_restart_action"), cancel: t("cancel"),
  more: WIPING.has(name) && state.instance?.state === "running"
    ? loss({ base, xsrf, t, f, filesUrl: state.instance.files_url }) : null,
});

/** @type {Record<string, (control: HTMLElement) => unknown>} */
const actions = {
  ...noticeActions(() => state, send),
  start() {
    const flavor = chosenFlavor(model());
    const image = chosenImage(model());
    if (!flavor || !image || !(canStart(flavor) || canQueue(flavor))) return;
    askForNext();
    send("start", "instance", { flavor: flavor.id, image: image.id });
  },
  cancel() {
    ui.asked = false;
    setOpening(null);
    send("cancel", "instance/stop");
  },
  async stop() {
    if (!(await confirmAction("stop"))) return;
    ui.asked = false;
    send("stop", "instance/stop");
  },
  async restart() {
    if (!(await confirmAction("restart"))) return;
    askForNext();
    send("restart", "instance/restart");
  },
  async leave() {
    const { ticket } = state;
    if (!ticket || !(await confirmAction("leave", { title: ticketTitle(model(), ticket) }))) return;
    if (!state.instance) ui.asked = false;
    send("leave", "ticket/cancel");
  },
  async take() {
    const { ticket } = state;
    if (!ticket || !(await confirmAction("take", { title: ticketTitle(model(), ticket) }))) return;
    askForNext();
    send("take", "ticket/take");
  },
  instead({ dataset }) {
    const flavor = state.flavors.find(({ id }) => id === dataset.flavor);
    const image = state.images.find(({ id, available }) => available && id === state.ticket?.image) ?? chosenImage(model());
    if (!flavor || !image) return;
    askForNext();
    send(`instead-${flavor.id}`, "instance", { flavor: flavor.id, image: image.id });
  },
  async notify() {
    await requestPermission();
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
      if (!(await confirmAction("switch", { title: example.title, image }))) return;
      setOpening(null);
      ui.switching = { flavor: running.flavor, image: example.image, example: example.id };
      send("switch", "instance/stop");
    } else {
      const flavor = flavorFor(example, model());
      if (!flavor) return;
      setOpening(example.id);
      send("example", "instance", { flavor: flavor.id, image: example.image, example: example.id });
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

chooseFromAddress();
patch(app, []);
render();
followNotices(state, api);
if (!state.instance) setOpening(null);
else if (state.instance.state === "running" && ui.opening) goToExample();

follow(api, {
  state: apply,
  connected: (yes) => { byId("connection").textContent = yes ? "" : t("reconnecting"); },
  signedOut,
});

// Ages and countdowns change between the server's states.
setInterval(() => { if ((state.instance || state.ticket || state.paid?.instances.length) && !document.hidden) render(); }, 1000);
