/** Weekly hours: what is left of them before, during and after a run, and what there is without them. */

import { h } from "../shared/dom.js";

/** @import { FlavorAllowanceView, FlavorView, LastUseView } from "../shared/api.d.ts" */
/** @import { Model } from "./model.d.ts" */

/**
 * The exact time at which hours are given again, in the reader's zone: "Mon, Nov 30, 00:00".
 * @param {string} at
 */
export function resetTime(at) {
  return new Intl.DateTimeFormat(document.documentElement.lang, {
    weekday: "short", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23",
  }).format(Date.parse(at));
}

/**
 * "6 hr 24 min of 10 hr left this week · resets Mon, Nov 30, 00:00"
 * @param {FlavorAllowanceView} allowance
 * @param {Model} model
 */
export function hours(allowance, { t, f }) {
  const { left_seconds, total_seconds, resets_at, weight } = allowance;
  if (left_seconds === null || total_seconds === null) return [t("hours_unlimited")];
  return [
    t("hours_left", { left: f.amount(left_seconds), total: f.amount(total_seconds) }),
    " · ",
    h("time", { datetime: resets_at }, t("hours_resets", { time: resetTime(resets_at) })),
    weight !== 1 && ` · ${t("hours_weight", { n: f.number(weight) })}`,
  ];
}

/**
 * The meter on a flavor's card; null where the flavor has no class.
 * @param {FlavorView} flavor
 * @param {Model} model
 */
export function meter(flavor, model) {
  const { allowance } = flavor;
  if (!allowance) return null;
  const { left_seconds: left, total_seconds: total } = allowance;
  return h(
    "span", { class: allowance.blocks ? "flavor-hours none" : "flavor-hours", id: `flavor-${flavor.id}-hours`, key: "hours" },
    hours(allowance, model),
    left !== null && total !== null && h("progress", { max: Math.max(1, total), value: left, "aria-hidden": "true" }),
  );
}

/**
 * What there is for a user without hours: flavors without a limit, and a link to their own cloud account.
 * @param {Model} model
 * @param {FlavorView | undefined} chosen
 */
export function withoutHours(model, chosen) {
  const { state, t } = model;
  const empty = chosen?.allowance?.blocks ? chosen : state.flavors.find(({ allowance }) => allowance?.blocks);
  if (!empty?.allowance) return null;
  const { instead, resets_at } = empty.allowance;
  const titles = state.flavors.filter(({ id, for_you }) => for_you && instead.includes(id)).map(({ title }) => title);
  const gap = document.documentElement.lang.startsWith("zh") ? "" : " ";
  const list = new Intl.ListFormat(document.documentElement.lang, { type: "conjunction" }).format(titles);
  return h(
    "p", { class: "blocked", id: chosen === empty ? "blocked" : null, key: "without-hours" },
    h("strong", {}, `${empty.title} · ${empty.reason}`),
    t("hours_none_instead", { time: resetTime(resets_at) }), gap,
    titles.length > 0 && [t("hours_instead", { titles: list }), gap],
    state.paid?.offered && h("a", { href: state.paid.accounts_url }, t("hours_own")),
  );
}

/**
 * What the running instance uses: a fact below the time left.
 * @param {FlavorView | undefined} flavor
 * @param {Model} model
 * @returns {{name: string, value: (Node | string | false)[]} | null}
 */
export function runningHours(flavor, model) {
  const allowance = flavor?.allowance;
  if (!allowance) return null;
  const { t, f } = model;
  const held = allowance.held_seconds > 0 && allowance.left_seconds !== null;
  return {
    name: t("hours_title", { title: allowance.title }),
    value: [
      h("span", {}, hours(allowance, model)),
      held && h("span", { class: "fact-more" }, t("hours_held", { time: f.amount(allowance.held_seconds) })),
    ],
  };
}

/**
 * What the last run used, after the words about its end.
 * @param {LastUseView | null | undefined} use
 * @param {Model} model
 */
export function lastUse(use, { t, f }) {
  if (!use) return null;
  return h(
    "p", { class: "hint", key: "use" },
    t("last_used", { time: f.duration(use.charged_seconds), title: use.title }),
    use.refunded_seconds > 0
      && ` ${t("last_given_back", { time: f.duration(use.refunded_seconds), reason: use.reasons.join("; ") })}`,
  );
}
