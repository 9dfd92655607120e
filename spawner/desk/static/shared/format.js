/** Numbers, sizes and times in the page's language. */

/**
 * The text of a key in the page's language, with its placeholders filled.
 * @typedef {(key: string, values?: Record<string, string | number>) => string} Translate
 */
/** @typedef {ReturnType<typeof formats>} Formats */

/**
 * @param {string} template
 * @param {Record<string, string | number>} values
 */
export function fill(template, values) {
  return template.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/** @param {string} lang */
export function formats(lang) {
  const chinese = lang.startsWith("zh");
  const number = new Intl.NumberFormat(lang, { maximumFractionDigits: 1 });

  /**
   * @param {number} n
   * @param {string} unit
   * @param {"short" | "long"} [display]
   */
  function measure(n, unit, display = "short") {
    const text = new Intl.NumberFormat(lang, {
      style: "unit", unit, unitDisplay: display, maximumFractionDigits: 1,
    }).format(n);
    // Intl puts no space between a digit and a Chinese unit; the desk's texts do.
    return chinese ? text.replace(/(\d)(?=\p{Script=Han})/gu, "$1\u00a0") : text.replace(/ /g, "\u00a0");
  }

  /** @param {number} bytes */
  function size(bytes) {
    const gib = bytes / 2 ** 30;
    return gib >= 1 ? measure(gib, "gigabyte") : measure(Math.round(bytes / 2 ** 20), "megabyte");
  }

  /**
   * "12 min", "3 hr 48 min", "25 sec".
   * @param {number} seconds
   */
  function duration(seconds) {
    const whole = Math.max(0, Math.floor(seconds));
    if (whole < 60) return measure(whole, "second");
    const minutes = Math.floor(whole / 60);
    if (minutes < 60) return measure(minutes, "minute");
    const hours = measure(Math.floor(minutes / 60), "hour");
    return minutes % 60 ? `${hours} ${measure(minutes % 60, "minute")}` : hours;
  }

  /**
   * Hours of an allowance, which are shown in minutes everywhere: "6 hr 24 min", "0 min".
   * @param {number} seconds
   */
  function amount(seconds) {
    return seconds < 60 ? measure(0, "minute") : duration(seconds);
  }

  /**
   * A limit in hours or minutes, written out: "4 hours".
   * @param {number} seconds
   */
  function limit(seconds) {
    if (seconds % 3600 === 0) return measure(seconds / 3600, "hour", "long");
    if (seconds >= 60) return measure(Math.round(seconds / 60), "minute", "long");
    return measure(seconds, "second", "long");
  }

  /**
   * An estimate, rounded up: "12 sec", "2 min".
   * @param {number} seconds
   */
  function about(seconds) {
    return seconds < 60 ? measure(Math.ceil(seconds), "second") : duration(Math.ceil(seconds / 60) * 60);
  }

  /**
   * A measured time, with a decimal: "0.8 sec".
   * @param {number} milliseconds
   */
  function took(milliseconds) {
    return milliseconds < 60_000 ? measure(milliseconds / 1000, "second") : duration(milliseconds / 1000);
  }

  /**
   * The time of day, with the weekday unless it is today.
   * @param {number} at
   * @param {number} now
   */
  function clock(at, now) {
    const sameDay = new Date(at).toDateString() === new Date(now).toDateString();
    const text = new Intl.DateTimeFormat(lang, {
      hour: "2-digit", minute: "2-digit", hourCycle: "h23", ...(sameDay ? {} : { weekday: "short" }),
    }).format(at);
    return text.replace(/(\p{Script=Han})(?=\d)/gu, "$1 ");
  }

  /**
   * Date and time; the time alone where `after` is on the same day.
   * @param {number} at
   * @param {number} [after]
   */
  function date(at, after) {
    const sameDay = after !== undefined && new Date(after).toDateString() === new Date(at).toDateString();
    return new Intl.DateTimeFormat(lang, {
      timeStyle: "short", hourCycle: "h23", ...(sameDay ? {} : { dateStyle: "medium" }),
    }).format(at);
  }

  /**
   * An estimated range, rounded more coarsely the longer it is: "2–5 min", "1.5–3 hr", "up to 40 min".
   * @param {number} low   seconds
   * @param {number} high  seconds
   */
  function range(low, high) {
    const hours = high > 5400;
    const step = hours ? 1800 : high > 1200 ? 300 : 60;
    const unit = hours ? 3600 : 60;
    const from = Math.floor(low / step);
    const to = Math.max(from + 1, Math.ceil(high / step)) * step;
    const end = measure(to / unit, hours ? "hour" : "minute");
    if (!from) return chinese ? `${end}以内` : `up to ${end}`;
    return `${number.format((from * step) / unit)}–${end}`;
  }

  return {
    number: (/** @type {number} */ n) => number.format(n), size, duration, amount, limit, about, range, took, clock, date,
  };
}
