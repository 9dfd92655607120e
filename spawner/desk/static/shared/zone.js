/** Tells the desk the browser's time zone, so that the pages that it renders have local times from the first look. */

const { base = "/" } = document.body.dataset;
const { timeZone } = new Intl.DateTimeFormat().resolvedOptions();
const secure = location.protocol === "https:" ? "; secure" : "";
if (timeZone) document.cookie = `freepool-zone=${timeZone}; path=${base}; max-age=31536000; samesite=lax${secure}`;
