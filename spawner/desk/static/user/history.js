/** Shows the times of the history in the browser's zone. The page also works without this script. */

import { formats } from "../shared/format.js";
import "../shared/menu.js";
import "../shared/zone.js";

const f = formats(document.documentElement.lang);

for (const span of document.querySelectorAll(".history .row-main > p:first-of-type")) {
  /** @type {number | undefined} */
  let before;
  for (const time of span.querySelectorAll("time[datetime]")) {
    const at = Date.parse(time.getAttribute("datetime") ?? "");
    time.textContent = f.date(at, before); // the end of a run on the same day needs no date
    before = at;
  }
}
