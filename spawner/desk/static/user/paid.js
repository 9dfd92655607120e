/** The user's paid instances, and the link to the pages about them. */

import { h, icon } from "../shared/dom.js";

/** @import { PaidInstanceView } from "../shared/api.d.ts" */
/** @import { Model } from "./model.d.ts" */

const BEFORE_COSTS = ["asked", "starting", "checking"];

/**
 * @param {PaidInstanceView} instance
 * @param {Model} model
 */
function paidInstance(instance, { t, f, now }) {
  const stops = instance.stops_at && !["stopped", "stopping", "deleting"].includes(instance.state) ? Date.parse(instance.stops_at) : null;
  return h(
    "li", { class: "panel own-run", key: instance.id },
    h(
      "div", { key: "state" },
      h("p", { class: `status state-${instance.state}` }, h("span", { class: "status-mark" }), instance.state_text),
      h("h3", {}, instance.instance_type),
      h("p", { class: "hint" }, `${instance.provider} · ${instance.region} · …${instance.account.slice(-4)}`),
      stops !== null && h("p", { class: "hint" }, t("own_left", { time: f.duration((stops - now) / 1000) })),
    ),
    instance.cap && !BEFORE_COSTS.includes(instance.state) && h(
      "div", { key: "spend" },
      h("p", { class: "label" }, t("own_spent")),
      h(
        "p", { class: "left-line" },
        h("span", { class: "left-time money" }, `${instance.currency} ${instance.spent ?? "0.00"}`),
        h("span", { class: "left-end" }, t("own_cap", { cap: `${instance.currency} ${instance.cap}` })),
      ),
      h("progress", { max: 100, value: Math.round((instance.share ?? 0) * 100), "aria-label": t("own_spent") }),
    ),
    instance.problem && h("p", { class: "left-warning", key: "problem" }, icon("warning"), h("span", {}, instance.problem)),
    h(
      "div", { class: "rest", key: "rest" },
      instance.open_url && h(
        "a", { class: "button primary", href: instance.open_url, target: "_blank", rel: "noopener noreferrer", key: "open" },
        t("open"), icon("out"), h("span", { class: "sr-only" }, ` (${t("new_tab")})`),
      ),
      h("a", { class: "button", href: instance.url, key: "details" }, t("details"), h("span", { class: "sr-only" }, ` ${instance.instance_type}`)),
      instance.can_stop && h("a", { class: "button", href: `${instance.url}/stop`, key: "stop" }, t("own_stop")),
      instance.can_delete && h("a", { class: "button quiet-danger", href: `${instance.url}/delete`, key: "delete" }, t("own_delete")),
    ),
  );
}

/** @param {Model} model */
export function paidInstances(model) {
  const { state: { paid }, t } = model;
  if (!paid) return null;
  const linked = paid.accounts.find(({ state }) => state === "active");
  const notice = paid.notices[0];
  const href = linked && paid.offered ? linked.url.replace("/accounts/", "/new/") : paid.accounts_url;
  return h(
    "section", { class: "own", key: "own", "aria-labelledby": "own-title" },
    h("h2", { id: "own-title" }, t(paid.instances.length ? "own_title_now" : "own_title")),
    (!paid.instances.length || !paid.offered) && h("p", { class: "hint", key: "lead" }, t(paid.offered ? "own_lead" : "own_paused")),
    notice && h(
      "div", { class: notice.good ? "last" : "alert", key: `notice-${notice.seq}` }, icon(notice.good ? "info" : "warning"),
      h("p", { class: "words" }, notice.text, " ", h("a", { href: paid.accounts_url }, t("own_news"))),
    ),
    paid.instances.length > 0 && h("ul", { class: "own-runs", key: "runs" }, paid.instances.map((instance) => paidInstance(instance, model))),
    h(
      "p", { class: "own-more", key: "more" },
      h("a", { class: "button small", href }, t(linked && paid.offered ? "own_prices" : paid.accounts.length ? "own_go" : "own_link")),
      linked && h("a", { class: "button small", href: paid.accounts_url }, t("own_go")),
    ),
  );
}
