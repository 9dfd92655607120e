/**
 * What this tab remembers over a reload. Storage can be switched off; then it
 * forgets, and nothing else changes.
 */
export const memory = {
  /** @param {string} key */
  get(key) { try { return sessionStorage.getItem(`freepool.${key}`); } catch { return null; } },
  /**
   * @param {string} key
   * @param {?string} value
   */
  set(key, value) {
    try {
      if (value === null) sessionStorage.removeItem(`freepool.${key}`);
      else sessionStorage.setItem(`freepool.${key}`, value);
    } catch { /* forgotten */ }
  },
};
