/** The account menu opens without a script; closing it from elsewhere needs one. */

const account = /** @type {?HTMLDetailsElement} */ (document.querySelector(".account"));
document.addEventListener("click", ({ target }) => {
  if (account?.open && !account.contains(/** @type {Node} */ (target))) account.open = false;
});
document.addEventListener("keydown", ({ key }) => {
  if (key !== "Escape" || !account?.open) return;
  account.open = false;
  account.querySelector("summary")?.focus();
});
