/** Elements. */

/**
 * @param {string} tag
 * @param {Record<string, string | boolean | ((event: Event) => void)>} attributes  true: present; functions: listeners
 * @param {...(Node | string | null | false)} children
 */
export function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== false));
  return element;
}

/**
 * Set a text only where it differs: a screen reader announces what is set.
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Copy a text; false where the browser does not let a page do it.
 * @param {string} text
 */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

/**
 * An address of the platform's: only http(s), so that no text can become a script.
 * @param {string | undefined} address
 */
export function safeUrl(address) {
  try {
    const url = new URL(address || "/services/desk/", location.href);
    return /^https?:$/.test(url.protocol) ? url.href : "/services/desk/";
  } catch {
    return "/services/desk/";
  }
}
