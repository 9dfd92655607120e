// How often one address may log in, start and ask: refused here, a flood costs the hub nothing. The settings, the table
// of what counts as what, and the texts are Freepool's (spawner/rate_limits), which counts by itself behind a proxy
// that does not.

import { clientAddress, networkOf } from "./address.js";
import { Buckets } from "./buckets.js";
import { pathOf } from "./paths.js";

/**
 * @typedef {{burst: number, per_minute: number}} Rate
 * @typedef {object} RateOptions
 * @property {number} trustedProxies
 * @property {number} most the most addresses that are remembered
 * @property {{kind: string | null, pattern: string, methods: string[]}[]} rules the first that matches counts
 * @property {string} otherwise kind of a request that no rule names
 * @property {Record<string, Rate>} byAddress kind -> rate
 * @property {Rate} failedLogins of all addresses together
 * @property {number} failedLoginCosts
 * @property {number[]} failed statuses of refused logins
 * @property {Record<string, {page: string, hub: string, desk: string}>} texts kind -> bodies
 * @property {Record<string, string>} headers
 */

const LOGIN = "login";
const EVERYBODY = "";
/** Lines about refusals: a flood must not fill the log. */
const LOG_LINES = { burst: 10, per_minute: 10 };

export class Rates {
  /** @param {RateOptions | undefined} options nothing is counted without them */
  constructor(options) {
    this.options = options;
    this.rules = (options?.rules ?? []).map((rule) => ({ ...rule, expression: new RegExp(rule.pattern, "u") }));
    this.buckets = new Map(
      Object.entries(options?.byAddress ?? {}).map(([kind, rate]) => [kind, new Buckets(rate, options?.most ?? 0)]),
    );
    this.lines = new Buckets(LOG_LINES, 1);
    this.failed = options && new Buckets(options.failedLogins, 1);
  }

  /**
   * @param {string} method
   * @param {string} path
   */
  kindOf(method, path) {
    const rule = this.rules.find(
      ({ methods, expression }) => (!methods.length || methods.includes(method)) && expression.test(path),
    );
    return rule ? rule.kind : this.options?.otherwise;
  }

  /**
   * Count a request to hub or desk. Returns nothing, or what refuses it.
   * @param {import("node:http").IncomingMessage} req
   * @param {number} now seconds of a monotonic clock
   */
  refusal(req, now = performance.now() / 1000) {
    const { kind, key, path } = this.#read(req);
    const wait = (kind && this.buckets.get(kind)?.take(key, now)) || 0;
    if (!wait || !kind) return undefined;
    const seconds = Math.ceil(wait);
    const line = this.lines.take(EVERYBODY, now) ? "" : `429: too many requests (${kind}) from ${key}`;
    return { line, ...this.#answer(kind, path, req.headers.accept ?? "", seconds) };
  }

  /**
   * A request was answered: a refused login costs its address more.
   * @param {import("node:http").IncomingMessage} req
   * @param {number} status
   * @param {number} now seconds of a monotonic clock
   */
  noteStatus(req, status, now = performance.now() / 1000) {
    if (!this.options?.failed.includes(status)) return;
    const { kind, key } = this.#read(req);
    if (kind !== LOGIN) return;
    const isFlood = Boolean(this.failed?.take(EVERYBODY, now));
    this.buckets.get(kind)?.charge(key, now, this.options.failedLoginCosts - 1, isFlood);
  }

  /** @param {import("node:http").IncomingMessage} req */
  #read(req) {
    const path = pathOf(req.url);
    const peer = req.socket.remoteAddress ?? "";
    const address = clientAddress(peer, req.headers["x-forwarded-for"], this.options?.trustedProxies ?? 0);
    return { kind: this.kindOf(req.method ?? "", path), key: networkOf(address), path };
  }

  /**
   * @param {string} kind
   * @param {string} path
   * @param {string} accept
   * @param {number} seconds
   */
  #answer(kind, path, accept, seconds) {
    const isForProgram = path.includes("/api/") || !accept.includes("text/html");
    const form = isForProgram ? (path.startsWith("/services/desk/") ? "desk" : "hub") : "page";
    const text = this.options?.texts[kind]?.[form] ?? "";
    const body = (seconds === 1 ? text.replaceAll("{seconds} seconds", "1 second") : text).replaceAll(
      "{seconds}",
      String(seconds),
    );
    const headers = {
      ...this.options?.headers,
      "Content-Type": isForProgram ? "application/json" : "text/html; charset=utf-8",
      "Content-Length": String(Buffer.byteLength(body)),
      "Retry-After": String(seconds),
      Connection: "close", // so that a sandbox's next request is a connection, of which its keeper passes on few
    };
    return { body, headers };
  }
}
