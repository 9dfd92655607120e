// Hosts of apps: pPORT--LABEL.HOST leads to the notebook at LABEL.HOST, and there to the app on that port. The notebook's
// server decides who may see it (spawner/instance/apps). Each is an origin of its own, so an app's page reaches neither
// JupyterLab nor another app.

const APP = /^p([1-9]\d{3,4})--([a-z0-9-]+)$/;
/** The route of a user's own server. Named servers, which paid instances are, have no apps. */
const SERVER = /^\/([^/]+)\/user\/[^/]+$/;
/** Where an instance's server takes what comes for an app. No other request reaches this path: routes end in /user/NAME. */
const PATH = "/freepool-app/";

const NOT_ANSWERED = ["clear-site-data", "strict-transport-security", "alt-svc"];
/** What `Clear-Site-Data` may name: the notebook's server does. `"cookies"` deletes those of all hosts of the domain. */
const OF_ONE_ORIGIN = ['"cache"', '"storage"'];

/** @typedef {{prefix: string, target: string}} Match */

export class AppHosts {
  /** @type {Map<string, Match>} */
  #notebooks = new Map();
  #domain;

  /** @param {string} host the hub's host name; notebooks and apps have subdomains of it. Empty: apps have no hosts */
  constructor(host) {
    this.#domain = host ? `.${host}` : "";
  }

  /**
   * A route of the table has come.
   * @param {string} route
   * @param {{target: string}} data
   */
  add(route, { target }) {
    const prefix = trimmed(route);
    const [, host] = SERVER.exec(prefix) ?? [];
    if (host) this.#notebooks.set(host, { prefix, target });
  }

  /** @param {string} route that is gone */
  remove(route) {
    const prefix = trimmed(route);
    const [, host] = SERVER.exec(prefix) ?? [];
    if (host && this.#notebooks.get(host)?.prefix === prefix) this.#notebooks.delete(host);
  }

  /**
   * Which app a Host header names; undefined where it is no app's. `match` is undefined while its notebook does not run.
   * @param {string | undefined} header
   * @returns {{port: string, match: Match | undefined} | undefined}
   */
  find(header) {
    const host = (header ?? "").toLowerCase().replace(/:\d+$/, "");
    if (!this.#domain || !host.endsWith(this.#domain)) return undefined;
    const [, port, label] = APP.exec(host.slice(0, -this.#domain.length)) ?? [];
    return port ? { port, match: this.#notebooks.get(`${label}${this.#domain}`) } : undefined;
  }
}

/**
 * The address by which an instance's server is asked for an app's. Throws where the one that was asked for is not valid.
 * @param {string} port
 * @param {string} path as `pathOf` gives it: without `..`, beginning with a slash
 * @param {string | undefined} url what the client asked for
 */
export const appPath = (port, path, url = "") => {
  const query = url.indexOf("?");
  const end = url.indexOf("#");
  return `${PATH}${port}${path}${query < 0 || (end >= 0 && end < query) ? "" : url.slice(query).split("#", 1)[0]}`;
};

/**
 * Take out of an app's answer what reaches further than its own host, or outlives the notebook. The notebook's server
 * does so, too, but it runs in a sandbox of the owner's, whose visitors have cookies of other hosts of the platform.
 * @param {import("node:http").IncomingHttpHeaders} headers
 */
export const limitAnswer = (headers) => {
  const cleared = String(headers["clear-site-data"] ?? "").split(",").map((one) => one.trim());
  const own = cleared.filter((one) => OF_ONE_ORIGIN.includes(one));
  for (const name of NOT_ANSWERED) delete headers[name];
  if (own.length) headers["clear-site-data"] = own.join(", ");
};

/** @param {string} route */
const trimmed = (route) => `/${route.replace(/^\/+|\/+$/g, "")}`;
