// Which address a request comes from, and what is limited as one client; the same as spawner/client_address.py.

import net from "node:net";

/** Where keepers pass on what sandboxes send. */
const sandboxes = new net.BlockList();
sandboxes.addSubnet("127.128.0.0", 9);

/**
 * The client's address, as the first of our proxies sees it.
 * @param {string} peer
 * @param {string | string[] | undefined} forwardedFor
 * @param {number} trustedProxies number of proxies in front
 */
export const clientAddress = (peer, forwardedFor, trustedProxies) => {
  const near = normalAddress(peer) ?? peer;
  if (!trustedProxies || !forwardedFor || (net.isIPv4(near) && sandboxes.check(near))) return near;
  const hops = String(forwardedFor).split(",");
  if (trustedProxies > hops.length) return near;
  return normalAddress(hops[hops.length - trustedProxies] ?? "") ?? near;
};

/**
 * One spelling for each address, without a port; undefined where it is none.
 * @param {string} text
 */
export const normalAddress = (text) => {
  let found = text.trim();
  if (found.startsWith("[")) found = found.slice(1).split("]")[0] ?? "";
  else if (found.split(":").length === 2) found = found.split(":")[0] ?? "";
  found = found.split("%")[0] ?? "";
  if (net.isIPv4(found)) return found;
  if (!net.isIPv6(found)) return undefined;
  const groups = groupsOf(found);
  if (groups.slice(0, 5).some(Boolean) || groups[5] !== 0xffff) return new URL(`http://[${found}]`).hostname.slice(1, -1);
  return groups
    .slice(6)
    .flatMap((group) => [group >> 8, group & 0xff])
    .join(".");
};

/**
 * What is limited as one client: an IPv4 address, or the /64 network of an IPv6 address.
 * @param {string} address
 */
export const networkOf = (address) => {
  const known = normalAddress(address) ?? address;
  if (!net.isIPv6(known)) return known;
  return groupsOf(known)
    .slice(0, 4)
    .map((group) => group.toString(16))
    .join(":");
};

/**
 * The eight numbers of an IPv6 address.
 * @param {string} address
 */
const groupsOf = (address) => {
  const [head = "", tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split("::");
  const first = head ? head.split(":") : [];
  const last = tail ? tail.split(":") : [];
  const zeros = Array.from({ length: 8 - first.length - last.length }, () => "0");
  return [...first, ...zeros, ...last].map((group) => Number.parseInt(group, 16));
};
