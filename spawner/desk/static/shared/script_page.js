/** The data of a page that extends shared/script_page.html, for the script that draws it. */

import { fill, formats } from "./format.js";

/** @import { Translate } from "./format.js" */

/** @param {string} id */
export const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
/** @param {string} id */
const data = (id) => JSON.parse(byId(id).textContent ?? "null");

export const { base = "/", xsrf = "" } = document.body.dataset;
export const app = byId("app");
export const f = formats(document.documentElement.lang);
/** The page's texts, by key; those with a count, by its plural category, too. @type {Record<string, string | Record<string, string>>} */
export const strings = data("strings");
const categories = new Intl.PluralRules(document.documentElement.lang);
/** `values.count` chooses the form of a text that has several. @type {Translate} */
export const t = (key, values = {}) => {
  const text = strings[key] ?? key;
  return fill(typeof text === "string" ? text : text[categories.select(Number(values.count))] ?? text.other ?? key, values);
};
/** The state when the page was loaded. */
export const firstState = () => data("state");
