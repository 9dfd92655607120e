/** Memory, disk and processor of this instance, asked of its server while the page is visible. */

/** @import { Usage as Numbers } from "../types.d.ts" */
/** @import { Connection } from "./connection.js" */

const EVERY_MS = 10_000;
const FULL = 0.95;
const ROOMY = 0.85;

/** Emits "change", "full" each time the disk gets full, and "ended" for each kernel that was ended for its memory since the page was opened. */
export class Usage extends EventTarget {
  /** @param {Connection} connection */
  constructor(connection) {
    super();
    /** @type {Numbers | null} */
    this.numbers = null;
    /** @type {Set<string> | null} kernels that had been ended when the page was opened, and those that were told of */
    this.told = null;
    /** Whether the person was told that the disk is full, and it still is. */
    this.isFull = false;
    this.connection = connection;
    connection.addEventListener("change", () => this.#begin(), { once: true });
  }

  async #begin() {
    while (!this.connection.end) {
      const { link } = this.connection;
      if (!document.hidden && link === "live") await this.#ask();
      await new Promise((resolve) => { setTimeout(resolve, EVERY_MS); });
    }
  }

  #tellOfEnded() {
    const isFirst = this.told === null;
    this.told ??= new Set();
    for (const kernel of this.numbers?.ended_kernels ?? []) {
      const key = `${kernel.kernel_id} ${kernel.at}`;
      if (!isFirst && !this.told.has(key)) this.dispatchEvent(new CustomEvent("ended", { detail: kernel }));
      this.told.add(key);
    }
  }

  #tellOfFull() {
    const { used, limit } = this.numbers?.disk ?? {};
    if (!used || !limit) return;
    if (used / limit < ROOMY) this.isFull = false;
    if (used / limit < FULL || this.isFull) return;
    this.isFull = true;
    this.dispatchEvent(new CustomEvent("full", { detail: { used, limit } }));
  }

  async #ask() {
    try {
      const response = await this.connection.request(`${this.connection.base}usage`, {});
      if (response.ok) {
        this.numbers = await response.json();
        this.dispatchEvent(new Event("change"));
        this.#tellOfEnded();
        this.#tellOfFull();
      }
    } catch { /* the connection finds out why */ }
  }
}
