// What Node.js's server does with connections: how long they last, and how many there may be.

import http from "node:http";
import { networkOf } from "./address.js";

/**
 * Limits of time that suit uploads and load balancers. The defaults of Node.js suit neither.
 * @param {{headersMs: number, checkMs: number, keepAliveMs: number}} limits
 */
export const serverOptions = ({ headersMs, checkMs, keepAliveMs }) => ({
  keepAlive: true,
  keepAliveTimeout: keepAliveMs,
  headersTimeout: headersMs,
  requestTimeout: 0, // of the whole request, uploads included (300 s by default); bodies.js has the limits of bodies
  connectionsCheckingInterval: checkMs,
});

/** @param {{headersMs: number, checkMs: number, keepAliveMs: number}} limits */
export const makeServer = (limits) => http.createServer(serverOptions(limits));

/**
 * Each connection takes two file descriptors, and one client shall not have them all.
 * Close what is too much at once; where it becomes tight, close connections that wait for a next request.
 * @param {import("node:http").Server[]} servers that share the limit
 * @param {number} most at the same time; half as many for one address (of IPv6: one network)
 * @param {number} [trustedProxies] behind a proxy all are from its address
 */
export const limitConnections = (servers, most, trustedProxies = 0) => {
  const mostOfOne = trustedProxies ? most : Math.ceil(most / 2);
  let open = 0;
  /** @type {Map<string, number>} */
  const byAddress = new Map();
  /** @param {import("node:net").Socket} socket */
  const admit = (socket) => {
    const address = networkOf(socket.remoteAddress ?? "");
    const same = byAddress.get(address) ?? 0;
    if (open >= most * 0.8) for (const server of servers) server.closeIdleConnections();
    if (open >= most || same >= mostOfOne) {
      socket.destroy();
      return;
    }
    open += 1;
    byAddress.set(address, same + 1);
    socket.once("close", () => {
      open -= 1;
      const left = (byAddress.get(address) ?? 1) - 1;
      if (left) byAddress.set(address, left);
      else byAddress.delete(address);
    });
  };
  for (const server of servers) server.on("connection", admit);
};
