/**
 * Elements and in-place updates, small enough to read in one go. Handlers are
 * not bound here: the page listens once, on `data-action`, so that replacing an
 * element never loses one.
 */

/** @typedef {Node|string|number|false|null|undefined} Child */

const SVG = "http://www.w3.org/2000/svg";

/**
 * @param {string} tag
 * @param {Record<string, string|number|boolean|null|undefined>} [attributes]
 *   false, null and undefined leave an attribute out; `key` names a sibling
 * @param {...(Child|Child[])} children
 * @returns {HTMLElement}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value == null) continue;
    element.setAttribute(name === "key" ? "data-key" : name, value === true ? "" : String(value));
  }
  for (const child of children.flat()) {
    if (child !== false && child != null && child !== "") element.append(/** @type {Node} */ (child));
  }
  return element;
}

const PATHS = {
  out: "M6 3.5H3.5v9h9V10M9.5 3.5h3v3M12.3 3.7 7.5 8.5",
  check: "M3.5 8.5 6.5 11.5 12.5 4.8",
  close: "M4 4l8 8M12 4l-8 8",
  info: "M8 7.3v4M8 4.8v.01M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0z",
  warning: "M8 6.3v3.2M8 11.6v.01M8 2.2 14.3 13.3H1.7z",
};

/**
 * A decorative icon: the text next to it says the same.
 * @param {keyof typeof PATHS} name
 */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  svg.setAttribute("class", "icon");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

/** @param {Node|null} node */
const keyOf = (node) => (node instanceof Element ? node.getAttribute("data-key") : null);

/**
 * @param {Node} a
 * @param {Node} b
 */
const alike = (a, b) => a.nodeName === b.nodeName && keyOf(a) === keyOf(b);

/**
 * Make `parent` hold `wanted`, keeping every element that is still right, and
 * with it the focus, the scroll position and what a live region has read out.
 * @param {Element} parent
 * @param {Node[]} wanted
 */
export function patch(parent, wanted) {
  const keys = new Set(wanted.map(keyOf));
  /** @type {Map<string, ChildNode>} */
  const kept = new Map();
  for (const child of [...parent.childNodes]) {
    const key = keyOf(child);
    if (key && keys.has(key)) kept.set(key, child);
    else if (key) child.remove();
  }
  let cursor = parent.firstChild;
  for (const node of wanted) {
    const key = keyOf(node);
    const found = key ? kept.get(key) : cursor;
    // Moving the focused element would lose its focus: what is in the way goes.
    while (key && found && cursor && !keyOf(cursor)) cursor = drop(cursor);
    if (found && alike(found, node)) {
      if (found === cursor) cursor = cursor.nextSibling;
      else parent.insertBefore(found, cursor);
      update(found, node);
    } else {
      parent.insertBefore(node, cursor);
    }
  }
  while (cursor) cursor = drop(cursor);
}

/** @param {ChildNode} node */
function drop(node) {
  const next = node.nextSibling;
  node.remove();
  return next;
}

/**
 * @param {Node} old
 * @param {Node} node
 */
function update(old, node) {
  if (!(old instanceof Element) || !(node instanceof Element)) {
    if (old.nodeValue !== node.nodeValue) old.nodeValue = node.nodeValue;
    return;
  }
  for (const { name, value } of [...node.attributes]) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes]) {
    if (!node.hasAttribute(name)) old.removeAttribute(name);
  }
  patch(old, [...node.childNodes]);
  // Once a person has touched a control its attributes no longer count.
  if (old instanceof HTMLInputElement) old.checked = node.hasAttribute("checked");
  if (old instanceof HTMLSelectElement) old.value = /** @type {HTMLSelectElement} */ (node).value;
}
