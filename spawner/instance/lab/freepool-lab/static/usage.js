/** Memory, disk and processor of this instance, asked of its server while the page is visible. */

/** @import { Usage as Numbers } from "../types.d.ts" */
/** @import { Connection } from "./connection.js" */

const EVERY_MS = 10_000;

/** Emits "change". */
export class Usage extends EventTarget {
  /** @param {Connection} connection */
  constructor(connection) {
    super();
    /** @type {Numbers | null} */
    this.numbers = null;
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

  async #ask() {
    try {
      const response = await this.connection.request(`${this.connection.base}usage`, {});
      if (response.ok) {
        this.numbers = await response.json();
        this.dispatchEvent(new Event("change"));
      }
    } catch { /* the connection finds out why */ }
  }
}
