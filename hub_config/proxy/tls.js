// TLS at the proxy itself, in a pod without an Ingress: a second port, with a certificate whose files may change.

import fs from "node:fs";
import https from "node:https";
import path from "node:path";
import { serverOptions } from "./connections.js";

/**
 * @typedef {object} TlsOptions
 * @property {number} port
 * @property {string} certificate file with the certificate and those that lead to its authority (PEM)
 * @property {string} key file with its key (PEM)
 * @property {string} host whose plain requests, and those of hosts below it, are sent to https
 * @property {string} publicPort port of https in a browser's address; empty: 443
 */

/** @param {TlsOptions} tls */
const read = ({ certificate, key }) => ({ cert: fs.readFileSync(certificate), key: fs.readFileSync(key) });

/**
 * A server that ends TLS. Kubernetes replaces a Secret's files by moving a link in their folder: then they are read again.
 * @param {{headersMs: number, checkMs: number, keepAliveMs: number}} limits
 * @param {TlsOptions} tls
 * @param {(line: string) => void} warn
 */
export const makeSecureServer = (limits, tls, warn) => {
  const server = https.createServer({ ...serverOptions(limits), handshakeTimeout: limits.headersMs, ...read(tls) });
  server.on("tlsClientError", (_error, socket) => socket.destroy()); // scans and clients that do not trust it
  fs.watch(path.dirname(tls.certificate), () => {
    try {
      server.setSecureContext(read(tls));
    } catch (error) {
      warn(`The new certificate cannot be used, the old one stays: ${error instanceof Error ? error.message : error}`);
    }
  });
  return server;
};

/**
 * Where a plain request of a browser belongs. Requests of the cluster itself (notebooks, probes) name another host, and
 * are served as they are.
 * @param {import("node:http").IncomingMessage} req
 * @param {TlsOptions | undefined} tls
 */
export const secureAddress = (req, tls) => {
  if (!tls || "encrypted" in req.socket) return undefined;
  const name = (req.headers.host ?? "").replace(/:\d+$/, "").toLowerCase();
  if (!/^[a-z0-9.-]+$/.test(name) || (name !== tls.host && !name.endsWith(`.${tls.host}`))) return undefined;
  const address = (req.url ?? "").startsWith("/") ? req.url : "/";
  return `https://${name}${tls.publicPort ? `:${tls.publicPort}` : ""}${address}`;
};
