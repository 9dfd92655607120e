/**
 * The container of the extension, as JupyterLab's loader of federated extensions calls it. It is written by hand: the
 * protocol is `init`, which gives the shared modules, and `get`, which returns a module's factory.
 */

/** @import { Shared } from "../types.d.ts" */

(() => {
  /** @typedef {{ get: () => Promise<() => unknown>, loaded?: unknown }} Provided */
  /** @typedef {{ [name: string]: { [version: string]: Provided } }} Scope */

  const here = /** @type {HTMLScriptElement} */ (document.currentScript).src;
  /** @type {Scope} */
  let scope = {};

  /**
   * A module that JupyterLab shares: the one in use, else the newest.
   * @type {Shared}
   */
  const shared = async (name) => {
    const versions = scope[name] ?? {};
    const newest = Object.keys(versions).sort((a, b) => a.localeCompare(b, "en", { numeric: true })).reverse();
    const chosen = newest.find((version) => versions[version]?.loaded) ?? newest[0];
    const provided = chosen === undefined ? undefined : versions[chosen];
    if (!provided) throw new Error(`freepool-lab: JupyterLab shares no ${name}`);
    return (await provided.get())();
  };

  const container = {
    /** @param {Scope} given */
    async init(given) { scope = given; },
    /** @param {string} name */
    async get(name) {
      if (name !== "./extension") throw new Error(`freepool-lab has no ${name}`);
      const { makePlugins } = await import(new URL("extension.js", here).href);
      const plugins = await makePlugins(shared, here);
      return () => ({ __esModule: true, default: plugins });
    },
  };
  const page = /** @type {{ _JUPYTERLAB?: { [name: string]: unknown } }} */ (/** @type {unknown} */ (window));
  page._JUPYTERLAB = { ...page._JUPYTERLAB, "freepool-lab": container };
})();
