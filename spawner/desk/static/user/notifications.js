/** The browser's own notifications, for whoever looks elsewhere while they wait. Many browsers have none, or allow none. */

const has = "Notification" in window;

/** Whether asking the person could help. */
export const canAsk = () => has && Notification.permission === "default";

/** Whether they will be told. */
export const willTell = () => has && Notification.permission === "granted";

/** Ask the person, in the browser's own words. */
export const askToTell = async () => { if (canAsk()) await Notification.requestPermission(); };

/**
 * Tell somebody who looks elsewhere.
 * @param {string} title
 * @param {string} body
 * @param {string} tag  the same news twice is one
 */
export function tell(title, body, tag) {
  if (!willTell() || !document.hidden) return;
  try {
    const news = new Notification(title, { body, tag });
    news.onclick = () => { window.focus(); news.close(); };
  } catch { /* phones allow it to service workers only */ }
}
