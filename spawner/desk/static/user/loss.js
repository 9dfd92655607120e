/** What a dialog shows of the files that its action would delete. */

import { h } from "../shared/dom.js";

/** @import { ChangesView } from "../shared/api.d.ts" */
/** @import { Formats, Translate } from "../shared/format.js" */

const SHOWN = 50;
const UNITS = ["B", "KB", "MB", "GB"];

/**
 * A size of files, which may be small. Units are 1024 times the one before, as elsewhere on the page.
 * @param {number} bytes
 * @param {Formats} f
 */
function fileSize(bytes, f) {
  const unit = Math.min(UNITS.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  return `${f.number(Math.round((bytes / 1024 ** unit) * 10) / 10)}\u00a0${UNITS[unit]}`;
}

/**
 * Ask the desk, which asks the notebook. No answer is not "nothing".
 * @param {string} base
 * @param {string} xsrf
 * @returns {Promise<ChangesView | null>}
 */
async function read(base, xsrf) {
  try {
    const response = await fetch(`${base}api/instance/changes`, {
      cache: "no-store", redirect: "manual", headers: { "X-XSRFToken": xsrf },
    });
    return response.ok ? await response.json() : null;
  } catch {
    return null;
  }
}

/**
 * @param {ChangesView | null} changes
 * @param {Translate} t
 * @param {Formats} f
 * @returns {Node[]}
 */
function shown(changes, t, f) {
  if (!changes?.known) return [h("p", {}, t("loss_unknown"))];
  const { count, bytes, files, is_complete: complete } = changes;
  if (!count && complete) return [h("p", {}, t("loss_none"))];
  const name = !complete ? "loss_at_least" : count === 1 ? "loss_one" : "loss_some";
  const rest = count - Math.min(files.length, SHOWN);
  return [
    h("p", {}, h("strong", {}, t(name, { count: f.number(count), size: fileSize(bytes, f) }))),
    h(
      "details", {}, h("summary", {}, t("loss_files")),
      h(
        "ul", { class: "loss-files" },
        files.slice(0, SHOWN).map((file) => h("li", {}, h("bdi", {}, file.path), h("span", { class: "hint" }, ` ${fileSize(file.bytes, f)}`))),
        rest > 0 && h("li", { class: "hint" }, t("loss_more", { count: f.number(rest) })),
      ),
    ),
  ];
}

/**
 * The part of a dialog, which fills itself once the answer is there.
 * @param {{base: string, xsrf: string, t: Translate, f: Formats, filesUrl: string | null | undefined}} given
 */
export function loss({ base, xsrf, t, f, filesUrl }) {
  const list = h("div", { role: "status" }, h("p", {}, t("loss_checking")));
  const link = filesUrl && h(
    "p", {}, h("a", { class: "button", href: filesUrl }, t("download_files")),
  );
  read(base, xsrf).then((changes) => { list.replaceChildren(...shown(changes, t, f)); });
  return h("div", { class: "loss" }, list, link);
}
