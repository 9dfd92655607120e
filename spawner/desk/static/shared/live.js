/** The server's side of the page: its state as it changes, and requests to change it. */

/** @typedef {import("./types.js").State} State */

const POLL_MS = 10_000;
// A blip that mends itself is not worth a word.
const PATIENCE_MS = 2_000;
// The server says something every ten seconds. Without a word for longer, a
// connection that looks open may end at a proxy with nobody behind it.
const SILENCE_MS = 25_000;

/** The reader is no longer signed in. */
export class SignedOut extends Error {}

/** The server said no, in words meant for the reader. */
export class Refused extends Error {
  /** @param {{message?: string, next?: ?string, details?: string}} error */
  constructor(error) {
    super(error.message ?? "");
    this.next = error.next ?? null;
    this.details = error.details ?? "";
  }
}

/**
 * @param {string} url
 * @param {RequestInit} [options]
 * @returns {Promise<State>}
 */
async function request(url, options = {}) {
  // The way to the sign-in page is a redirect: following it would end in HTML.
  const answer = await fetch(url, { cache: "no-store", redirect: "manual", ...options });
  if (answer.type === "opaqueredirect" || answer.status === 401 || answer.status === 403) throw new SignedOut();
  const body = await answer.json().catch(() => null);
  if (!answer.ok || !body || body.error) throw new Refused(body?.error ?? {});
  return body;
}

/**
 * @param {string} base
 * @param {string} xsrf
 * @param {{state: string, events: string, changes: string}} [paths]  below the API's own
 */
export function client(base, xsrf, paths = { state: "state", events: "events", changes: "" }) {
  return {
    // JupyterHub checks the token on reads too: notebooks share this origin, and must not read over our shoulder.
    state: () => request(`${base}api/${paths.state}`, { headers: { "X-XSRFToken": xsrf } }),
    /** An EventSource can send no headers. */
    events: `${base}api/${paths.events}?_xsrf=${encodeURIComponent(xsrf)}`,
    /**
     * @param {string} path
     * @param {object} body
     */
    post: (path, body) => request(`${base}api/${paths.changes}${path}`, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-XSRFToken": xsrf },
      body: JSON.stringify(body),
    }),
  };
}

/**
 * Follow the state for as long as the page lives.
 * @param {string} url
 * @param {() => Promise<State>} poll
 * @param {{state: (state: State) => void, connected: (yes: boolean) => void, signedOut: () => void}} on
 */
export function follow(url, poll, on) {
  /** @type {EventSource} */
  let source;
  let lost = false;
  let patience = 0;
  let polling = 0;
  let silence = 0;

  function heard() {
    clearTimeout(silence);
    silence = setTimeout(() => {
      source.close();
      lose();
    }, SILENCE_MS);
  }

  function restore() {
    lost = false;
    clearTimeout(patience);
    clearInterval(polling);
    on.connected(true);
  }

  async function ask() {
    try {
      on.state(await poll());
    } catch (error) {
      if (error instanceof SignedOut) on.signedOut();
    }
    // An answer other than a stream ends an EventSource for good.
    if (lost && source.readyState === EventSource.CLOSED) connect();
  }

  function lose() {
    if (lost) return;
    lost = true;
    patience = setTimeout(() => on.connected(false), PATIENCE_MS);
    polling = setInterval(ask, POLL_MS);
    if (source.readyState === EventSource.CLOSED) ask();
  }

  function connect() {
    heard();
    source = new EventSource(url);
    source.onopen = restore;
    source.addEventListener("alive", heard);
    source.onmessage = (event) => {
      heard();
      if (lost) restore();
      on.state(JSON.parse(event.data));
    };
    source.onerror = lose;
  }

  connect();
  addEventListener("pagehide", () => {
    clearTimeout(silence);
    source.close();
  });
  // Coming back from another page or a long sleep, what is shown may be old.
  addEventListener("pageshow", (event) => { if (event.persisted) { restore(); connect(); ask(); } });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) ask(); });
}
