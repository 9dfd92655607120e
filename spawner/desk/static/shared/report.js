/** Copies the text of "Report a problem". Without a script it is selected and copied by hand. */

for (const button of document.querySelectorAll("[data-copy-report]")) {
  if (!(button instanceof HTMLButtonElement) || !navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(document.getElementById("report-text")?.textContent ?? "");
      button.textContent = button.dataset.done ?? "";
    } catch { /* the user can select the text */ }
  });
}
