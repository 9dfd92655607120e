/**
 * Elements and in-place updates. Event handlers are not bound to elements: each
 * page listens once, for `data-action`, so that replacing an element loses none.
 */

/** @typedef {Node | string | number | false | null | undefined} Child */

const SVG = "http://www.w3.org/2000/svg";

/**
 * @param {string} tag
 * @param {Record<string, string | number | boolean | null | undefined>} [attributes]
 *   false, null and undefined leave an attribute out; `key` identifies an element among its siblings
 * @param {...(Child | Child[])} children
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
 * A decorative icon, hidden from screen readers: the text beside it has the same meaning.
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

/** @param {Node | null} node */
const keyOf = (node) => (node instanceof Element ? node.getAttribute("data-key") : null);

/**
 * @param {Node} a
 * @param {Node} b
 */
const canUpdate = (a, b) => a.nodeName === b.nodeName && keyOf(a) === keyOf(b);

/**
 * Make `parent` hold `nodes`. An element that only changes is updated in place, which
 * keeps the focus, the scroll position and what a live region has announced.
 * @param {Element} parent
 * @param {Node[]} nodes
 */
export function patch(parent, nodes) {
  const keys = new Set(nodes.map(keyOf));
  /** @type {Map<string, ChildNode>} */
  const kept = new Map();
  for (const child of [...parent.childNodes]) {
    const key = keyOf(child);
    if (key && keys.has(key)) kept.set(key, child);
    else if (key) child.remove();
  }
  let cursor = parent.firstChild;
  for (const node of nodes) {
    const key = keyOf(node);
    const current = key ? kept.get(key) : cursor;
    // Moving the focused element would lose its focus, so the nodes before it are removed instead.
    while (key && current && cursor && !keyOf(cursor)) cursor = removeAndNext(cursor);
    if (current && canUpdate(current, node)) {
      if (current === cursor) cursor = cursor.nextSibling;
      else parent.insertBefore(current, cursor);
      update(current, node);
    } else {
      parent.insertBefore(node, cursor);
    }
  }
  while (cursor) cursor = removeAndNext(cursor);
}

/** @param {ChildNode} node */
function removeAndNext(node) {
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
    const isUsers = name === "open" && old instanceof HTMLDetailsElement;
    if (!node.hasAttribute(name) && !isUsers) old.removeAttribute(name);
  }
  patch(old, [...node.childNodes]);
  // After the user has changed a control, its attributes no longer set its value.
  if (old instanceof HTMLInputElement) old.checked = node.hasAttribute("checked");
  if (old instanceof HTMLSelectElement) old.value = /** @type {HTMLSelectElement} */ (node).value;
}
