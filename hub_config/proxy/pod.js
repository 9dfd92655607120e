// In a pod no supervisor holds sockets, and no file says what `ulimit` is: the proxy opens its ports itself.

import fs from "node:fs";

const SPARE_DESCRIPTORS = 256;

/**
 * How many connections there may be: each takes two descriptors.
 * @param {number} most
 * @param {string} [file] what the kernel says of this process
 */
export const affordable = (most, file = "/proc/self/limits") => {
  const [, word] = /^Max open files +\S+ +(\S+)/m.exec(fs.readFileSync(file, "utf8")) ?? [];
  const descriptors = Number(word); // not a number where there is no limit
  return descriptors ? Math.max(1, Math.min(most, Math.floor((descriptors - SPARE_DESCRIPTORS) / 2))) : most;
};

/**
 * Refuse an API on a port that would obey everybody: configurable-http-proxy without a token only warns.
 * @param {string | undefined} token
 */
export const requireToken = (token) => {
  if (!token) throw new Error("CONFIGPROXY_AUTH_TOKEN is not set: every pod that reaches the API could change routes.");
};
