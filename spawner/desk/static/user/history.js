/** Shows the times of the history in the browser's zone. The page also works without this script. */

import { formats } from "../shared/format.js";
import "../shared/menu.js";
import "../shared/zone.js";

const f = formats(document.documentElement.lang);

for (const time of document.querySelectorAll("time[datetime]")) {
  time.textContent = f.date(Date.parse(time.getAttribute("datetime") ?? ""));
}
