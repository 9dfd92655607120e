/** The administrator's page below its header, from top to bottom. */

import { h, icon } from "../shared/dom.js";
import { bar, waits } from "./chart.js";

/** @import { AdminFlavorView, DrainView, NamedView, PercentilesView, PlanView, SetView, TargetView } from "../shared/api.d.ts" */
/** @import { Model } from "./model.d.ts" */

const PAGES = ["notebooks", "people", "allowances", "guard", "announcement", "terms"];

/**
 * A button. `about` names its subject for screen readers.
 * @param {string} action
 * @param {string} text
 * @param {Record<string, string | null>} [data]
 * @param {string} [about]
 */
const button = (action, text, data = {}, about = "") => h(
  "button",
  { class: "button small", type: "button", "data-action": action, key: `${action}-${Object.values(data)}`, ...data },
  text, about && h("span", { class: "sr-only" }, ` ${about}`),
);

/**
 * @param {SetView} setting
 * @param {Model} model
 */
const setBy = ({ by, at }, { t, f, now }) => h(
  "span", { class: "set-by" }, t("set_by", { name: by, time: f.clock(Date.parse(at), now) }),
);

/**
 * @param {Model} model
 * @returns {Node[]}
 */
export function page(model) {
  const { state, problem, t } = model;
  return [
    h(
      "div", { class: "page-head", key: "head" },
      h("h1", { id: "title", tabindex: -1 }, t("title")),
      !state.drain && button("drain", t("drain")),
    ),
    h("nav", { class: "page-links", key: "links", "aria-label": t("title") }, PAGES.map(
      (path) => h("a", { class: "button", href: `admin/${path}` }, t(path)),
    )),
    h("div", { role: "alert", key: "alert" }, problem && h(
      "div", { class: "alert" }, icon("warning"),
      h("div", { class: "words" }, h("p", {}, h("strong", {}, problem.message), problem.next && ` ${problem.next}`)),
      h(
        "button", { class: "dismiss", type: "button", "data-action": "dismiss", "aria-label": t("dismiss") },
        icon("close"),
      ),
    )),
    !state.steward && h("p", { class: "banner", key: "steward" }, icon("warning"), h("span", {}, t("no_steward"))),
    state.drain && drain(model, state.drain),
    ...state.flavors.map((flavor) => flavorPanel(model, flavor)),
    plans(model),
    ignored(model),
  ].filter((node) => node instanceof Node);
}

/**
 * @param {Model} model
 * @param {DrainView} setting
 */
function drain(model, setting) {
  const { t, f } = model;
  return h(
    "div", { class: "banner drain", key: "draining" }, icon("warning"),
    h(
      "div", { class: "words" },
      h("p", {}, h("strong", {}, t("draining")), " · ", setBy(setting, model)),
      h("p", {}, setting.ends_all_at
        ? t("draining_ends", { time: f.date(Date.parse(setting.ends_all_at)) }) : t("draining_stays")),
      setting.reason && h("p", {}, `“${setting.reason}”`),
      h("p", { class: "actions" }, button("drain", t("drain_change")), button("drain-end", t("drain_end"))),
    ),
  );
}

/**
 * @param {Model} model
 * @param {AdminFlavorView} flavor
 */
function flavorPanel(model, flavor) {
  const { t } = model;
  const heading = `flavor-${flavor.id}`;
  return h(
    "section", { class: "panel board", key: heading, "aria-labelledby": heading },
    h(
      "header", { class: "board-head" },
      h("h2", { id: heading }, flavor.title, " ", h("code", {}, flavor.id)),
      flavor.paused && h("p", { class: "paused" }, h("strong", {}, t("paused")), " · ", setBy(flavor.paused, model)),
      flavor.paused
        ? button("resume", t("resume"), { "data-flavor": flavor.id }, flavor.title)
        : button("pause", t("pause"), { "data-flavor": flavor.id }, flavor.title),
    ),
    flavor.reason && h("p", { class: "reason" }, flavor.reason),
    flavor.audience && h("p", { class: "quiet", key: "audience" }, flavor.audience),
    figures(model, flavor),
    activity(model, flavor),
    bar(flavor, model),
    flavor.less_room && h("p", { class: "quiet", key: "less-room" }, flavor.less_room),
    userNamespaces(model, flavor),
    h("div", { class: "halves" }, targets(model, flavor), day(model, flavor)),
  );
}

/**
 * How its running notebooks are used.
 * @param {Model} model
 * @param {AdminFlavorView} flavor
 */
function activity({ t, f }, { activity: used }) {
  if (!used || used.working + used.present + used.waiting + used.idle === 0) return null;
  return h("p", { class: "quiet", key: "activity" }, t("activity", {
    working: f.number(used.working), present: f.number(used.present), waiting: f.number(used.waiting),
    idle: f.number(used.idle),
  }));
}

/**
 * Whether the flavor's pods run in user namespaces, and why.
 * @param {Model} model
 * @param {AdminFlavorView} flavor
 */
function userNamespaces({ t, f, now }, { user_namespaces: namespaces }) {
  if (!namespaces) return null;
  return h(
    "div", { class: "words" },
    h(
      "p", { class: "quiet" }, namespaces.text, " ",
      namespaces.until && t("users_until", { time: f.clock(Date.parse(namespaces.until), now) }),
    ),
    namespaces.details && h("details", {}, h("summary", {}, t("details")), h("pre", {}, namespaces.details)),
  );
}

/**
 * @param {Model} model
 * @param {AdminFlavorView} flavor
 */
function figures({ t, f }, { running, starting, stopping, queued, oldest_seconds, slots, targets }) {
  const target = targets.reduce((sum, each) => sum + each.target, 0);
  const changing = [
    starting && t("starting", { n: f.number(starting) }), stopping && t("stopping", { n: f.number(stopping) }),
  ].filter(Boolean).join(" · ");
  /** @type {[string, number, string | false][]} */
  const all = [
    ["running", running, changing],
    ["warm", slots.warm, targets.length > 0 && t("of_target", { n: f.number(target) })],
    ["in_line", queued, oldest_seconds !== null && t("oldest", { time: f.about(oldest_seconds) })],
    ["free", slots.free, t("of_limit", { n: f.number(slots.limit) })],
  ];
  return h("dl", { class: "figures" }, all.map(([name, value, small]) => h(
    "div", { key: name }, h("dt", {}, t(name)),
    h("dd", {}, h("span", {}, f.number(value)), small && h("small", {}, small)),
  )));
}

/**
 * @param {Model} model
 * @param {AdminFlavorView} flavor
 */
function targets(model, flavor) {
  const { t } = model;
  return h(
    "div", { class: "half" },
    h("h3", {}, t("targets")),
    flavor.targets.length
      ? h("ul", { class: "targets" }, flavor.targets.map((target) => targetRow(model, flavor, target)))
      : h("p", { class: "quiet" }, t("no_targets")),
    flavor.targets.length < model.state.images.length
      && button("floor-add", t("floor_add"), { "data-flavor": flavor.id }, flavor.title),
  );
}

/**
 * @param {Model} model
 * @param {AdminFlavorView} flavor
 * @param {TargetView} target
 */
function targetRow(model, flavor, target) {
  const { t, f, now } = model;
  const { backs_off: backOff } = target;
  return h(
    "li", { key: target.image },
    h(
      "p", { class: "target-line" }, h("strong", {}, target.image_title),
      h(
        "span", { class: "target-count" }, f.number(target.warm), " ",
        h("small", {}, t("of_target", { n: f.number(target.target) })),
      ),
    ),
    h("p", { class: "quiet" }, target.why, " ", target.floor && setBy(target.floor, model)),
    target.catalog_ceiling !== null && h("p", { class: "quiet" }, t("floor_catalog", {
      floor: f.number(target.catalog_floor ?? 0), ceiling: f.number(target.catalog_ceiling),
    })),
    backOff && h(
      "div", { class: "failed" }, icon("warning"),
      h(
        "div", { class: "words" },
        h("p", {}, t("backs_off", {
          count: backOff.failures, reason: backOff.reason, n: f.number(backOff.failures), time: f.clock(Date.parse(backOff.until), now),
        })),
        backOff.details && h("details", {}, h("summary", {}, t("details")), h("pre", {}, backOff.details)),
      ),
    ),
    button(
      "floor", t("floor_change"), { "data-flavor": flavor.id, "data-image": target.image },
      `${flavor.title}, ${target.image_title}`,
    ),
  );
}

/**
 * @param {Model} model
 * @param {AdminFlavorView} flavor
 */
function day(model, flavor) {
  const { t, f } = model;
  const { warm, cold, waits: queued, foretold, failures } = flavor.day;
  const total = foretold.within + foretold.shorter + foretold.longer;
  const percent = new Intl.NumberFormat(document.documentElement.lang, { style: "percent" });
  /** @param {string} name @param {PercentilesView} span @param {(seconds: number) => string} format */
  const row = (name, { count, p50, p95 }, format) => h(
    "tr", {}, h("th", { scope: "row" }, t(name)), h("td", {}, f.number(count)),
    [p50, p95].map((seconds) => h("td", {}, seconds === null ? "–" : format(seconds))),
  );
  const noStarts = !warm.count && !cold.count && !queued.count;
  const took = (/** @type {number} */ seconds) => f.took(seconds * 1000);
  return h(
    "div", { class: "half" },
    h("h3", {}, t("day")),
    noStarts ? h("p", { class: "quiet", key: "no-starts" }, t("no_starts")) : h(
      "table", { class: "numbers" },
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, h("span", { class: "sr-only" }, t("kind"))),
        ["count", "half", "most"].map((name) => h("th", { scope: "col" }, t(name))))),
      h("tbody", {}, row("start_warm", warm, took), row("start_cold", cold, took), row("waits", queued, f.about)),
    ),
    !noStarts && waits(flavor, model),
    total > 0 && h(
      "p", { class: "quiet", key: "foretold" },
      t("foretold", { count: total, share: percent.format(foretold.within / total), n: f.number(total) }), " ",
      foretold.within < total
        && t("foretold_off", { shorter: f.number(foretold.shorter), longer: f.number(foretold.longer) }),
    ),
    h("h4", { key: "failures" }, t("failures")),
    failures.length
      ? h("ul", { class: "failures" }, failures.map(({ reason, text, count, next }) => h(
        "li", { key: reason }, h("strong", {}, t("failure", { text, n: f.number(count) })), next && ` ${next}`,
      )))
      : h("p", { class: "quiet", key: "no-failures" }, t("no_failures")),
  );
}

/** @param {Model} model */
function plans(model) {
  const { state, t } = model;
  const listed = state.plans.filter((plan) => plan.state !== "ignored"); // these are listed by ignored()
  return h(
    "section", { class: "plans", key: "plans", "aria-labelledby": "plans" },
    h(
      "header", { class: "board-head" }, h("h2", { id: "plans" }, t("plans")), button("plan-add", t("plan_add")),
    ),
    h("p", { class: "hint" }, t("plans_lead")),
    listed.length
      ? h("ul", { class: "rows" }, listed.map((plan) => planRow(model, plan)))
      : h("p", { class: "quiet" }, t("no_plans")),
  );
}

/**
 * @param {Model} model
 * @param {PlanView} plan
 */
function planRow(model, plan) {
  const { state, t, f } = model;
  const title = (/** @type {NamedView[]} */ choices, /** @type {string} */ id) => (
    choices.find((choice) => choice.id === id)?.title ?? id
  );
  return h(
    "li", { class: plan.state, key: `plan-${plan.name}` },
    h(
      "div", { class: "row-words" },
      h("p", {}, h("strong", {}, plan.name), " ", t("plan_what", {
        n: f.number(plan.slots), flavor: title(state.flavors, plan.flavor), image: title(state.images, plan.image),
      })),
      h(
        "p", { class: "quiet" },
        t("plan_when", {
          begins: f.date(Date.parse(plan.next_begins)),
          ends: f.date(Date.parse(plan.next_ends), Date.parse(plan.next_begins)),
        }),
        plan.weekly && ` · ${t("plan_weekly")}`, " · ", setBy(plan, model),
      ),
    ),
    plan.state !== "coming" && h("span", { class: "tag" }, t(`plan_${plan.state}`)),
    button("plan-remove", t("plan_remove"), { "data-name": plan.name }, plan.name),
  );
}

/** @param {Model} model */
function ignored(model) {
  const { state, t } = model;
  return state.ignored.length > 0 && h(
    "section", { class: "plans", key: "ignored", "aria-labelledby": "ignored" },
    h("h2", { id: "ignored" }, t("ignored")),
    h("ul", { class: "rows" }, state.ignored.map((setting) => h(
      "li", { key: setting.name },
      h(
        "div", { class: "row-words" }, h("p", {}, h("code", {}, setting.name)),
        h("p", { class: "quiet" }, setting.text, " ", setBy(setting, model)),
      ),
      button("ignored-remove", t("ignored_remove"), { "data-name": setting.name }, setting.name),
    ))),
  );
}
