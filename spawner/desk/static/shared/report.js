/** "Report a problem": takes in what the user was doing, and copies the text. Without a script that is done by hand. */

const LONGEST_LINK = 1800; // as spawner/reports.py
const shown = document.getElementById("report-text");
const facts = shown?.textContent ?? "";

/**
 * What the user did comes first, then the facts.
 *
 * @param {string} did
 * @param {string} known
 * @param {string} label
 */
function together(did, known, label) {
  return did ? `${label}: ${did}\n${known}` : known;
}

/**
 * Where the link is too long, the last fact (the browser) goes first, then the end of what the user wrote.
 *
 * @param {string} did
 * @param {string} label
 */
function link(did, label) {
  const to = document.getElementById("report-link");
  const address = to?.dataset.address;
  if (!(to instanceof HTMLAnchorElement) || !address) return;
  const letters = [...did];
  let known = [...facts];
  const full = () =>
    address.replace("{text}", () => encodeURIComponent(together(letters.join(""), known.join(""), label)));
  if (full().length > LONGEST_LINK) known = [...facts.slice(0, facts.lastIndexOf("\n"))];
  while (full().length > LONGEST_LINK && (letters.length || known.length)) (letters.length ? letters : known).splice(-20);
  to.href = full();
}

const field = document.getElementById("report-did");
if (shown && field instanceof HTMLTextAreaElement && field.parentElement) {
  field.parentElement.hidden = false;
  const describe = document.getElementById("report-describe");
  if (describe) describe.hidden = true; // the field asks for it
  const label = field.dataset.label ?? "";
  const write = () => {
    const did = field.value.trim();
    shown.textContent = together(did, facts, label);
    link(did, label);
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
