/** The item of the status bar: time and allowance left, memory, disk and processor. A button that opens the panel. */

import { h, setText } from "./dom.js";

/** @import { Kit } from "../types.d.ts" */
/** @import { Connection } from "./connection.js" */
/** @import { Texts } from "./texts.js" */
/** @import { Usage } from "./usage.js" */

const URGENT_SECONDS = 5 * 60;
const SOON_SECONDS = 30 * 60;
const FULL = 0.9;

/**
 * @param {number | null} seconds
 * @returns {"" | "soon" | "urgent"}
 */
export const urgency = (seconds) => (seconds === null || seconds > SOON_SECONDS ? ""
  : seconds > URGENT_SECONDS ? "soon" : "urgent");

export class StatusItem {
  /** @param {{ connection: Connection, kit: Kit, usage: Usage, t: Texts, open: () => void }} parts */
  constructor({ connection, kit, usage, t, open }) {
    this.connection = connection;
    this.usage = usage;
    this.t = t;
    this.widget = new kit.widgets.Widget();
    this.widget.id = "freepool-status";
    this.clock = h("span", { class: "freepool-clock" });
    this.rest = h("span", { class: "freepool-rest" });
    this.button = h("button", { type: "button", class: "freepool-status", click: open, hidden: true }, this.clock, this.rest);
    this.widget.node.append(this.button);
    connection.addEventListener("change", () => this.draw());
    usage.addEventListener("change", () => this.draw());
    setInterval(() => { if (!document.hidden) this.draw(); }, 1000);
  }

  draw() {
    const { connection, t } = this;
    const seconds = connection.left();
    const [clock, level] = connection.link === "ended" ? [t.say("ended_short"), "urgent"]
      : connection.link === "lost" ? [t.say("not_connected"), "soon"]
        : seconds === null ? ["", ""] : [t.left(seconds), urgency(seconds)];
    const rest = connection.link === "live" ? [this.#allowance(), this.#usage()].filter(Boolean).join(" · ") : "";
    this.button.hidden = !clock && !rest;
    setText(this.clock, clock);
    setText(this.rest, rest);
    this.clock.hidden = !clock;
    this.clock.dataset.level = level;
    const label = t.say("open_panel", { status: [clock, rest].filter(Boolean).join(", ") });
    if (this.button.getAttribute("aria-label") !== label) this.button.setAttribute("aria-label", label);
    this.button.title = label;
  }

  #allowance() {
    const { title, left_seconds: left } = this.connection.session?.allowance ?? {};
    if (!title || left === null || left === undefined) return "";
    return this.t.say("allowance_item", { title, left: this.t.duration(left) });
  }

  #usage() {
    const { t } = this;
    const { memory, disk, cpu } = this.usage.numbers ?? {};
    const parts = [];
    if (memory?.used && memory.limit) {
      parts.push(`${t.say("memory")} ${t.say("used", { used: t.size(memory.used), limit: t.size(memory.limit) })}`);
    }
    if (disk?.used && disk.limit && disk.used / disk.limit > FULL) {
      parts.push(`${t.say("disk")} ${t.say("used", { used: t.size(disk.used), limit: t.size(disk.limit) })}`);
    }
    if (typeof cpu?.percent === "number") parts.push(`${t.say("cpu")} ${Math.round(cpu.percent)}%`);
    return parts.join(" · ");
  }
}
