/** What the catalog lists and this installation cannot give, in one line that opens. */

import { h } from "../shared/dom.js";

/** @import { Model } from "./model.d.ts" */

/**
 * Whether it is left out where there is a choice: `remedy` says how the installation could give it.
 * @param {{ remedy?: string | null }} offered
 */
export const isMissing = ({ remedy }) => remedy != null;

/** @param {Model} model */
export function missing({ state: { flavors, images, examples }, t }) {
  const types = flavors.filter(isMissing);
  const environments = images.filter(isMissing);
  if (!types.length && !environments.length) return null;
  const all = [...types, ...environments];
  /** @param {string} image */
  const titles = (image) => examples.filter((one) => one.image === image).map(({ title }) => title).join(" · ");
  return h(
    "details", { class: "missing", key: "missing" },
    h("summary", {}, t("missing", { titles: all.map(({ title }) => title).join(" · ") })),
    h(
      "ul", {},
      all.map((one) => {
        const without = environments.some((image) => image === one) && titles(one.id);
        return h(
          "li", { key: one.id }, h("strong", {}, one.title), ` ${one.reason} ${one.remedy}`,
          without && h("span", { class: "hint" }, ` ${t("missing_examples", { titles: without })}`),
        );
      }),
    ),
  );
}
