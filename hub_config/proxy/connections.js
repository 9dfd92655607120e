// A limit of connections: each takes two file descriptors, and one client shall not have them all.

/**
 * Close what is too much at once; where it becomes tight, close connections that wait for a next request.
 * @param {import("node:http").Server} server
 * @param {number} most at the same time; half as many for one address
 */
export const limitConnections = (server, most) => {
  let open = 0;
  /** @type {Map<string, number>} */
  const byAddress = new Map();
  server.on("connection", (socket) => {
    const address = socket.remoteAddress ?? "";
    const same = byAddress.get(address) ?? 0;
    if (open >= most * 0.8) server.closeIdleConnections();
    if (open >= most || same >= Math.ceil(most / 2)) {
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
  });
};
