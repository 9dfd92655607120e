// What a client gets where hub, desk or notebook does not answer: a page of the desk's, or away.html where the desk does
// not answer either. Programs get JSON.

import fs from "node:fs";
import http from "node:http";
import { pathOf } from "./paths.js";

const AWAY = fs.readFileSync(new URL("./away.html", import.meta.url), "utf8");
const SENTENCE = "The server is not responding. Running notebooks are not affected.";
const NEXT = "Try again in a few seconds.";
const POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
const DESK_MS = 3000;
/** Of what the desk answers; its page has a few. */
const LARGEST = 256 * 1024;
const LANGUAGE = /(?:^|;\s*)freepool-language=(en|zh-CN)(?=;|$)/;
const TITLES = { en: "The platform is not responding", "zh-CN": "平台无响应" };
const LIKE_HTML = /** @type {Record<string, string>} */ ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" });

/**
 * @typedef {{status: number, headers: Record<string, string>, body: string}} Answer
 */

/** @param {http.IncomingMessage} req */
const isPage = (req) => /text\/html/.test(req.headers.accept ?? "");

/**
 * The path without its query, which may hold a key.
 * @param {http.IncomingMessage} req
 */
const pathOnly = (req) => {
  try {
    return pathOf(req.url);
  } catch {
    return "/";
  }
};

/**
 * As spawner/i18n.py: the cookie, else what the browser prefers, else English.
 * @param {http.IncomingMessage} req
 * @returns {"en" | "zh-CN"}
 */
export const languageOf = (req) =>
  /** @type {"en" | "zh-CN" | undefined} */ (LANGUAGE.exec(req.headers.cookie ?? "")?.[1]) ?? (/^\s*zh\b/i.test(req.headers["accept-language"] ?? "") ? "zh-CN" : "en");

/**
 * The page without the desk.
 * @param {http.IncomingMessage} req
 * @param {number} status
 * @returns {Answer}
 */
const staticAnswer = (req, status) => {
  const headers = { "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Retry-After": "5" };
  if (!isPage(req)) {
    // As JupyterHub's API writes errors, and as the desk's does.
    const error = { code: "unavailable", message: SENTENCE, next: NEXT, details: "" };
    const body = JSON.stringify({ status, message: `${SENTENCE} ${NEXT}`, error });
    return { status, headers: { ...headers, "Content-Type": "application/json" }, body };
  }
  const language = languageOf(req);
  const values = /** @type {Record<string, string>} */ ({
    LANGUAGE: language,
    TITLE: TITLES[language],
    STATUS: String(status),
    PATH: pathOnly(req).slice(0, 500).replace(/[&<>]/g, (letter) => LIKE_HTML[letter] ?? ""),
    TIME: new Date().toISOString(),
    REQUEST: String(req.headers["x-request-id"] ?? ""),
  });
  const body = AWAY.replace(/\b(LANGUAGE|TITLE|STATUS|PATH|TIME|REQUEST)\b/g, (name) => values[name] ?? "");
  return { status, headers: { ...headers, "Content-Security-Policy": POLICY, "Content-Type": "text/html; charset=utf-8" }, body };
};

/**
 * Ask the desk for the page. It learns the language and the client's address, and no cookie that signs in.
 * @param {http.IncomingMessage} req
 * @param {number} status
 * @param {http.RequestOptions} desk where it is: `socketPath`, or `host` and `port`
 * @returns {Promise<Answer>} the static one where the desk is away
 */
export const errorAnswer = (req, status, desk) => {
  const path = pathOnly(req);
  if (!isPage(req) || path.startsWith("/services/desk/")) return Promise.resolve(staticAnswer(req, status));
  return new Promise((resolve) => {
    const fall = () => resolve(staticAnswer(req, status));
    const headers = /** @type {Record<string, string>} */ ({
      "Accept-Language": req.headers["accept-language"] ?? "",
      "Cookie": `freepool-language=${languageOf(req)}`,
      "User-Agent": req.headers["user-agent"] ?? "",
      "X-Forwarded-For": String(req.headers["x-forwarded-for"] ?? req.socket.remoteAddress ?? ""),
      "X-Request-ID": String(req.headers["x-request-id"] ?? ""),
    });
    const asked = http.request(
      { ...desk, path: `/services/desk/unavailable/${status}?url=${encodeURIComponent(path)}`, headers, timeout: DESK_MS },
      (answer) => {
        let body = "";
        answer.setEncoding("utf8");
        answer.on("data", (part) => {
          body += part;
          if (body.length > LARGEST) answer.destroy();
        });
        answer.on("close", fall); // does nothing after `end`
        answer.on("end", () => {
          const type = answer.headers["content-type"] ?? "";
          if (answer.statusCode !== 200 || !type.startsWith("text/html")) return fall();
          const policy = String(answer.headers["content-security-policy"] ?? POLICY);
          const told = { "Cache-Control": "no-store", "Content-Security-Policy": policy, "Content-Type": type };
          return resolve({ status, headers: { ...told, "X-Content-Type-Options": "nosniff" }, body });
        });
      },
    );
    asked.on("timeout", () => asked.destroy());
    asked.on("error", fall);
    asked.end();
  });
};
