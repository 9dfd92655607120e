/** Per-tab values that survive a reload. Where session storage is switched off, nothing is kept. */
export const memory = {
  /** @param {string} key */
  get(key) { try { return sessionStorage.getItem(`freepool.${key}`); } catch { return null; } },
  /**
   * @param {string} key
   * @param {string | null} value  null removes the key
   */
  set(key, value) {
    try {
      if (value === null) sessionStorage.removeItem(`freepool.${key}`);
      else sessionStorage.setItem(`freepool.${key}`, value);
    } catch { /* storage is switched off */ }
  },
};
