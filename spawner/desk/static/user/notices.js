/** Notices of a running instance, and the button that extends its session. */

import { h, icon } from "../shared/dom.js";
import { canRequest, notify } from "./notifications.js";

/** @import { InstanceView, SessionNoticeView, SessionPart, State } from "../shared/api.d.ts" */
/** @import { Child } from "../shared/dom.js" */
/** @import { Client } from "../shared/live.js" */
/** @import { Model } from "./model.d.ts" */

// From then on it is said why a session cannot be extended. Earlier nobody needs it, unless there was a button.
const REASON_MS = 30 * 60_000;
const LOST_LATER = new Set(["no_hours", "others_wait", "used_up", "maintenance"]);

/** Ids that this tab has reported as shown, and those that it has sent as a notification. */
const reported = new Set();
const notified = new Set();

/** @param {SessionNoticeView} notice */
const isOpen = (notice) => notice.answered_at === null;

/**
 * @param {Model} model
 * @param {SessionPart} session
 * @param {SessionNoticeView} notice
 */
function noticeBlock({ ui, t }, session, notice) {
  const disabled = ui.busy ? "true" : null;
  /** @param {string} action @param {string} text */
  const button = (action, text) => h(
    "button",
    { class: "button small", type: "button", "data-action": action, "data-notice": notice.id, "aria-disabled": disabled },
    text,
  );
  return h(
    "div", { class: "notice", key: notice.id }, icon("warning"),
    h(
      "div", { class: "words" },
      h("p", {}, h("strong", {}, notice.title)),
      h("p", {}, notice.text),
      h(
        "div", { class: "notice-end" },
        notice.actions.includes("extend") && button("extend", ui.busy === "extend" ? t("extending") : session.extension.text),
        notice.actions.includes("still_here") && button("still-here", t("still_here")),
        button("dismiss-notice", t("dismiss")),
      ),
    ),
  );
}

/**
 * What the panel of a running instance shows below the time that is left.
 * @param {Model} model
 * @param {InstanceView} instance
 * @returns {Child[]}
 */
export function sessionParts(model, instance) {
  const { ui, t, now } = model;
  const { session } = instance;
  if (!session) return [];
  const { extension } = session;
  const open = session.notices.filter(isOpen);
  // Without extensions in the catalog there never was a button.
  const isLost = extension.reason !== null && LOST_LATER.has(extension.reason) && extension.number + extension.left > 1;
  const isTold = isLost || instance.ends_at !== null && Date.parse(instance.ends_at) - now < REASON_MS;
  const hasButton = extension.possible && !open.some(({ actions }) => actions.includes("extend"));
  const asks = canRequest();
  return [
    // A live region is announced only if it was there before its text.
    h("div", { role: "status", class: "notices", key: "notices" }, open.map((notice) => noticeBlock(model, session, notice))),
    (hasButton || asks) && h(
      "div", { class: "notice-end", key: "extend" },
      hasButton && h(
        "button", { class: "button small", type: "button", "data-action": "extend", "aria-disabled": ui.busy ? "true" : null },
        ui.busy === "extend" ? t("extending") : extension.text,
      ),
      asks && h("button", { class: "button small", type: "button", "data-action": "notify" }, t("notify_end")),
    ),
    !extension.possible && isTold && h("p", { class: "hint", key: "no-extension" }, extension.text),
  ];
}

/**
 * Tell a user who looks elsewhere, and report what this page shows.
 * @param {State} state
 * @param {Client<State>} api
 */
export function followNotices({ instance }, api) {
  const open = instance?.session?.notices.filter(isOpen) ?? [];
  for (const { id, title, text } of open) {
    if (!notified.has(id)) notify(title, text, id);
    notified.add(id);
  }
  const seen = open.filter(({ id, seen_at }) => !seen_at && !reported.has(id)).map(({ id }) => id);
  if (document.hidden || !seen.length) return;
  seen.forEach((id) => reported.add(id));
  api.post("session/notices", { seen, where: "desk" }).catch(() => seen.forEach((id) => reported.delete(id)));
}

/**
 * What clicks do.
 * @param {() => State} state
 * @param {(control: string, path: string, body: object) => unknown} send
 * @returns {Record<string, (control: HTMLElement) => unknown>}
 */
export function noticeActions(state, send) {
  /** @param {string} answer @returns {(control: HTMLElement) => unknown} */
  const answer = (answer) => ({ dataset }) => send("answer", "session/answer", { id: dataset.notice, answer });
  return {
    extend() {
      const extension = state().instance?.session?.extension;
      // The number makes the clicks of two tabs one.
      if (extension?.possible) send("extend", "session/extend", { number: extension.number });
    },
    "dismiss-notice": answer("dismissed"),
    "still-here": answer("still_here"),
  };
}
