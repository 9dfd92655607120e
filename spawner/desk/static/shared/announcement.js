/** Keeps the announcement of an open page current: it begins and ends while the page is open. */

const EVERY_MS = 60_000;
const place = /** @type {HTMLElement} */ (document.getElementById("announcement"));

async function look() {
  if (document.hidden) return;
  try {
    const answer = await fetch(`${place.dataset.base}api/announcement`, { cache: "no-store" });
    const { announcement } = await answer.json();
    if (!answer.ok || place.dataset.id === (announcement?.id ?? "")) return;
    place.dataset.id = announcement?.id ?? "";
    place.textContent = announcement?.text ?? "";
    place.hidden = !announcement;
  } catch {
    // The page says itself that the server is away.
  }
}

setInterval(look, EVERY_MS);
document.addEventListener("visibilitychange", look);
