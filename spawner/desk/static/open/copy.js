/** Copies the text above a button. Without a script it is selected and copied by hand. */

for (const button of document.querySelectorAll("[data-copy]")) {
  if (!(button instanceof HTMLButtonElement) || !navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(button.parentElement?.querySelector("pre")?.textContent ?? "");
      button.textContent = button.dataset.done ?? "";
    } catch { /* the user can select the text */ }
  });
}
