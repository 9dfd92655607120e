/** Follows the progress of a start, and opens the notebook when it is ready. */

const said = /** @type {HTMLElement} */ (document.getElementById("progress"));
const bar = /** @type {HTMLProgressElement} */ (document.getElementById("progress-bar"));
const events = new EventSource(said.dataset.url ?? "");

events.onmessage = ({ data }) => {
  const event = JSON.parse(data);
  if (event.progress !== undefined) bar.value = event.progress;
  if (event.message) said.textContent = event.message;
  if (event.ready || event.failed) {
    events.close();
    location.reload(); // JupyterHub then redirects to the notebook, or says why it failed
  }
};
