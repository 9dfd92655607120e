/** Open documents as this page holds them, saved or not: to be saved, or to be downloaded to the person's computer. */

/** @import { DocumentContext, DocumentManager, LabApp } from "../types.d.ts" */

/** @typedef {{ path: string, dirty: boolean, save: () => void }} Kept */

const SAVE_MS = 10_000;

/**
 * Every open document once, those with unsaved changes first.
 * @param {LabApp} app
 * @param {DocumentManager} manager
 * @returns {Kept[]}
 */
export function openDocuments(app, manager) {
  /** @type {Map<string, Kept>} */
  const found = new Map();
  for (const widget of app.shell.widgets("main")) {
    const context = manager.contextForWidget(widget);
    if (context && !found.has(context.path)) {
      found.set(context.path, { path: context.path, dirty: context.model.dirty, save: () => download(context) });
    }
  }
  return [...found.values()].sort((a, b) => Number(b.dirty) - Number(a.dirty));
}

/**
 * Save every document with unsaved changes, as JupyterLab's own File > Save All does. Resolves in any case.
 * @param {LabApp} app
 * @param {DocumentManager} manager
 */
export async function saveDocuments(app, manager) {
  const contexts = new Set([...app.shell.widgets("main")].map((widget) => manager.contextForWidget(widget)));
  const saves = [...contexts].flatMap((one) => (one?.model.dirty && !one.model.readOnly ? [one.save()] : []));
  // A question of JupyterLab's, such as about a file that has changed on the disk, may stand for long.
  await Promise.race([Promise.allSettled(saves), new Promise((done) => { setTimeout(done, SAVE_MS); })]);
}

/** @param {DocumentContext} context */
function download({ path, model, contentsModel }) {
  const isNotebook = contentsModel?.type === "notebook" || path.endsWith(".ipynb");
  const text = isNotebook ? JSON.stringify(model.toJSON(), null, 1) : model.toString();
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: isNotebook ? "application/x-ipynb+json" : "text/plain" }));
  // JupyterLab's paths may begin with the name of a drive.
  link.download = path.split(/[/:]/).pop() || "document";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
