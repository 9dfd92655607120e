/** The administrator's page. Each state from the server is drawn anew, and a form only sends a request. */

import { patch } from "../shared/dom.js";
import { client, follow, Refused, SignedOut } from "../shared/live.js";
import "../shared/menu.js";
import "../shared/zone.js";
import { app, base, byId, f, firstState, t, xsrf } from "../shared/script_page.js";
import { local, numeric, openForm, zoned } from "./dialog.js";
import { page } from "./page.js";

/** @import { AdminState } from "../shared/api.d.ts" */
/** @import { Client, Problem } from "../shared/live.js" */

const HOUR_MS = 3_600_000;

/** @type {Client<AdminState>} */
const api = client(base, xsrf, { state: "admin", events: "admin/events", changes: "admin/" });

/** @type {AdminState} */
let state = firstState();
/** @type {Problem | null} */
let problem = null;
let receivedAt = performance.now();

const now = () => Date.parse(state.now) + performance.now() - receivedAt;

function render() {
  const focused = document.activeElement;
  patch(app, page({ state, problem, now: now(), t, f }));
  if (focused && !focused.isConnected) document.getElementById("title")?.focus();
}

/** @param {AdminState} next */
function apply(next) {
  if (Date.parse(next.now) < Date.parse(state.now)) return;
  state = next;
  receivedAt = performance.now();
  render();
}

function signedOut() {
  problem = { message: t("signed_out"), next: t("signed_out_next"), details: "" };
  render();
}

/**
 * @param {string} path
 * @param {object} [body]
 * @returns {Promise<Problem | null>} why the request failed
 */
async function change(path, body = {}) {
  problem = null;
  try {
    apply(await api.post(path, body));
    byId("announce").textContent = t("saved");
    return null;
  } catch (error) {
    if (error instanceof SignedOut) return { message: t("signed_out"), next: t("signed_out_next"), details: "" };
    if (!(error instanceof Refused)) return { message: t("no_answer"), next: t("no_answer_next"), details: "" };
    return error.message
      ? { message: error.message, next: error.next, details: "" }
      : { message: t("unknown_error"), next: t("unknown_error_next"), details: "" };
  }
}

/**
 * @param {string} path
 * @param {object} [body]
 */
async function changeNow(path, body) {
  problem = await change(path, body);
  if (problem) render();
}

/** @param {string | undefined} id */
const flavorOf = (id) => state.flavors.find((flavor) => flavor.id === id);
const cancel = t("cancel");

/** @type {Record<string, (data: DOMStringMap) => unknown>} */
const actions = {
  dismiss() { problem = null; render(); },
  pause({ flavor }) {
    const title = flavorOf(flavor)?.title ?? flavor ?? "";
    openForm({
      title: t("pause_title", { flavor: title }), text: t("pause_text"), action: t("pause"), cancel,
    }, () => change("pause", { flavor }));
  },
  resume: ({ flavor }) => changeNow("resume", { flavor }),
  drain() {
    const { ends_all_at: at = null, reason = "" } = state.drain ?? {};
    openForm({
      title: t("drain_title"), text: t("drain_text"), action: t("drain_action"), cancel, danger: true,
      fields: [
        {
          name: "at", label: t("drain_at"), type: "datetime-local", hint: zone(), value: at ? local(Date.parse(at)) : "",
        },
        { name: "reason", label: t("drain_reason"), type: "text", value: reason },
      ],
    }, ({ at: time, reason: text }) => change("drain", { at: time ? zoned(time) : null, reason: text }));
  },
  "drain-end": () => changeNow("drain/end"),
  floor({ flavor, image }) {
    const view = flavorOf(flavor);
    const target = view?.targets.find((each) => each.image === image);
    if (!view || !target) return;
    openForm({
      title: t("floor_title", { flavor: `${view.title}, ${target.image_title}` }), text: t("floor_text"),
      action: t("save"), cancel, also: target.floor ? t("floor_clear") : "",
      fields: [{
        name: "slots", label: t("floor_slots"), type: "number",
        value: String(target.floor?.slots ?? target.catalog_floor ?? 0),
      }],
    }, ({ slots }, clear) => change("floor", { flavor, image, slots: clear ? null : numeric(slots) }));
  },
  "floor-add"({ flavor }) {
    const view = flavorOf(flavor);
    if (!view) return;
    const images = state.images.filter(({ id }) => !view.targets.some((target) => target.image === id));
    openForm({
      title: t("floor_title", { flavor: view.title }), text: t("floor_text"), action: t("save"), cancel,
      fields: [
        { name: "image", label: t("plan_image"), type: "select", options: images },
        { name: "slots", label: t("floor_slots"), type: "number", value: "1" },
      ],
    }, ({ image, slots }) => change("floor", { flavor, image, slots: numeric(slots) }));
  },
  "plan-add"() {
    const hour = Math.ceil((now() + 1) / HOUR_MS) * HOUR_MS;
    openForm({
      title: t("plan_title"), text: t("plans_lead"), action: t("save"), cancel,
      fields: [
        { name: "name", label: t("plan_name"), type: "text", hint: t("plan_name_hint"), narrow: true },
        { name: "slots", label: t("plan_slots"), type: "number", value: "10", narrow: true },
        { name: "flavor", label: t("plan_flavor"), type: "select", options: state.flavors, narrow: true },
        { name: "image", label: t("plan_image"), type: "select", options: state.images, narrow: true },
        {
          name: "begins", label: t("plan_begins"), type: "datetime-local", value: local(hour), hint: zone(), narrow: true,
        },
        {
          name: "ends", label: t("plan_ends"), type: "datetime-local", value: local(hour + 2 * HOUR_MS), narrow: true,
        },
        { name: "weekly", label: t("plan_weekly"), type: "checkbox" },
      ],
    }, ({ slots, begins, ends, ...rest }) => change("plan", {
      ...rest, slots: numeric(slots), begins: zoned(begins), ends: zoned(ends),
    }));
  },
  "plan-remove"({ name = "" }) {
    openForm({
      title: t("plan_remove_title", { name }), text: t("plan_remove_text"), action: t("plan_remove"), cancel,
      danger: true,
    }, () => change("unplan", { name }));
  },
  "ignored-remove"({ name }) {
    const setting = state.ignored.find((each) => each.name === name);
    if (setting) changeNow(setting.path, setting.body);
  },
};

function zone() {
  return t("plan_zone", { zone: Intl.DateTimeFormat().resolvedOptions().timeZone });
}

app.addEventListener("click", ({ target }) => {
  const control = /** @type {Element} */ (target).closest("[data-action]");
  if (control instanceof HTMLElement) actions[control.dataset.action ?? ""]?.(control.dataset);
});

patch(app, []);
render();
follow(api, {
  state: apply,
  connected: (yes) => { byId("connection").textContent = yes ? "" : t("reconnecting"); },
  signedOut,
});
