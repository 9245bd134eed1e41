// DOM helpers. Text is always inserted as text, never parsed as HTML.

/** Creates an element: `h("a", { href: "#/", class: "btn", onclick: f }, "text", child, …)`. */
export function h(tag, props = {}, ...children) {
  const el = document.createElement(tag);
  for (const [key, value] of Object.entries(props || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) el.addEventListener(key.slice(2), value);
    else if (key === "class") el.className = value;
    else if (key === "style") Object.assign(el.style, value);
    else if (key === "data") Object.assign(el.dataset, value);
    else if (key in el && typeof value !== "string") el[key] = value;
    else el.setAttribute(key, value === true ? "" : value);
  }
  add(el, children);
  return el;
}

export function add(el, children) {
  for (const child of [children].flat(Infinity)) {
    if (child === undefined || child === null || child === false) continue;
    el.append(child instanceof Node ? child : String(child));
  }
  return el;
}

/** Replaces the children of an element. */
export function fill(el, ...children) {
  el.replaceChildren();
  return add(el, children);
}

/** Sets a text if it changed, to avoid needless painting. */
export function setText(el, text) {
  const value = text === null || text === undefined ? "" : String(text);
  if (el.textContent !== value) el.textContent = value;
}

/**
 * A list that keeps its elements, so that focus, scroll position and open menus survive an update.
 * `make(item)` returns `{ el, update(item) }`.
 */
export function keyed(parent, keyOf, make) {
  const known = new Map();
  return (items) => {
    const seen = new Set();
    let at = null;
    for (const item of items) {
      const key = keyOf(item);
      seen.add(key);
      let one = known.get(key);
      if (!one) known.set(key, (one = make(item)));
      one.update?.(item);
      const expected = at ? at.nextSibling : parent.firstChild;
      if (one.el !== expected) parent.insertBefore(one.el, expected);
      at = one.el;
    }
    for (const [key, one] of known) {
      if (!seen.has(key)) { one.el.remove(); known.delete(key); }
    }
  };
}

const PATHS = {
  swarm: "M8 2.5a1.6 1.6 0 1 0 0 .01M3 12a1.6 1.6 0 1 0 0 .01M13 12a1.6 1.6 0 1 0 0 .01M7.200 5.200 3.900 10.300M8.800 5.200l3.300 5.100M5 12h6",
  start: "M5 3.200v9.600l7.600-4.800z",
  history: "M2.500 8a5.500 5.500 0 1 0 1.700-4M2.500 2.500v2.800h2.800M8 5v3.200l2.200 1.400",
  docs: "M3.500 2.500h6l3 3v8h-9zM9.500 2.500v3h3M5.800 8.500h4.400M5.800 11h4.400",
  metrics: "M2.500 13.500h11M4.500 11V8M8 11V3.500M11.500 11V6",
  sun: "M8 5.200a2.800 2.800 0 1 0 .01 0M8 1.500v1.300M8 13.200v1.300M1.500 8h1.300M13.200 8h1.300M3.400 3.400l.9.9M11.700 11.700l.9.9M12.600 3.400l-.9.9M4.300 11.700l-.9.9",
  good: "M3.500 8.500l3 3 6-7",
  warn: "M8 2.500 14 13H2zM8 6.500v3M8 11.300v.2",
  bad: "M4 4l8 8M12 4l-8 8",
  live: "M8 5.500a2.500 2.500 0 1 0 .01 0M8 2a6 6 0 1 0 .01 0",
  idle: "M4 8h8",
  up: "M8 13V3M4 7l4-4 4 4",
  down: "M8 3v10M4 9l4 4 4-4",
  plus: "M8 3v10M3 8h10",
  stop: "M4.500 4.500h7v7h-7z",
  pause: "M5.500 3.500v9M10.500 3.500v9",
  more: "M3.500 8h.01M8 8h.01M12.500 8h.01",
};

/** A decorative icon beside a label. */
export function icon(name, size = 16) {
  const ns = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(ns, "svg");
  const set = { viewBox: "0 0 16 16", width: size, height: size, fill: "none", stroke: "currentColor", "stroke-width": name === "more" ? 2.2 : 1.6, "stroke-linecap": "round", "stroke-linejoin": "round", "aria-hidden": "true" };
  for (const [key, value] of Object.entries(set)) svg.setAttribute(key, value);
  const path = document.createElementNS(ns, "path");
  path.setAttribute("d", PATHS[name] || PATHS.idle);
  svg.append(path);
  return svg;
}
