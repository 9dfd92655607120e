/**
 * The session as this notebook's server tells it, and whether there still is a server.
 *
 * A visible page has a stream. A hidden one asks now and then: a browser has six connections for one host, which are
 * all taken with six tabs that each keep one.
 */

/** @import { End, Link, Session } from "../types.d.ts" */

const SILENT_MS = 17_000; // The server writes every 5 seconds.
const HIDDEN_MS = 30_000;
const BACK_OFF_MS = [500, 1000, 2000, 4000, 8000, 15_000];
const CHECK_MS = 3000;
const END_MS = [1000, 2000, 2000, 5000, 10_000];
const ANSWER_MS = 10_000;
/** How much older than what is known a late answer can be, as in the server half. More: the desk's clock was set back. */
const LATE_MS = 30_000;

/** A change was refused: `message` says why. */
export class Refused extends Error {}

/** @param {number} ms */
const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

/** Emits "change" for everything that is shown. */
export class Connection extends EventTarget {
  /**
   * @param {object} parts
   * @param {string} parts.base  URL of the server half
   * @param {string} parts.language
   * @param {(url: string, init: RequestInit) => Promise<Response>} parts.request  JupyterLab's, with its XSRF token
   */
  constructor({ base, language, request }) {
    super();
    this.base = base;
    this.language = language;
    this.request = request;
    /** @type {Link} */
    this.link = "connecting";
    /** @type {Session | null} */
    this.session = null;
    /** @type {End | null} */
    this.end = null;
    /** What the desk's clock was at the page's monotonic clock's zero, in ms. The computer's own clock is not used. */
    this.offset = 0;
    this.hasClock = false;
    this.checkedAt = -CHECK_MS;
    this.wake = () => {};
    /** @type {AbortController} */
    this.abort = new AbortController();
  }

  /** Now, by the desk's clock, in ms. */
  now() { return this.hasClock ? performance.now() + this.offset : Date.now(); }

  /** Seconds until the end; null where it is not known. */
  left() {
    const end = Date.parse(this.session?.ends_at ?? "");
    return Number.isNaN(end) ? null : Math.max(0, (end - this.now()) / 1000);
  }

  /** Follow the session until it ends. */
  start() {
    document.addEventListener("visibilitychange", () => this.#again());
    window.addEventListener("offline", () => this.#again());
    window.addEventListener("online", () => this.#again());
    this.#follow();
  }

  /** A request of JupyterLab's has failed: look at once whether the server is still there. */
  check() {
    if (performance.now() - this.checkedAt < CHECK_MS) return;
    this.checkedAt = performance.now();
    this.#again();
  }

  #again() {
    this.abort.abort();
    this.wake();
  }

  #changed() { this.dispatchEvent(new Event("change")); }

  async #follow() {
    let failures = 0;
    while (!this.end) {
      this.abort = new AbortController();
      const began = performance.now();
      const outcome = await this.#listen();
      if (this.end) return;
      if (outcome === "failed") {
        await this.#findOut();
        failures = performance.now() - began > SILENT_MS ? 1 : failures + 1;
        if (!this.end) await this.#pause(BACK_OFF_MS[Math.min(failures, BACK_OFF_MS.length) - 1] ?? 500);
      } else {
        failures = 0;
        if (outcome === "done") await this.#pause(HIDDEN_MS);
      }
    }
  }

  /** @param {number} ms */
  async #pause(ms) {
    await Promise.race([sleep(ms), new Promise((resolve) => { this.wake = () => resolve(undefined); })]);
    this.wake = () => {};
  }

  /**
   * @returns {Promise<"done" | "cut" | "failed">} done: a hidden page has its answer; cut: this page has begun anew;
   *   failed: nothing answers, or the answer has ended
   */
  async #listen() {
    const { abort } = this;
    const once = document.hidden;
    let isSilent = false;
    const watch = () => setTimeout(() => { isSilent = true; abort.abort(); }, SILENT_MS);
    let timer = watch();
    try {
      const query = new URLSearchParams({ language: this.language, ...(once ? { once: "1" } : {}) });
      const address = `${this.base}session/events?${query}`;
      const response = await this.request(address, { cache: "no-store", signal: abort.signal });
      if (response.status !== 200 || !response.body) return "failed";
      if (once) {
        this.#apply(await response.json());
        return "done";
      }
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let rest = ""; ;) {
        const { value, done } = await reader.read();
        if (done) return "failed";
        clearTimeout(timer);
        timer = watch();
        const events = (rest + value).split("\n\n");
        rest = events.pop() ?? "";
        for (const event of events) {
          if (event.startsWith("data:")) this.#apply(JSON.parse(event.slice(5)));
        }
      }
    } catch {
      return abort.signal.aborted && !isSilent ? "cut" : "failed";
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * Whether a newer state has overtaken this one: the answer to a change and the stream come by two ways. Shown, it would
   * take a notice away that this page then takes for one that its user has closed.
   * @param {Session} next
   */
  #isLate(next) {
    const older = Date.parse(this.session?.now ?? "") - Date.parse(next.now ?? "");
    return older > 0 && older < LATE_MS;
  }

  /** @param {Session} next */
  #apply(next) {
    if (next.relay.now !== null) {
      this.offset = next.relay.now * 1000 - performance.now();
      this.hasClock = true;
    }
    if (this.session?.id && next.id && next.id !== this.session.id) {
      this.#replaced();
      return;
    }
    // A server that has just been restarted by the platform's update knows nothing yet.
    this.session = !this.session || (next.id && !this.#isLate(next)) ? next : { ...this.session, relay: next.relay };
    this.link = "live";
    this.#changed();
  }

  /** Another instance answers at this address: the user has restarted or switched, on the desk or in another tab. */
  async #replaced() {
    this.abort.abort();
    const end = await this.#askEnd();
    const { desk_url = "", restart_url = "" } = this.session ?? {};
    this.#finish(end?.reason ? end : {
      state: "ended", reason: "stopped", text: "", next_state: "running", desk_url, restart_url,
    });
  }

  /** Nothing answers at this address. Ask the desk whether the instance has ended. */
  async #findOut() {
    const end = await this.#askEnd();
    if (end?.reason) {
      this.#finish(end);
    } else if (this.session && this.link !== "lost") {
      this.link = "lost";
      this.#changed();
    }
  }

  /** @returns {Promise<End | null>} null where the desk does not say */
  async #askEnd() {
    if (!this.session?.end_url) return null;
    try {
      const address = new URL(this.session.end_url, location.href);
      address.searchParams.set("language", this.language);
      const response = await fetch(address, {
        credentials: "omit", cache: "no-store", signal: AbortSignal.timeout(ANSWER_MS),
      });
      return response.status === 200 ? await response.json() : null;
    } catch {
      return null;
    }
  }

  /** @param {End} end */
  async #finish(end) {
    this.end = end;
    this.link = "ended";
    this.#changed();
    // The cause may become known later, and a new instance may start.
    for (let turn = 0; ; turn += 1) {
      await sleep(END_MS[Math.min(turn, END_MS.length - 1)] ?? 10_000);
      if (document.hidden) continue;
      const newer = await this.#askEnd();
      if (newer?.reason && JSON.stringify(newer) !== JSON.stringify(this.end)) {
        this.end = newer;
        this.#changed();
      }
    }
  }

  /**
   * A change, by way of the server to the desk. Throws `Refused`.
   * @param {string} path
   * @param {object} body
   * @param {string} problem  what is said where nothing answers
   */
  async post(path, body, problem) {
    let response;
    try {
      const address = `${this.base}${path}?${new URLSearchParams({ language: this.language })}`;
      response = await this.request(address, { method: "POST", body: JSON.stringify(body) });
    } catch {
      throw new Refused(problem);
    }
    const found = response.status === 204 ? null : await response.json().catch(() => null);
    if (response.ok) {
      // The answer to a change may be the new session, which may be here before the stream has it.
      if (this.session && found?.id && found.id === this.session.id && !this.#isLate(found)) {
        this.session = { ...found, relay: this.session.relay };
        this.#changed();
      }
      return;
    }
    const error = found?.error ?? found ?? {};
    const words = [error.message ?? error.text, error.next].filter((part) => typeof part === "string");
    throw new Refused(words.join(" ") || problem);
  }
}
