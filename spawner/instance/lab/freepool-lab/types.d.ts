// What the extension uses of JupyterLab and Lumino, and the JSON of its server.

export interface Token { name: string }

export interface Signal<S, A> { connect(slot: (sender: S, args: A) => void): boolean }

export interface LabWidget {
  id: string;
  node: HTMLElement;
  title: { label: string; caption: string; icon: object };
  addClass(name: string): void;
  readonly isDisposed: boolean;
}

export interface DocumentModel {
  dirty: boolean;
  readOnly: boolean;
  toJSON(): unknown;
  toString(): string;
}

export interface DocumentContext {
  path: string;
  model: DocumentModel;
  contentsModel: { type: string } | null;
  save(): Promise<void>;
}

export interface DocumentManager { contextForWidget(widget: LabWidget): DocumentContext | undefined }

export interface ServerSettings { baseUrl: string }

export interface LabDialog { node: HTMLElement; reject(): void }

export interface LabApp {
  restored: Promise<unknown>;
  shell: {
    currentWidget?: LabWidget | null;
    widgets(area: string): Iterable<LabWidget>;
    add(widget: LabWidget, area: string, options: { rank: number }): void;
    activateById(id: string): void;
    collapseLeft?(): void;
    collapseRight?(): void;
  };
  serviceManager: { serverSettings: ServerSettings };
  commands: Commands & { commandExecuted: Signal<unknown, { id: string }> };
  contextMenu: { addItem(options: { command: string; selector: string; rank: number }): unknown };
}

export interface FileBrowserFactory {
  tracker: { currentWidget: { selectedItems(): Iterable<{ path: string }> } | null };
}

export interface Commands {
  addCommand(id: string, options: { label: string; caption?: string; execute: () => unknown }): unknown;
  execute(id: string, args: object): Promise<unknown>;
}

export interface Launcher { add(item: { command: string; category: string; rank: number }): unknown }

export interface StatusBar {
  registerStatusItem(id: string, item: { item: LabWidget; align: "left" | "right"; rank: number; priority: number }): unknown;
}

export interface NotificationAction {
  label: string;
  callback: (event: MouseEvent) => void;
  displayType?: "default" | "accent" | "warn" | "link";
}

export interface NotificationKit {
  emit(
    message: string,
    type: "default" | "info" | "success" | "warning" | "error",
    options: { autoClose: number | false; actions?: NotificationAction[] },
  ): string;
  dismiss(id: string): void;
}

/** The modules of JupyterLab that the extension takes. */
export interface Kit {
  application: { IConnectionLost: Token };
  apputils: {
    Notification: NotificationKit;
    Dialog: { tracker: { widgetAdded: Signal<unknown, LabDialog> } };
  };
  docmanager: { IDocumentManager: Token };
  filebrowser: { IFileBrowserFactory: Token };
  launcher: { ILauncher: Token };
  services: {
    ServerConnection: { makeRequest(url: string, init: RequestInit, settings: ServerSettings): Promise<Response> };
  };
  statusbar: { IStatusBar: Token };
  translation: { ITranslator: Token };
  ui: { LabIcon: new (options: { name: string; svgstr: string }) => object };
  widgets: { Widget: new () => LabWidget };
}

export type Shared = (name: string) => Promise<unknown>;

export interface Notice {
  id: string;
  kind: string;
  due_at?: string;
  params?: { minutes?: number };
  title: string;
  text: string;
  actions?: string[];
  seen_at?: string | null;
  answered_at?: string | null;
}

export interface Allowance {
  title: string;
  total_seconds: number | null;
  used_seconds: number;
  held_seconds: number;
  left_seconds: number | null;
  resets_at: string | null;
}

/** Any field may be missing: what is not there is not shown. */
export interface Session {
  id?: string;
  flavor_title?: string;
  image_title?: string;
  ends_at?: string | null;
  /** The desk's time when it wrote this. */
  now?: string;
  allowance?: Allowance | null;
  extension?: { possible: boolean; seconds: number; left: number; text?: string } | null;
  notices?: Notice[];
  /** Whether changed files are kept if the platform ends the notebook. */
  keeps_files?: boolean;
  desk_url?: string;
  end_url?: string;
  restart_url?: string;
  /** What administrators announce to everybody; `id` changes with it. */
  announcement?: { id: string; text: string; until: string } | null;
  relay: { away: boolean; now: number | null };
}

export interface End {
  state: "starting" | "running" | "stopping" | "ended";
  reason: string;
  text: string;
  next_state: "starting" | "running" | null;
  desk_url: string;
  restart_url: string;
}

export interface Usage {
  memory?: { used: number | null; limit: number | null };
  disk?: { used: number | null; limit: number | null };
  cpu?: { percent: number | null; limit: number | null };
  ended_kernels?: EndedKernel[];
}

export interface AppShare { id: string; port: number; until: number; connections: number }

/** `off` says why no app can be opened; `hosts`: each app has a host of its own. */
export interface AppsState {
  off: "" | "admin" | "shared_loopback" | "unknown";
  hosts: boolean;
  share: boolean;
  ports: { port: number; program: string }[];
  tools: { id: string; title: string }[];
  shares: AppShare[];
}

/** A kernel that was ended before the limit of memory was reached. */
export interface EndedKernel {
  at: number;
  kernel_id: string;
  name: string;
  path: string | null;
  used: number;
  limit: number | null;
}

/** `lost`: nothing answers, and nothing says that the instance has ended. */
export type Link = "connecting" | "live" | "lost" | "ended";
