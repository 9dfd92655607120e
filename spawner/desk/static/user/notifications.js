/** Browser notifications for a user who waits in another tab. A browser may lack or forbid them. */

const supported = "Notification" in window;

/** Whether to offer a button that requests permission. */
export const canRequest = () => supported && Notification.permission === "default";

/** Whether notifications are allowed. */
export const isAllowed = () => supported && Notification.permission === "granted";

/** Let the browser ask the user for permission. */
export const requestPermission = async () => { if (canRequest()) await Notification.requestPermission(); };

/**
 * Notify the user, unless this tab is visible.
 * @param {string} title
 * @param {string} body
 * @param {string} tag  a second notification with the same tag replaces the first
 */
export function notify(title, body, tag) {
  if (!isAllowed() || !document.hidden) return;
  try {
    const notification = new Notification(title, { body, tag });
    notification.onclick = () => { window.focus(); notification.close(); };
  } catch { /* on phones only service workers may create notifications */ }
}
