/** Tells the server that a person uses this page: real input in a visible tab, at most once a minute. */

/** @import { Connection } from "./connection.js" */

const EVERY_MS = 60_000;

/** @param {Connection} connection */
export function reportInput(connection) {
  let last = -EVERY_MS;
  /** @param {Event} event */
  const report = ({ isTrusted }) => {
    if (!isTrusted || document.hidden || connection.link !== "live" || performance.now() - last < EVERY_MS) return;
    last = performance.now();
    connection.post("input", {}, "").catch(() => {});
  };
  for (const kind of ["pointerdown", "keydown", "touchstart", "wheel"]) {
    window.addEventListener(kind, report, { capture: true, passive: true });
  }
}
