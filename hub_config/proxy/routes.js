// The table of routes as a file, so that a proxy that was killed knows where notebooks are before the hub tells it.

import fs from "node:fs";

/** @typedef {Record<string, {target: string, [name: string]: unknown}>} Routes */

/**
 * The routes in a file; none where it is missing or was not written whole.
 * @param {string} file
 * @returns {Routes}
 */
export const readRoutes = (file) => {
  try {
    return JSON.parse(fs.readFileSync(file, "utf8"));
  } catch {
    return {};
  }
};

/**
 * Written before the hub's request is answered, so that the table on disk is never behind what the hub believes.
 * @param {string} file
 * @param {Routes} routes
 */
export const writeRoutes = (file, routes) => {
  fs.writeFileSync(`${file}.new`, JSON.stringify(routes), { mode: 0o600 });
  fs.renameSync(`${file}.new`, file);
};
