/** "Report a problem": takes in what the user was doing, and copies the text. Without a script that is done by hand. */

const LONGEST_LINK = 1800; // as spawner/reports.py
const shown = document.getElementById("report-text");
const facts = shown?.textContent ?? "";

/** @param {string} text */
function link(text) {
  const to = document.getElementById("report-link");
  const address = to?.dataset.address;
  if (!(to instanceof HTMLAnchorElement) || !address) return;
  const letters = [...text];
  const full = () => address.replace("{text}", () => encodeURIComponent(letters.join("")));
  while (full().length > LONGEST_LINK && letters.length) letters.splice(-20);
  to.href = full();
}

const field = document.getElementById("report-did");
if (shown && field instanceof HTMLTextAreaElement && field.parentElement) {
  field.parentElement.hidden = false;
  const write = () => {
    const did = field.value.trim();
    shown.textContent = did ? `${facts}\n${field.dataset.label}: ${did}` : facts;
    link(shown.textContent);
  };
  field.addEventListener("input", write);
  if (field.value) write(); // the browser has restored it
}

for (const button of document.querySelectorAll("[data-copy-report]")) {
  if (!(button instanceof HTMLButtonElement) || !navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(shown?.textContent ?? "");
      button.textContent = button.dataset.done ?? "";
    } catch { /* the user can select the text */ }
  });
}
