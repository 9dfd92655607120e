/** The plugins: the session in JupyterLab, and what is done when the server does not answer. */

import { Apps } from "./apps.js";
import { Connection } from "./connection.js";
import { watchDialogs } from "./dialogs.js";
import { Download } from "./download.js";
import { EndDialog } from "./end.js";
import { reportInput } from "./input.js";
import { Notices } from "./notices.js";
import { Panel } from "./panel.js";
import { Programs } from "./programs.js";
import { Share } from "./share.js";
import { StatusItem } from "./status.js";
import { languageOf, texts } from "./texts.js";
import { Usage } from "./usage.js";

/** @import { DocumentManager, FileBrowserFactory, Kit, LabApp, Launcher, Shared, StatusBar } from "../types.d.ts" */

/** Where the file browser would leave no room for the notebook. */
const NARROW = "(width < 600px)";

/**
 * @param {Shared} shared
 * @returns {Promise<Kit>}
 */
async function load(shared) {
  const names = [
    "@jupyterlab/application", "@jupyterlab/apputils", "@jupyterlab/docmanager", "@jupyterlab/filebrowser",
    "@jupyterlab/launcher", "@jupyterlab/services", "@jupyterlab/statusbar", "@jupyterlab/translation",
    "@jupyterlab/ui-components", "@lumino/widgets",
  ];
  const [application, apputils, docmanager, filebrowser, launcher, services, statusbar, translation, ui, widgets] = /** @type {any[]} */ (
    await Promise.all(names.map(shared))
  );
  return { application, apputils, docmanager, filebrowser, launcher, services, statusbar, translation, ui, widgets };
}

/** @param {string} address  of the style sheet */
function addStyle(address) {
  const link = document.createElement("link");
  link.rel = "stylesheet";
  link.href = address;
  document.head.append(link);
}

/**
 * @param {Shared} shared  JupyterLab's modules by name
 * @param {string} base  URL of this folder
 */
export async function makePlugins(shared, base) {
  const kit = await load(shared);
  /** @type {Connection | null} */
  let connection = null;

  const lost = {
    id: "freepool-lab:connection-lost",
    description: "Says why the server does not answer, and offers what can be done.",
    autoStart: true,
    provides: kit.application.IConnectionLost,
    // JupyterLab calls this at each request that fails. The connection finds out why.
    activate: () => async () => { connection?.check(); },
  };

  const session = {
    id: "freepool-lab:session",
    description: "Time left, notices, extension, download, and the end of the session.",
    autoStart: true,
    requires: [kit.statusbar.IStatusBar, kit.docmanager.IDocumentManager],
    optional: [kit.translation.ITranslator, kit.filebrowser.IFileBrowserFactory, kit.launcher.ILauncher],
    /**
     * @param {LabApp} app
     * @param {StatusBar} statusBar
     * @param {DocumentManager} documents
     * @param {{ languageCode: string } | null} translator
     * @param {FileBrowserFactory | null} browsers
     * @param {Launcher | null} launcher
     */
    activate: (app, statusBar, documents, translator, browsers, launcher) => {
      addStyle(new URL("style.css", base).href);
      const t = texts(languageOf(translator?.languageCode ?? "", navigator.language));
      const settings = app.serviceManager.serverSettings;
      const { makeRequest } = kit.services.ServerConnection;
      connection = new Connection({
        base: `${settings.baseUrl}freepool/`,
        language: t.language,
        request: (url, init) => makeRequest(url, init, settings),
      });
      const usage = new Usage(connection);
      const apps = new Apps({ app, connection, t });
      const programs = new Programs({ apps, connection, t });
      const download = new Download({ app, connection, documents, t });
      const share = new Share({ app, connection, documents, t });
      if (browsers) share.addToMenu(browsers, kit);
      const panel = new Panel({ app, apps, connection, download, kit, programs, share, usage, t });
      const end = new EndDialog({ app, connection, documents, t });
      const status = new StatusItem({ connection, kit, usage, t, open: () => (connection?.end ? end.show() : panel.open()) });
      // JupyterLab hides items of priority 0 where the window is narrow.
      const place = /** @type {const} */ ({ align: "right", rank: 1000, priority: 1 });
      statusBar.registerStatusItem("freepool-lab:session", { item: status.widget, ...place });
      const notices = new Notices({ connection, download, kit, t });
      usage.addEventListener("ended", (event) => notices.tellOfKernel(/** @type {CustomEvent} */ (event).detail));
      usage.addEventListener("full", (event) => notices.tellOfFull(/** @type {CustomEvent} */ (event).detail));
      watchDialogs({ app, connection, download, kit, t });
      reportInput(connection);
      // JupyterLab's own start comes first.
      app.restored.then(() => {
        if (matchMedia(NARROW).matches) app.shell.collapseLeft?.();
        connection?.start();
        apps.start();
        if (launcher) apps.addTiles(app.commands, launcher);
      });
    },
  };
  return [lost, session];
}
