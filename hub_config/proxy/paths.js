// What a request asks for, however it is written: routes, limits and what is passed on must mean the same.

const BASE = "http://base.invalid";

/**
 * The path that hub, desk and notebooks are sent: http-proxy-3 takes `.` and `..` out of it, turns backslashes into
 * slashes, and drops the host of a whole URL. Throws where the address is not valid.
 * @param {string | undefined} url
 */
export const pathOf = (url = "") => new URL(url.startsWith("//") ? BASE + url : url, BASE).pathname;
