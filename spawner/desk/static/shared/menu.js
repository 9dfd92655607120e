/** Closes the account menu on Escape or a click elsewhere. It opens without a script. */

const account = /** @type {HTMLDetailsElement | null} */ (document.querySelector(".account"));
document.addEventListener("click", ({ target }) => {
  if (account?.open && !account.contains(/** @type {Node} */ (target))) account.open = false;
});
document.addEventListener("keydown", ({ key }) => {
  if (key !== "Escape" || !account?.open) return;
  account.open = false;
  account.querySelector("summary")?.focus();
});
