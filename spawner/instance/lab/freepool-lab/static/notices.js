/** Notices of the session as notifications of JupyterLab that stay until they are answered or no longer true. */

import { h, safeUrl } from "./dom.js";
import { openNotices } from "./panel.js";

/** @import { EndedKernel, Kit, Notice, NotificationAction } from "../types.d.ts" */
/** @import { Connection } from "./connection.js" */
/** @import { Download } from "./download.js" */
/** @import { Texts } from "./texts.js" */

const OWN = "own-";
const LONGEST = 140; // JupyterLab cuts what is longer.
const DONE_MS = 5000;
const SLACK_SECONDS = 60;

/**
 * What a notice is about. Of notices with the same topic only the newest stands.
 * @param {Notice} notice
 */
const topicOf = ({ kind, id }) => (kind === "deadline" || kind === "idle" ? kind : id);

/**
 * @param {Notice} notice
 * @param {Texts} t
 */
function message({ title, text }, t) {
  const isSentence = /[.?!。？！]$/.test(title);
  const whole = !text ? title : t.say(isSentence ? "title_sentence" : "title_text", { title, text });
  return whole.length > LONGEST ? `${whole.slice(0, LONGEST - 1)}…` : whole;
}

export class Notices {
  /** @param {{ connection: Connection, download: Download, kit: Kit, t: Texts }} parts */
  constructor({ connection, download, kit, t }) {
    this.connection = connection;
    this.download = download;
    this.kit = kit.apputils.Notification;
    this.t = t;
    /** @type {Map<string, { notice: Notice, toast: string }>} what is shown, by topic */
    this.shown = new Map();
    /** @type {Set<string>} ids that this page has shown, or that the person has closed */
    this.known = new Set();
    /** @type {Set<string>} ids that are to be reported as seen */
    this.unseen = new Set();
    /** @type {{ id: string, toast: string } | null} the announcement that is shown, or that the person has closed */
    this.announced = null;
    /** @type {HTMLElement | null} shown while the connection is lost */
    this.banner = null;
    connection.addEventListener("change", () => this.draw());
    document.addEventListener("visibilitychange", () => this.#report());
  }

  draw() {
    this.#drawLink();
    this.#drawAnnouncement();
    const current = this.connection.end ? [] : openNotices(this.connection.session).filter((one) => this.#isTrue(one));
    for (const [topic, { notice, toast }] of [...this.shown]) {
      if (!current.some(({ id }) => id === notice.id)) {
        this.kit.dismiss(toast);
        this.shown.delete(topic);
      }
    }
    // A page that was opened late shows the newest of each topic only.
    const newest = new Map(current.map((notice) => [topicOf(notice), notice]));
    for (const [topic, notice] of newest) {
      if (!this.known.has(notice.id)) this.#show(topic, notice);
    }
    for (const { id } of current) this.known.add(id);
    this.#report();
  }

  /**
   * Whether a warning of the end still holds: an extension has moved the end.
   * @param {Notice} notice
   */
  #isTrue({ kind, params }) {
    const left = this.connection.left();
    return kind !== "deadline" || !params?.minutes || left === null || left <= params.minutes * 60 + SLACK_SECONDS;
  }

  /**
   * @param {string} topic
   * @param {Notice} notice
   */
  #show(topic, notice) {
    const before = this.shown.get(topic);
    if (before) this.kit.dismiss(before.toast);
    const minutes = notice.params?.minutes ?? Infinity;
    const type = minutes <= 5 ? "error" : "warning";
    const toast = this.kit.emit(message(notice, this.t), type, { autoClose: false, actions: this.#actions(notice) });
    this.shown.set(topic, { notice, toast });
    if (!notice.id.startsWith(OWN)) this.unseen.add(notice.id);
    if (document.hidden && "Notification" in window && Notification.permission === "granted") {
      const popup = new Notification(notice.title, { body: notice.text, tag: `freepool-${topic}` });
      popup.addEventListener("click", () => { window.focus(); popup.close(); });
    }
  }

  /**
   * @param {Notice} notice
   * @returns {NotificationAction[]}
   */
  #actions(notice) {
    const { connection, t } = this;
    const asked = new Set(notice.actions ?? []);
    /** @type {NotificationAction[]} */
    const actions = [];
    if (asked.has("extend") && connection.session?.extension?.possible !== false) {
      actions.push({ label: t.say("act_extend"), displayType: "accent", callback: () => this.#extend() });
    }
    if (asked.has("still_here")) {
      const answer = { id: notice.id, answer: "still_here" };
      actions.push({
        label: t.say("act_still_here"), displayType: "accent", callback: () => this.#send("session/answer", answer),
      });
    }
    if (asked.has("open_desk")) {
      actions.push({
        label: t.say("act_open_desk"),
        callback: () => { window.open(safeUrl(connection.session?.desk_url), "_blank", "noopener"); },
      });
    }
    if (notice.kind === "deadline" || notice.kind === "maintenance") {
      actions.push({
        label: t.say("act_download"),
        callback: () => { this.download.start(); },
      });
    }
    return actions;
  }

  /**
   * The disk is full: programs then fail with errors that do not say which one.
   * @param {{ used: number, limit: number }} disk  bytes
   */
  tellOfFull({ used, limit }) {
    const of = this.t.say("used", { used: this.t.size(used), limit: this.t.size(limit) });
    this.kit.emit(this.t.say("disk_full", { used: of }), "warning", { autoClose: false });
  }

  /**
   * A kernel was ended for its memory. JupyterLab says only that it has died.
   * @param {EndedKernel} kernel
   */
  tellOfKernel({ path, name, used, limit }) {
    const { t } = this;
    const of = limit ? t.say("used", { used: t.size(used), limit: t.size(limit) }) : t.size(used);
    const text = t.say("kernel_ended", { kernel: path?.split("/").pop() || name, used: of });
    this.kit.emit(text.slice(0, LONGEST), "error", { autoClose: false });
  }

  async #extend() {
    if (await this.#send("session/extend", {})) {
      this.kit.emit(this.t.say("extended", { left: this.t.left(this.connection.left() ?? 0) }), "success", { autoClose: DONE_MS });
    }
  }

  /**
   * @param {string} path
   * @param {object} body
   * @returns {Promise<boolean>} whether it was done
   */
  async #send(path, body) {
    try {
      await this.connection.post(path, body, this.t.say("failed"));
      return true;
    } catch (error) {
      this.kit.emit(error instanceof Error ? error.message.slice(0, LONGEST) : "", "error", { autoClose: false });
      return false;
    }
  }

  /** Say to the desk what was seen: only what a visible page shows. */
  #report() {
    if (document.hidden || this.unseen.size === 0) return;
    const seen = [...this.unseen];
    this.unseen.clear();
    this.connection.post("session/notices", { seen, where: "lab" }, "")
      .catch(() => { for (const id of seen) this.unseen.add(id); });
  }

  /** One announcement at a time; closed, it stays closed in this page. */
  #drawAnnouncement() {
    const { session, end } = this.connection;
    const announcement = end ? null : session?.announcement;
    if ((announcement?.id ?? null) === (this.announced?.id ?? null)) return;
    if (this.announced) this.kit.dismiss(this.announced.toast);
    this.announced = null;
    if (!announcement) return;
    const { id, text } = announcement;
    // The panel has all of a long text.
    const shown = text.length > LONGEST ? `${text.slice(0, LONGEST - 1)}…` : text;
    const toast = this.kit.emit(shown, "info", { autoClose: false });
    this.announced = { id, toast };
  }

  /** Not a notification of JupyterLab's, which loads a script at its first: there is no network now. */
  #drawLink() {
    const { connection: { link }, t } = this;
    if (link === "lost" && !this.banner) {
      this.banner = h("div", { class: "freepool-banner", role: "alert" },
        h("strong", {}, t.say("lost_title")), h("span", {}, t.say("lost_text")));
      document.body.append(this.banner);
    } else if (link !== "lost" && this.banner) {
      this.banner.remove();
      this.banner = null;
      if (link === "live") this.kit.emit(t.say("back"), "success", { autoClose: DONE_MS });
    }
  }
}
