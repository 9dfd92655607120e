/** The page's connection to the server: its state as it changes, and requests to change it. */

/** @import { ErrorBody } from "./api.d.ts" */

const POLL_MS = 10_000;
// A shorter interruption is not reported.
const PATIENCE_MS = 2_000;
// The server sends an event at least every ten seconds. After a longer silence
// the connection may be open to a proxy whose upstream is gone.
const SILENCE_MS = 25_000;
// Refusals with status 403 to a user who is signed in: the page shows them.
const REFUSED_TO_USERS = ["no_hours", "not_for_you"];

/**
 * Why a request failed, in the user's language.
 * @typedef {{message: string, next: string | null, details: string}} Problem
 */

/**
 * @template State
 * @typedef {object} Client
 * @property {() => Promise<State>} state
 * @property {string} events  the URL of the event stream
 * @property {(path: string, body: object) => Promise<State>} post
 */

/** The session has ended. */
export class SignedOut extends Error {}

/** The server refused the request; `message` is for the user, and empty where the answer had none. */
export class Refused extends Error {
  /** @param {Partial<ErrorBody>} error */
  constructor(error) {
    super(error.message ?? "");
    this.next = error.next ?? null;
    this.details = error.details ?? "";
  }
}

/**
 * @param {string} url
 * @param {RequestInit} [options]
 */
async function request(url, options = {}) {
  // The desk redirects to the sign-in page; following it would return HTML.
  const response = await fetch(url, { cache: "no-store", redirect: "manual", ...options });
  if (response.type === "opaqueredirect" || response.status === 401) throw new SignedOut();
  const body = await response.json().catch(() => null);
  if (response.status === 403 && !REFUSED_TO_USERS.includes(body?.error?.code)) throw new SignedOut();
  if (!response.ok || !body || body.error) throw new Refused(body?.error ?? {});
  return body;
}

/**
 * @template State
 * @param {string} base
 * @param {string} xsrf
 * @param {{state: string, events: string, changes: string}} [paths]  relative to the API's base
 * @returns {Client<State>}
 */
export function client(base, xsrf, paths = { state: "state", events: "events", changes: "" }) {
  return {
    // The desk checks the token on reads too: notebooks share this origin, and must not read this state.
    state: () => request(`${base}api/${paths.state}`, { headers: { "X-XSRFToken": xsrf } }),
    // An EventSource cannot send headers.
    events: `${base}api/${paths.events}?_xsrf=${encodeURIComponent(xsrf)}`,
    post: (path, body) => request(`${base}api/${paths.changes}${path}`, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-XSRFToken": xsrf },
      body: JSON.stringify(body),
    }),
  };
}

/**
 * Follow the state until the page is closed: by events, and by polling while there is no event stream.
 * @template State
 * @param {Client<State>} api
 * @param {{state: (state: State) => void, connected: (yes: boolean) => void, signedOut: () => void}} on
 */
export function follow(api, on) {
  /** @type {EventSource} */
  let source;
  let disconnected = false;
  let patience = 0;
  let polling = 0;
  let silence = 0;

  function onEvent() {
    clearTimeout(silence);
    silence = setTimeout(() => {
      source.close();
      onDisconnect();
    }, SILENCE_MS);
  }

  function onConnect() {
    disconnected = false;
    clearTimeout(patience);
    clearInterval(polling);
    on.connected(true);
  }

  async function poll() {
    try {
      on.state(await api.state());
    } catch (error) {
      if (error instanceof SignedOut) on.signedOut();
    }
    // An EventSource does not retry after an answer that is not a stream.
    if (disconnected && source.readyState === EventSource.CLOSED) connect();
  }

  function onDisconnect() {
    if (disconnected) return;
    disconnected = true;
    patience = setTimeout(() => on.connected(false), PATIENCE_MS);
    polling = setInterval(poll, POLL_MS);
    if (source.readyState === EventSource.CLOSED) poll();
  }

  function connect() {
    onEvent();
    source = new EventSource(api.events);
    source.onopen = onConnect;
    source.addEventListener("alive", onEvent);
    source.onmessage = (event) => {
      onEvent();
      if (disconnected) onConnect();
      on.state(JSON.parse(event.data));
    };
    source.onerror = onDisconnect;
  }

  connect();
  addEventListener("pagehide", () => {
    clearTimeout(silence);
    source.close();
  });
  // A page from the back-forward cache, or one that was hidden for long, may show an old state.
  addEventListener("pageshow", (event) => { if (event.persisted) { onConnect(); connect(); poll(); } });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) poll(); });
}
