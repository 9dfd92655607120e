// A real OpenID Connect provider (oidc-provider) for tests, on loopback. Its accounts, and what it does wrong, are changed
// by POST /control. Started with the folder of node_modules and the client as JSON; prints its address.
import { once } from "node:events";
import { createServer } from "node:http";
import { pathToFileURL } from "node:url";

const [, , modules, told] = process.argv;
const { Provider } = await import(pathToFileURL(`${modules}/oidc-provider/lib/index.js`).href);
const client = JSON.parse(told);
let control = { accounts: {}, mode: "ok", token_seconds: 3600 };

const server = createServer();
server.listen(client.port ?? 0, "127.0.0.1");
await once(server, "listening");
const issuer = `http://127.0.0.1:${server.address().port}`;

const page = (title, body) => `<!doctype html><meta charset="utf-8"><title>${title}</title><h1>${title}</h1>${body}`;
const provider = new Provider(issuer, {
  clients: [{
    client_id: client.id,
    client_secret: client.secret,
    redirect_uris: client.callbacks,
    post_logout_redirect_uris: [client.back],
    grant_types: ["authorization_code", "refresh_token"],
  }],
  claims: {
    openid: ["sub"],
    profile: ["preferred_username", "name"],
    email: ["email", "email_verified"],
    groups: ["groups", "realm_access"],
  },
  scopes: ["openid", "profile", "email", "groups", "offline_access"],
  findAccount: (_, id) => id in control.accounts
    ? { accountId: id, claims: () => ({ sub: id, ...control.accounts[id] }) }
    : undefined,
  clockTolerance: 0,
  pkce: { required: () => true },
  issueRefreshToken: () => client.refresh !== false,
  rotateRefreshToken: true,
  ttl: { AccessToken: () => control.token_seconds, IdToken: 3600, RefreshToken: 86400, Session: 86400, Grant: 86400, Interaction: 600 },
  cookies: { keys: [client.secret] },
  features: {
    devInteractions: { enabled: false },
    rpInitiatedLogout: {
      enabled: true,
      logoutSource: (ctx, form) => { ctx.body = page("Log out?", `${form}<button form="op.logoutForm" name="logout" value="yes">Yes, log me out</button>`); },
    },
  },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
});

const read = async (request) => {
  let text = "";
  for await (const chunk of request) text += chunk;
  return text;
};
const form = (title, fields, buttons) => page(title, `<form method="post">${fields}${buttons}</form>`);

async function interact(request, response) {
  const details = await provider.interactionDetails(request, response);
  const { prompt, params, session } = details;
  if (request.method === "GET") {
    const cancel = '<button name="cancel" value="1" formnovalidate>Cancel</button>';
    response.setHeader("Content-Type", "text/html");
    response.end(prompt.name === "login"
      ? form("Who are you?", '<label>Account <input name="account" required></label>', `<button>Sign in</button>${cancel}`)
      : form("Share your data?", `<p>with ${params.client_id}: ${params.scope}</p>`, `<button>Share</button>${cancel}`));
    return;
  }
  const given = new URLSearchParams(await read(request));
  if (given.has("cancel")) {
    await provider.interactionFinished(request, response, { error: "access_denied", error_description: "<b>no</b>" }, {});
  } else if (prompt.name === "login") {
    await provider.interactionFinished(request, response, { login: { accountId: given.get("account") } }, {});
  } else {
    const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
    grant.addOIDCScope(params.scope);
    await provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } }, { mergeWithLastSubmission: true });
  }
}

const misbehave = {
  away: (request) => request.socket.destroy(),
  slow: () => {}, // never answers
  rubbish: (_, response) => response.end("<html>not JSON"),
  list: (_, response) => response.end("[1, 2]"),
  broken: (_, response) => { response.statusCode = 502; response.end("Bad gateway"); },
};
let renewals = 0;
provider.on("grant.success", (ctx) => { renewals += ctx.oidc.params.grant_type === "refresh_token" ? 1 : 0; });
const handler = provider.callback();
server.on("request", async (request, response) => {
  if (request.url === "/control") {
    control = { ...control, ...JSON.parse(await read(request)) };
    response.end(JSON.stringify({ renewals }));
  } else if (request.url === "/favicon.ico") {
    response.writeHead(204).end();
  } else if (control.mode in misbehave && !request.headers["sec-fetch-mode"]) { // the hub's requests, not a browser's
    misbehave[control.mode](request, response);
  } else if (request.url.startsWith("/interaction/")) {
    await interact(request, response).catch((error) => { response.statusCode = 400; response.end(String(error)); });
  } else {
    handler(request, response);
  }
});
console.log(issuer);
