// The proxy in front of hub, desk and notebooks: configurable-http-proxy's own class on sockets that are handed over,
// with the limits for which its command line has no options.
//
//   node front.js OPTIONS     OPTIONS: a JSON object, see `Options`. The API's token is in CONFIGPROXY_AUTH_TOKEN.

import { randomBytes } from "node:crypto";
import fs from "node:fs";
import http from "node:http";
import net from "node:net";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { AppHosts, appPath, limitAnswer } from "./apps.js";
import { drain, hasBody, Room, watchBody } from "./bodies.js";
import { limitConnections, makeServer } from "./connections.js";
import { errorAnswer } from "./errors.js";
import { pathOf } from "./paths.js";
import { affordable, requireToken } from "./pod.js";
import { Rates } from "./rates.js";
import { readRoutes, writeRoutes } from "./routes.js";
import { makeSecureServer, secureAddress } from "./tls.js";

/**
 * @typedef {object} Options
 * @property {string} modules folder of node_modules
 * @property {number[]} [descriptors] listening sockets: the supervisor's, which never lets go of the port
 * @property {number} [port] instead of them, in a pod: the port to listen on
 * @property {string | number} api Unix socket of the proxy's API; in a pod its port
 * @property {string} routes file that keeps the routes
 * @property {string} hub URL of the hub; also its default route
 * @property {string} desk URL of the desk
 * @property {string} deskPath the desk's route, with the host where routes have one
 * @property {string} gate URL of the desk's gate as JupyterHub writes it: a port of ours that leads to the desk
 * @property {number} gatePort that port; 0: there is none
 * @property {string} relayPath the route of programs' requests that the desk passes on to notebooks; empty: there is none
 * @property {string} host the hub's host name, where routes have hosts; else empty
 * @property {number} connections the most at the same time
 * @property {Partial<typeof LIMITS>} [limits]
 * @property {import("./tls.js").TlsOptions} [tls] a second port that ends TLS; browsers are sent there
 * @property {number} [trustedProxies] as in `rates`, where there are none
 * @property {import("./rates.js").RateOptions} [rates] without them nothing is counted
 */

const SECOND = 1000;
const MIB = 1024 * 1024;
const LIMITS = {
  /** Headers of a request; Node.js looks every `checkMs`. */
  headersMs: 15 * SECOND,
  checkMs: 5 * SECOND,
  /** A connection without a request: longer than any usual load balancer keeps one (600 s), which answers 502 otherwise. */
  keepAliveMs: 620 * SECOND,
  /** Bodies for hub and desk. */
  bodyBytes: MIB,
  bodyMs: 60 * SECOND,
  /** All of them together. */
  bodiesBytes: 32 * MIB,
  /** An upload to a notebook may take any time, as long as it goes on. */
  uploadIdleMs: 300 * SECOND,
  /** How long the rest of a refused body is read. */
  drainMs: 10 * SECOND,
};

/** Apps are their makers', and not for search engines. */
const NO_ROBOTS = "User-agent: *\nDisallow: /\n";
const ROBOTS = "User-agent: *\nAllow: /$\nAllow: /services/desk/$\nAllow: /services/desk/static/\nDisallow: /\n";

/** What the desk passes on as it comes (spawner/desk/relay.py). Other bodies it keeps until they are whole. */
const RELAYED = /^\/user\/[^/]+\/(?!paid-)/u;

/** @type {Options} */
const options = JSON.parse(process.argv[2] ?? "{}");
const limits = { ...LIMITS, ...options.limits };
const folder = path.join(options.modules, "configurable-http-proxy");
/** @param {string} name */
const load = (name) => import(pathToFileURL(path.join(folder, name)).href);
/** @type {typeof import("configurable-http-proxy")} */
const { ConfigurableProxy } = await load("lib/configproxy.js");
/** @type {typeof import("configurable-http-proxy/lib/log.js")} */
const { defaultLogger } = await load("lib/log.js");

const SENTENCES = {
  400: "The address of this request is not valid.",
  408: "The request took too long to arrive.",
  413: `The request is too large: at most ${limits.bodyBytes} bytes are accepted here.`,
  503: "Too many requests at the same time. Try again in a few seconds.",
};

class Front extends ConfigurableProxy {
  /** @type {WeakMap<http.IncomingMessage, http.ClientRequest>} */
  #upstream = new WeakMap();
  /** @type {WeakSet<http.IncomingMessage>} */
  #refused = new WeakSet();
  /** @type {WeakMap<http.IncomingMessage, () => void>} */
  #watch = new WeakMap();
  /** @type {WeakSet<http.IncomingMessage>} */
  #closing = new WeakSet();
  #room = new Room(limits.bodiesBytes);
  #rates = new Rates(options.rates);
  #socketAgent = new http.Agent({ keepAlive: true });
  #apps = new AppHosts(options.host);
  #isReady = false;

  /** @param {import("configurable-http-proxy").ProxyOptions} settings */
  constructor(settings) {
    super(settings);
    this.proxy.on("proxyReq", (upstream, req) => this.#upstream.set(req, upstream));
    this.proxy.on("proxyRes", (answer, req) => this.#rates.noteStatus(req, answer.statusCode ?? 0));
    this.proxy.on("proxyRes", (answer, req) => { if (this.#apps.find(req.headers.host)) limitAnswer(answer.headers); });
    this.proxy.on("proxyRes", (answer, req) => {
      if (!this.#closing.has(req)) return;
      req.headers.connection = "close";
      answer.headers.connection = "close";
    });
    // Else a browser waits for ever for the rest of an answer whose server has been killed.
    this.proxy.on("proxyRes", (answer, _req, res) => answer.once("close", () => { if (!answer.complete) res.destroy(); }));
    // Just before the body is piped on: an earlier listener would set it flowing.
    this.on("proxyRequest", (req) => this.#watch.get(req)?.());
  }

  /** Fill the table of routes: what it had before it ended, and the desk, which JupyterHub cannot route to a socket. */
  async restore() {
    for (const [route, data] of Object.entries(readRoutes(options.routes))) {
      await this._routes.add(route, data);
      this.#apps.add(route, data);
    }
    await this._routes.add(options.deskPath, { target: options.desk });
    this.#isReady = true;
  }

  /**
   * @override
   * @param {string} route
   * @param {{target: string}} data
   */
  async addRoute(route, data) {
    await super.addRoute(route, data);
    this.#apps.add(route, data);
    await this.#keep();
  }

  /**
   * @override
   * @param {string} route
   */
  async removeRoute(route) {
    await super.removeRoute(route);
    this.#apps.remove(route);
    await this.#keep();
  }

  async #keep() {
    if (this.#isReady) writeRoutes(options.routes, await this._routes.getAll());
  }

  /**
   * @override
   * @param {http.IncomingMessage} req
   */
  async targetForReq(req) {
    if (options.gatePort && req.socket.localPort === options.gatePort) {
      return { prefix: options.deskPath, target: options.desk, isGate: true };
    }
    const path = pathOf(req.url);
    const app = this.#apps.find(req.headers.host);
    if (app) return app.match;
    const match = await super.targetForReq(asked(path, isAddress(req.headers.host) ? options.host : req.headers.host));
    return match?.target === options.gate
      ? { ...match, target: options.desk, isGate: match.prefix !== options.relayPath || !RELAYED.test(path) }
      : match;
  }

  /**
   * @override
   * @param {URL} target
   */
  proxyOptsForTarget(target) {
    const found = super.proxyOptsForTarget(target);
    if (found.target.socketPath) found.agent = this.#socketAgent; // keeps connections, as for TCP
    return found;
  }

  /**
   * @override
   * @param {http.IncomingMessage} req
   * @param {http.ServerResponse} res
   */
  async handleProxyWeb(req, res) {
    delete req.headers.expect; // Node.js has answered it
    // A client's `Connection` is about its own connection (RFC 9110, 7.6.1). Passed on, `close` ended one to the hub that
    // was about to serve the next request, which failed with 503.
    if (/\bclose\b/i.test(req.headers.connection ?? "")) this.#closing.add(req);
    req.headers.connection = "keep-alive";
    const secure = secureAddress(req, options.tls);
    if (secure) {
      res.writeHead(308, { Location: secure, "Content-Length": 0, Connection: "close" });
      res.end();
      drain(req, limits.drainMs);
      return;
    }
    const id = randomBytes(8).toString("hex");
    req.headers["x-request-id"] = id; // the logs of hub and desk have it, and their error pages
    res.setHeader("X-Request-ID", id);
    if (req.url === "/robots.txt" && (req.method === "GET" || req.method === "HEAD")) {
      res.writeHead(200, { "Content-Type": "text/plain; charset=utf-8", "Cache-Control": "public, max-age=86400" });
      res.end(this.#apps.find(req.headers.host) ? NO_ROBOTS : ROBOTS);
      return;
    }
    let match;
    try {
      match = await this.targetForReq(req);
      this.#leadToApp(req);
    } catch {
      this.#refuse(req, res, 400);
      return;
    }
    const isOurs = this.#isOurs(match);
    const refusal = this.#counts(match) && this.#rates.refusal(req);
    if (refusal) {
      this.#refused.add(req);
      if (refusal.line) this.log.warn(refusal.line);
      res.writeHead(429, refusal.headers);
      res.end(refusal.body);
      drain(req, limits.drainMs);
    } else if (!hasBody(req) || this.#admits(req, res, isOurs)) {
      await super.handleProxyWeb(req, res);
    }
  }

  /**
   * Hub and desk have no websockets, and read such a request as any other.
   * @override
   * @param {http.IncomingMessage} req
   * @param {import("node:stream").Duplex} socket
   * @param {Buffer} head
   */
  async handleProxyWs(req, socket, head) {
    const secure = secureAddress(req, options.tls);
    if (secure) {
      socket.end(`HTTP/1.1 308 Permanent Redirect\r\nLocation: ${secure}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
      return undefined;
    }
    const match = await this.targetForReq(req).catch(() => undefined);
    const refusal = this.#counts(match) && this.#rates.refusal(req);
    if (match) this.#leadToApp(req);
    if (hasBody(req)) {
      // No browser sends one, and none of it is passed on: what is behind would wait for it without an end.
      socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
      return undefined;
    }
    if (!refusal) return super.handleProxyWs(req, socket, head);
    const lines = Object.entries(refusal.headers).map(([name, value]) => `${name}: ${value}\r\n`);
    socket.end(`HTTP/1.1 429 Too Many Requests\r\n${lines.join("")}\r\n${refusal.body}`);
  }

  /**
   * On an app's host: have the notebook's server asked for the app. Called once for each request.
   * @param {http.IncomingMessage} req
   */
  #leadToApp(req) {
    const app = this.#apps.find(req.headers.host);
    if (app?.match) req.url = appPath(app.port, pathOf(req.url), req.url);
  }

  /**
   * Whether it costs hub or desk something, also where the desk passes it on. Notebooks' own traffic does not.
   * @param {{target: string} | undefined} match
   */
  #counts(match) {
    return match?.target === options.hub || match?.target === options.desk;
  }

  /**
   * Whether hub or desk answer, and no notebook.
   * @param {{prefix: string, target: string, isGate?: boolean} | undefined} match
   */
  #isOurs(match) {
    // On other routes the desk passes bodies on to notebooks, and keeps none.
    const isDesks = match?.prefix === options.deskPath || match?.isGate;
    return match?.target === options.hub || Boolean(match?.target === options.desk && isDesks);
  }

  /**
   * @param {http.IncomingMessage} req
   * @param {http.ServerResponse} res
   * @param {boolean} isOurs
   */
  #admits(req, res, isOurs) {
    const declared = Number(req.headers["content-length"] ?? limits.bodyBytes);
    if (isOurs && (declared > limits.bodyBytes || !this.#room.take(declared, res))) {
      this.#refuse(req, res, declared > limits.bodyBytes ? 413 : 503);
      return false;
    }
    const { bodyBytes, bodyMs, uploadIdleMs } = limits;
    const own = isOurs
      ? { largest: bodyBytes, wholeMs: bodyMs, idleMs: bodyMs }
      : { largest: Infinity, wholeMs: 0, idleMs: uploadIdleMs };
    this.#watch.set(req, () => watchBody(req, own, (status) => this.#refuse(req, res, status)));
    return true;
  }

  /**
   * @param {http.IncomingMessage} req
   * @param {http.ServerResponse} res
   * @param {number} status
   */
  #refuse(req, res, status) {
    this.#refused.add(req);
    req.unpipe();
    this.#upstream.get(req)?.destroy();
    this.log.warn(`${status} ${req.method} ${(req.url ?? "").split("?", 1)[0]} refused`);
    const text = `${SENTENCES[/** @type {keyof typeof SENTENCES} */ (status)]}\n`;
    if (!res.headersSent) {
      /** @type {Record<string, string | number>} */
      const headers = { "Content-Type": "text/plain; charset=utf-8", "Content-Length": Buffer.byteLength(text) };
      if (status === 408) headers["Connection"] = "close";
      if (status === 503) headers["Retry-After"] = 5;
      res.writeHead(status, headers);
      res.end(text);
    } else {
      res.destroy();
    }
    drain(req, limits.drainMs);
  }

  /**
   * @override
   * @param {number} code
   * @param {string} kind
   * @param {http.IncomingMessage} req
   * @param {http.ServerResponse} res
   * @param {Error} [error]
   */
  handleProxyError(code, kind, req, res, error) {
    if (this.#refused.has(req)) return;
    req.url = (req.url ?? "").split("?", 1)[0]; // it is logged, and a query has keys
    if (kind === "ws" || !res) return super.handleProxyError(code, kind, req, res, error);
    this.log.error(`${code} ${req.method} ${req.url} ${error?.message ?? ""} [request=${req.headers["x-request-id"]}]`);
    if (res.headersSent) return void res.destroy();
    const { socketPath, hostname, port } = this.proxyOptsForTarget(new URL(options.desk)).target;
    void errorAnswer(req, code, socketPath ? { socketPath } : { host: hostname, port }).then((answer) => {
      if (res.headersSent || res.destroyed) return;
      res.writeHead(answer.status, answer.headers);
      res.end(req.method === "HEAD" ? undefined : answer.body);
    });
  }

  /**
   * Have a server answer as the class's own would.
   * @param {http.Server} server
   */
  answerOn(server) {
    for (const name of ["request", "upgrade"]) {
      for (const listener of this.proxyServer.listeners(name)) {
        server.on(name, /** @type {(...given: unknown[]) => void} */ (listener));
      }
    }
  }
}

/**
 * Whether a Host header names an address of this machine, not a name: by such a one instances reach the hub's host.
 * @param {string | undefined} host
 */
const isAddress = (host) => net.isIP((host ?? "").replace(/:\d+$/, "").replace(/^\[|\]$/g, "")) !== 0;

/**
 * A request as the table of routes reads it.
 * @param {string} path
 * @param {string | undefined} host
 */
const asked = (path, host) =>
  /** @type {http.IncomingMessage} */ ({ url: `http://base.invalid${path}`, headers: { host } });

const log = defaultLogger({ level: "warn" });
const { error: logError } = log;
/**
 * Without the trace of an error of the system: a program that starts has no socket yet, and each request would log ten
 * lines.
 * @param {string} text
 * @param {unknown[]} values
 */
log.error = (text, ...values) =>
  logError.call(log, text, ...values.map((value) => (value instanceof Error && "code" in value ? value.message : value)));
const front = new Front({
  log,
  authToken: process.env["CONFIGPROXY_AUTH_TOKEN"],
  defaultTarget: options.hub,
  errorTarget: "",
  hostRouting: Boolean(options.host),
  includePrefix: true,
  prependPath: true,
  xfwd: true,
});
await front.restore();

process.umask(0o077);
if (typeof options.api === "string") fs.rmSync(options.api, { force: true }); // of a proxy that was killed
else requireToken(process.env["CONFIGPROXY_AUTH_TOKEN"]);
front.apiServer.listen(options.api);
const server = makeServer(limits);
const { connections, port, tls } = options;
const secureServer = tls && makeSecureServer(limits, tls, (line) => log.warn(line));
const servers = secureServer ? [server, secureServer] : [server];
for (const one of servers) front.answerOn(one);
limitConnections(servers, port ? affordable(connections) : connections, options.trustedProxies ?? options.rates?.trustedProxies);
const [first, ...others] = options.descriptors ?? [];
server.listen(port ? port : { fd: first });
if (tls) secureServer?.listen(tls.port);
for (const fd of others) net.createServer((socket) => void server.emit("connection", socket)).listen({ fd });

process.on("SIGTERM", () => process.exit(0));
process.on("SIGINT", () => process.exit(0));
process.on("uncaughtException", (error) => log.error(`Uncaught exception: ${error.stack ?? error.message}`));
