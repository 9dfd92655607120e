// Token buckets, one for each key; the same as spawner/rate_limits/buckets.py, which says why. The time is given.

export class Buckets {
  /** @type {Map<string, {level: number, at: number}>} in the order of their last use */
  #levels = new Map();

  /**
   * @param {{burst: number, per_minute: number}} rate
   * @param {number} most keys
   */
  constructor({ burst, per_minute: perMinute }, most) {
    this.burst = burst;
    this.perSecond = perMinute / 60;
    this.most = most;
  }

  get size() {
    return this.#levels.size;
  }

  /**
   * Take one token. Returns 0, or the seconds until there is one; then nothing is taken.
   * @param {string} key
   * @param {number} now seconds
   */
  take(key, now) {
    const level = this.#level(key, now);
    this.#keep(key, level < 1 ? level : level - 1, now); // a key that is refused is not forgotten
    return level < 1 ? (1 - level) / this.perSecond : 0;
  }

  /**
   * Take what is due afterwards, at most down to minus one burst. `drain`: first take what is left.
   * @param {string} key
   * @param {number} now seconds
   * @param {number} tokens
   * @param {boolean} drain
   */
  charge(key, now, tokens, drain) {
    const level = this.#level(key, now);
    this.#keep(key, Math.max((drain ? Math.min(level, 0) : level) - tokens, -this.burst), now);
  }

  /**
   * @param {string} key
   * @param {number} now
   */
  #level(key, now) {
    const { level, at } = this.#levels.get(key) ?? { level: this.burst, at: now };
    return Math.min(this.burst, level + Math.max(0, now - at) * this.perSecond);
  }

  /**
   * @param {string} key
   * @param {number} level
   * @param {number} now
   */
  #keep(key, level, now) {
    this.#levels.delete(key); // a key that is set again would stay where it is in the order
    this.#levels.set(key, { level, at: now });
    if (this.#levels.size > this.most) this.#levels.delete(/** @type {string} */ (this.#levels.keys().next().value));
  }
}
