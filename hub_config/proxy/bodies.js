// Limits of request bodies. Hub and desk keep a whole body in memory, and anybody may send one; a notebook server's
// body is its user's upload, of any size, and may take as long as it goes on.

/**
 * @typedef {object} Limits
 * @property {number} largest bytes
 * @property {number} wholeMs until a body is whole; 0: no limit
 * @property {number} idleMs between two pieces of it
 */

/**
 * Whether a request has a body, as its headers say.
 * @param {import("node:http").IncomingMessage} req
 */
export const hasBody = (req) => "transfer-encoding" in req.headers || Number(req.headers["content-length"] ?? 0) > 0;

/** The sum of all bodies that are on their way to hub and desk, so that many small ones are no large one. */
export class Room {
  /** @param {number} most bytes */
  constructor(most) {
    this.left = most;
  }

  /**
   * Whether there is room for a body; it is given back when the answer has been sent.
   * @param {number} bytes
   * @param {import("node:http").ServerResponse} res
   */
  take(bytes, res) {
    if (bytes > this.left) return false;
    this.left -= bytes;
    res.once("close", () => {
      this.left += bytes;
    });
    return true;
  }
}

/**
 * Watch a body while it arrives. `refuse` is called once, with a status, if it breaks a limit.
 * @param {import("node:http").IncomingMessage} req
 * @param {Limits} limits
 * @param {(status: number) => void} refuse
 */
export const watchBody = (req, limits, refuse) => {
  let bytes = 0;
  /** @param {number} status */
  const stop = (status) => {
    done();
    refuse(status);
  };
  const late = () => stop(408);
  const idle = setTimeout(late, limits.idleMs);
  const whole = limits.wholeMs ? setTimeout(late, limits.wholeMs) : undefined;
  /** @param {Buffer} piece */
  const count = (piece) => {
    bytes += piece.length;
    idle.refresh();
    if (bytes > limits.largest) stop(413);
  };
  const done = () => {
    clearTimeout(idle);
    clearTimeout(whole);
    req.off("data", count);
  };
  req.on("data", count);
  req.once("end", done);
  req.once("close", done);
};

/**
 * Read the rest of a refused body and throw it away, for a while: a client that still sends would not read the answer,
 * and would see a broken connection instead.
 * @param {import("node:http").IncomingMessage} req
 * @param {number} forMs
 */
export const drain = (req, forMs) => {
  if (req.complete) return;
  const timer = setTimeout(() => req.destroy(), forMs);
  req.once("close", () => clearTimeout(timer));
  req.once("end", () => clearTimeout(timer));
  req.resume();
};
