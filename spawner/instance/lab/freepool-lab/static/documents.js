/** Open documents as this page holds them, saved or not, to be saved to the person's computer. */

/** @import { DocumentContext, DocumentManager, LabApp } from "../types.d.ts" */

/** @typedef {{ path: string, dirty: boolean, save: () => void }} Kept */

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
