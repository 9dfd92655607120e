// What front.js uses of configurable-http-proxy 5, which carries no types.

declare module "configurable-http-proxy/lib/log.js" {
  export interface Log {
    warn(text: string): void;
    error(text: string, ...values: unknown[]): void;
  }
  export function defaultLogger(options: { level: string }): Log;
}

declare module "configurable-http-proxy" {
  import type { EventEmitter } from "node:events";
  import type { Agent, ClientRequest, IncomingMessage, Server, ServerResponse } from "node:http";
  import type { Duplex } from "node:stream";
  import type { Log } from "configurable-http-proxy/lib/log.js";

  type Route = { target: string; [name: string]: unknown };

  export interface ProxyOptions {
    log: Log;
    authToken: string | undefined;
    defaultTarget: string;
    errorTarget: string;
    hostRouting: boolean;
    includePrefix: boolean;
    prependPath: boolean;
    xfwd: boolean;
  }

  export class ConfigurableProxy extends EventEmitter {
    constructor(options: ProxyOptions);
    log: Log;
    hostRouting: boolean;
    apiServer: Server;
    proxyServer: Server;
    proxy: {
      on(name: "proxyReq", listener: (upstream: ClientRequest, req: IncomingMessage) => void): void;
      on(name: "proxyRes", listener: (answer: IncomingMessage, req: IncomingMessage, res: ServerResponse) => void): void;
    };
    _routes: { add(path: string, route: Route): Promise<void>; getAll(): Promise<Record<string, Route>> };
    addRoute(path: string, data: Route): Promise<void>;
    removeRoute(path: string): Promise<void>;
    targetForReq(req: IncomingMessage): Promise<{ prefix: string; target: string; isGate?: boolean } | undefined>;
    proxyOptsForTarget(target: URL): { target: URL & { socketPath?: string }; agent?: Agent };
    handleProxyWeb(req: IncomingMessage, res: ServerResponse): Promise<void>;
    handleProxyWs(req: IncomingMessage, socket: Duplex, head: Buffer): Promise<void>;
    handleProxyError(code: number, kind: string, req: IncomingMessage, res: ServerResponse, error?: Error): void;
  }
}
