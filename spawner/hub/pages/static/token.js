/** Creates and revokes access tokens by JupyterHub's API. */

const { base = "", user = "", xsrf = "" } = document.body.dataset;
const tokens = `${base}api/users/${encodeURIComponent(user)}/tokens`;

/** @param {string} id */
const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
/** @param {string} id */
const value = (id) => /** @type {HTMLInputElement} */ (byId(id)).value.trim();

/**
 * @param {string} url
 * @param {RequestInit} request
 */
async function ask(url, request) {
  const problem = byId("token-problem");
  problem.hidden = true;
  const answer = await fetch(url, { ...request, headers: { "X-XSRFToken": xsrf, "Content-Type": "application/json" } })
    .catch(() => null);
  if (answer?.ok) return answer;
  const said = await answer?.json().catch(() => null);
  problem.textContent = `${problem.dataset.failed} ${said?.message ?? ""}`;
  problem.hidden = false;
  return null;
}

byId("request-token").addEventListener("submit", async (event) => {
  event.preventDefault();
  const scopes = value("token-scopes");
  const seconds = Number(value("token-expiration-seconds"));
  const body = {
    note: value("token-note") || undefined,
    expires_in: seconds || undefined,
    scopes: scopes ? scopes.split(/\s+/) : undefined,
  };
  const answer = await ask(tokens, { method: "POST", body: JSON.stringify(body) });
  if (!answer) return;
  const made = await answer.json();
  byId("token-result").textContent = made.token;
  byId("token-area").hidden = false;
  list(made, scopes);
});

/**
 * Add a new token to the list.
 * @param {{id: string, note: string, created: string, expires_at: string | null}} made
 * @param {string} scopes
 */
function list({ id, note, created, expires_at: end }, scopes) {
  const template = /** @type {HTMLTemplateElement} */ (byId("token-row"));
  const { all = "", unused = "", never = "" } = template.dataset;
  const row = /** @type {HTMLTableRowElement} */ (document.importNode(template.content, true).querySelector("tr"));
  row.dataset.tokenId = id;
  const texts = [note, scopes ? scopes.split(/\s+/).join(", ") : all, unused, timeText(created), end ? timeText(end) : never];
  texts.forEach((text, place) => {
    const cell = row.cells[place];
    if (cell) cell.textContent = text;
  });
  byId("tokens").hidden = false;
  byId("tokens").querySelector("tbody")?.prepend(row);
}

/** @param {string} at */
function timeText(at) {
  return new Date(at).toLocaleString(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short", hourCycle: "h23" });
}

document.addEventListener("click", async ({ target }) => {
  const row = target instanceof Element && target.closest("[data-revoke]") && target.closest("tr");
  if (!row) return;
  const answer = await ask(`${tokens}/${encodeURIComponent(row.dataset.tokenId ?? "")}`, { method: "DELETE" });
  if (answer) row.remove();
});

for (const time of document.querySelectorAll("time")) {
  time.textContent = timeText(time.dateTime);
}
