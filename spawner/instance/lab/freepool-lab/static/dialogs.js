/** Dialogs of JupyterLab that would say something else about the end of the server. */

import { h } from "./dom.js";

/** @import { Kit, LabApp, LabDialog } from "../types.d.ts" */
/** @import { Connection } from "./connection.js" */
/** @import { Download } from "./download.js" */
/** @import { Texts } from "./texts.js" */

const SHUT_DOWN = "filemenu:shutdown";
const MOMENT_MS = 2000;

/** @param {{ app: LabApp, connection: Connection, download: Download, kit: Kit, t: Texts }} parts */
export function watchDialogs({ app, connection, download, kit, t }) {
  /** @type {Set<LabDialog>} */
  const open = new Set();
  let shutDownAt = -MOMENT_MS;

  // Failed requests of a server that is gone: kernels, saving, files.
  const dismiss = () => {
    for (const dialog of open) dialog.reject();
    open.clear();
  };
  connection.addEventListener("change", () => { if (connection.end) dismiss(); });
  kit.apputils.Dialog.tracker.widgetAdded.connect((_, dialog) => {
    open.add(dialog);
    // It is launched after this.
    setTimeout(() => {
      if (connection.end) dismiss();
      else connection.check(); // It may be about a server that is gone.
      if (performance.now() - shutDownAt < MOMENT_MS) warnOfWipe(dialog);
    });
  });
  app.commands.commandExecuted.connect((_, { id }) => { if (id === SHUT_DOWN) shutDownAt = performance.now(); });

  /** @param {LabDialog} dialog  JupyterLab's question before it shuts the server down */
  function warnOfWipe({ node }) {
    shutDownAt = -MOMENT_MS;
    node.querySelector(".jp-Dialog-body")?.append(
      h("p", { class: "freepool-warning" }, t.say("shut_down_wipes"), " ", download.link()),
    );
  }
}
