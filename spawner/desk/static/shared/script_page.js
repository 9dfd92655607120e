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
/** The page's texts, by key. @type {Record<string, string>} */
export const strings = data("strings");
/** @type {Translate} */
export const t = (key, values = {}) => fill(strings[key] ?? key, values);
/** The state when the page was loaded. */
export const firstState = () => data("state");
