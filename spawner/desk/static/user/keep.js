/** The home page's part about kept files. The page behind its link has the rest, and needs no script. */

import { h } from "../shared/dom.js";

/** @import { Model } from "./model.d.ts" */

/**
 * @param {Model} model
 * @param {string} base
 */
export function keptFiles({ state: { keep }, t, f }, base) {
  if (!keep) return null;
  const kept = keep.kept > 0 && t(keep.kept === 1 ? "keep_one" : "keep_some", { count: f.number(keep.kept) });
  return h(
    "section", { class: "keep", key: "keep", "aria-labelledby": "keep-title" },
    h("h2", { id: "keep-title" }, t("keep_title")),
    h("p", { class: "hint" }, t(keep.chosen ? "keep_on" : "keep_off"), kept && ` ${kept}`),
    h("p", {}, h("a", { class: "button", href: `${base}keep` }, t("keep_open"))),
  );
}
