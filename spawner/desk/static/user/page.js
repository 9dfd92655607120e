/** Everything under the header, from top to bottom. */

import { h, icon } from "../shared/dom.js";
import { examples } from "./examples.js";
import { instance } from "./instance.js";
import { launch } from "./start.js";
import { besides, line } from "./queue.js";
import { ownCloud } from "./paid.js";

/** @typedef {import("../shared/types.js").Model} Model */

/**
 * @param {string} action
 * @param {Model} model
 */
const dismissButton = (action, { t }) => h(
  "button", { class: "dismiss", type: "button", "data-action": action, "aria-label": t("dismiss") }, icon("close"),
);

/**
 * @param {Model} model
 * @returns {Node[]}
 */
export function page(model) {
  const { state: { pool, last, ...state }, ui, t, f, now } = model;
  const hasPaid = Boolean(state.paid?.instances.length);
  return [
    pool.notice && h("p", { class: "banner", key: "notice" }, icon("warning"), h("span", {}, pool.notice)),
    pool.maintenance && h(
      "p", { class: "banner", key: "maintenance" }, icon("warning"),
      h("span", {}, [
        pool.maintenance.at
          ? t("closes_at", { time: f.clock(Date.parse(pool.maintenance.at), now) }) : t("closed"), pool.maintenance.reason,
      ].filter(Boolean).join(" ")),
    ),
    // Always there: a live region has to exist before its text does.
    h(
      "div", { role: "alert", key: "alert" },
      ui.problem && h(
        "div", { class: "alert" }, icon("warning"),
        h(
          "div", { class: "words" },
          h("p", {}, h("strong", {}, ui.problem.message), ui.problem.next && ` ${ui.problem.next}`),
          details(model, ui.problem.details),
        ),
        dismissButton("dismiss-problem", model),
      ),
    ),
    last && !state.instance && !state.ticket && last.ended_at !== ui.dismissed && h(
      "div", { class: last.failed ? "last failed" : "last", key: "last" }, icon(last.failed ? "warning" : "info"),
      h(
        "div", { class: "words" },
        h("p", {}, h("time", { datetime: last.ended_at }, f.clock(Date.parse(last.ended_at), now)), last.text),
        details(model, last.details),
      ),
      dismissButton("dismiss-last", model),
    ),
    state.instance && state.ticket && besides(model, state.ticket),
    state.instance ? instance(model, state.instance) : state.ticket ? line(model, state.ticket) : launch(model),
    // What costs money is seen at once; what could cost money waits below all that is free.
    hasPaid && ownCloud(model),
    examples(model),
    !hasPaid && ownCloud(model),
  ].filter((node) => node instanceof Node);
}

/**
 * A program's or a cluster's own words, for the reader who wants to know more.
 * @param {Model} model
 * @param {string} words
 */
function details({ t }, words) {
  return words && h("details", {}, h("summary", {}, t("details")), h("pre", {}, words));
}
