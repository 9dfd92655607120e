/** Charts. They have no style attributes, because the content security policy forbids them. */

import { h } from "../shared/dom.js";

/** @import { AdminFlavorView, HourView } from "../shared/api.d.ts" */
/** @import { Model } from "./model.d.ts" */

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 100;

/**
 * @param {string} tag
 * @param {Record<string, string | number>} attributes
 * @param {...Node} children
 */
function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

/**
 * The use of a flavor's slots as one bar up to its limit, with a legend.
 * @param {AdminFlavorView} flavor
 * @param {Model} model
 */
export function bar({ slots }, { t, f }) {
  if (!slots.limit) return null;
  let x = 0;
  const parts = /** @type {const} */ (["assigned", "warm", "making", "leaving", "room"]).filter((part) => slots[part] > 0);
  const whole = Math.max(slots.limit, parts.reduce((sum, part) => sum + slots[part], 0));
  const rects = parts.map((part) => {
    const rect = svg("rect", { class: `part ${part}`, x, y: 0, width: slots[part], height: 1 });
    x += slots[part];
    return rect;
  });
  return h(
    "div", { class: "bar" },
    svg("svg", { viewBox: `0 0 ${whole} 1`, preserveAspectRatio: "none", "aria-hidden": "true" }, ...rects),
    h("ul", {}, parts.map((part) => h(
      "li", {}, h("span", { class: `swatch ${part}` }), t(`bar_${part}`, { n: f.number(slots[part]) }),
    ))),
  );
}

/**
 * The waits of the last 24 hours, hour by hour: as a chart with a text alternative, and as a table.
 * @param {AdminFlavorView} flavor
 * @param {Model} model
 */
export function waits({ id, day: { hours } }, model) {
  const { t, f, now } = model;
  const waited = hours.reduce((sum, hour) => sum + hour.waited, 0);
  if (!waited) return h("p", { class: "quiet", key: "no-waits" }, t("no_waits"));
  const worst = hours.reduce((a, b) => ((b.longest ?? 0) > (a.longest ?? 0) ? b : a));
  const top = worst.longest || 1;
  const clock = (/** @type {HourView} */ hour) => f.clock(Date.parse(hour.begins), now);
  const bars = hours.flatMap((hour, index) => (hour.waited ? [
    column("longest", index, (hour.longest ?? 0) / top), column("middle", index, (hour.p50 ?? 0) / top),
  ] : []));
  const label = t("chart", { count: waited, n: f.number(waited), longest: f.about(top), hour: clock(worst) });
  return h(
    "figure", { class: "chart", key: "waits" },
    h("p", { class: "chart-top" }, f.about(top)),
    svg(
      "svg",
      { viewBox: `0 0 ${hours.length} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": label },
      ...bars,
    ),
    h("p", { class: "chart-axis" }, [hours.at(0), hours.at(Math.floor(hours.length / 2)), hours.at(-1)].map(
      (hour) => h("span", {}, hour && clock(hour)),
    )),
    h(
      "figcaption", {},
      h("span", {}, h("span", { class: "swatch longest" }), t("chart_longest")),
      h("span", {}, h("span", { class: "swatch middle" }), t("chart_half")),
    ),
    table(id, hours.filter((hour) => hour.came), clock, model),
  );
}

/**
 * @param {string} kind
 * @param {number} index
 * @param {number} share
 */
function column(kind, index, share) {
  const height = Math.max(1.5, share * HEIGHT);
  return svg("rect", { class: `column ${kind}`, x: index + 0.15, y: HEIGHT - height, width: 0.7, height });
}

/**
 * @param {string} id
 * @param {HourView[]} hours
 * @param {(hour: HourView) => string} clock
 * @param {Model} model
 */
function table(id, hours, clock, { t, f }) {
  const time = (/** @type {number | null} */ seconds) => (seconds === null ? "–" : f.about(seconds));
  const head = ["hour", "came", "waited", "half", "longest"];
  return h(
    "details", { key: `table-${id}` },
    h("summary", {}, t("chart_table")),
    h(
      "table", { class: "numbers" },
      h("thead", {}, h("tr", {}, head.map((name) => h("th", { scope: "col" }, t(name))))),
      h("tbody", {}, hours.map((hour) => h(
        "tr", {}, h("th", { scope: "row" }, clock(hour)),
        [f.number(hour.came), f.number(hour.waited), time(hour.p50), time(hour.longest)].map(
          (text) => h("td", {}, text),
        ),
      ))),
    ),
  );
}
