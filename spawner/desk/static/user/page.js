/** The desk below its header, from top to bottom. */

import { h, icon } from "../shared/dom.js";
import { lastUse } from "./allowance.js";
import { examples } from "./examples.js";
import { base } from "../shared/script_page.js";
import { instance } from "./instance.js";
import { keptFiles } from "./keep.js";
import { missing } from "./missing.js";
import { paidInstances } from "./paid.js";
import { queue, queueBanner } from "./queue.js";
import { startForm } from "./start.js";

/** @import { Model } from "./model.d.ts" */

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
    state.standing && h("p", { class: "hint standing", key: "standing" }, state.standing.text),
    // Screen readers announce a live region only if it was there before its text.
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
        lastUse(last.use, model),
        details(model, last.details),
      ),
      dismissButton("dismiss-last", model),
    ),
    state.instance && state.ticket && queueBanner(model, state.ticket),
    state.instance ? instance(model, state.instance) : state.ticket ? queue(model, state.ticket) : startForm(model),
    // Paid instances that exist come before the examples; the offer of paid instances comes last.
    hasPaid && paidInstances(model),
    examples(model),
    missing(model),
    keptFiles(model, base),
    !hasPaid && paidInstances(model),
  ].filter((node) => node instanceof Node);
}

/**
 * The output of a program or a cluster, collapsed.
 * @param {Model} model
 * @param {string} text  may be empty
 */
function details({ t }, text) {
  return text && h("details", {}, h("summary", {}, t("details")), h("pre", {}, text));
}
