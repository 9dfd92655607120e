/** Below what is free: what runs in the person's own cloud, and the way there. */

import { h, icon } from "../shared/dom.js";

/** @typedef {import("../shared/types.js").Model} Model */
/** @typedef {import("../shared/types.js").PaidInstance} PaidInstance */

/**
 * @param {PaidInstance} one
 * @param {Model} model
 */
function run(one, { t, f, now }) {
  const stops = one.stops_at && !["stopped", "deleting"].includes(one.state) ? Date.parse(one.stops_at) : null;
  return h(
    "li", { class: "panel own-run", key: one.id },
    h(
      "div", { key: "what" },
      h("p", { class: `status stand-${one.state}` }, h("span", { class: "status-mark" }), one.state_text),
      h("h3", {}, one.instance_type),
      h("p", { class: "hint" }, `${one.provider} · ${one.region} · …${one.account.slice(-4)}`),
      stops !== null && h("p", { class: "hint" }, t("own_left", { time: f.duration((stops - now) / 1000) })),
    ),
    one.cap && h(
      "div", { key: "spend" },
      h("p", { class: "label" }, t("own_spent")),
      h(
        "p", { class: "left-line" },
        h("span", { class: "left-time money" }, `${one.currency} ${one.spent ?? "0.00"}`),
        h("span", { class: "left-end" }, t("own_cap", { cap: `${one.currency} ${one.cap}` })),
      ),
      h("progress", { max: 100, value: Math.round((one.share ?? 0) * 100), "aria-label": t("own_spent") }),
    ),
    one.problem && h("p", { class: "left-warning", key: "problem" }, icon("warning"), h("span", {}, one.problem)),
    h(
      "div", { class: "rest", key: "rest" },
      one.open_url && h(
        "a", { class: "button primary", href: one.open_url, target: "_blank", rel: "noopener noreferrer", key: "open" },
        t("open"), icon("out"), h("span", { class: "sr-only" }, ` (${t("new_tab")})`),
      ),
      h("a", { class: "button", href: one.url, key: "details" }, t("details"), h("span", { class: "sr-only" }, ` ${one.instance_type}`)),
      one.can_stop && h("a", { class: "button", href: `${one.url}/stop`, key: "stop" }, t("own_stop")),
      one.can_delete && h("a", { class: "button quiet-danger", href: `${one.url}/delete`, key: "delete" }, t("own_delete")),
    ),
  );
}

/** @param {Model} model */
export function ownCloud(model) {
  const { state: { paid }, t } = model;
  if (!paid) return null;
  const linked = paid.accounts.find(({ state }) => state === "active");
  const news = paid.notices[0];
  const href = linked && paid.offered ? linked.url.replace("/accounts/", "/new/") : paid.accounts_url;
  return h(
    "section", { class: "own", key: "own", "aria-labelledby": "own-title" },
    h("h2", { id: "own-title" }, t(paid.instances.length ? "own_title_now" : "own_title")),
    (!paid.instances.length || !paid.offered) && h("p", { class: "hint", key: "lead" }, t(paid.offered ? "own_lead" : "own_paused")),
    news && h(
      "div", { class: news.good ? "last" : "alert", key: `news-${news.seq}` }, icon(news.good ? "info" : "warning"),
      h("p", { class: "words" }, news.text, " ", h("a", { href: paid.accounts_url }, t("own_news"))),
    ),
    paid.instances.length > 0 && h("ul", { class: "own-runs", key: "runs" }, paid.instances.map((one) => run(one, model))),
    h(
      "p", { class: "own-more", key: "more" },
      h("a", { class: "button small", href }, t(linked && paid.offered ? "own_prices" : paid.accounts.length ? "own_go" : "own_link")),
      linked && h("a", { class: "button small", href: paid.accounts_url }, t("own_go")),
    ),
  );
}
