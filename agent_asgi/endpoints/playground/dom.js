// DOM nodes by name. Strings become text, never markup. A list of children may be long: it is no
// list of arguments.

const SVG = "http://www.w3.org/2000/svg";

export function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(key, value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  for (const child of children.flat()) if (child !== null && child !== undefined) node.append(child);
  return node;
}

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("focusable", "false");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

export function byId(id) {
  return document.getElementById(id);
}

export function textButton(label, click, attributes = {}) {
  return element("button", { type: "button", class: "quiet", click, ...attributes }, label);
}

export function iconButton(name, label, click, attributes = {}) {
  return element("button", { type: "button", class: "icon", "aria-label": label, title: label, click, ...attributes }, icon(name));
}

// Return a button that copies what `read(button)` returns; null if the browser has no clipboard for this page.
export function copyButton(read, label = "Copy") {
  if (!navigator.clipboard) return null;
  const show = (text) => () => {
    button.textContent = text;
    setTimeout(() => (button.textContent = label), 1500);
  };
  const copy = () => navigator.clipboard.writeText(read(button)).then(show("Copied"), show("Not allowed"));
  const button = textButton(label, copy, { "aria-live": "polite" });
  return button;
}

// Return a value, or a text of JSON, as indented JSON.
export function pretty(value) {
  if (typeof value !== "string") return JSON.stringify(value, null, 2) ?? "";
  const parsed = parsedJson(value);
  return typeof parsed === "object" ? JSON.stringify(parsed, null, 2) : value;
}

// Return the value of a text of JSON; undefined if it is none.
export function parsedJson(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

// Spell out the characters that would change the order of the text around them.
export function visible(text) {
  return text.replace(/[\u202A-\u202E\u2066-\u2069]/g, (char) => `\\u${char.charCodeAt(0).toString(16).toUpperCase()}`);
}

// Make a node equal to a fresh one, and keep all of it that is equal: what the user has selected stays.
export function morph(old, fresh) {
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName) return old.replaceWith(fresh);
  if (old.nodeType === Node.TEXT_NODE) {
    if (fresh.data.startsWith(old.data)) old.appendData(fresh.data.slice(old.data.length));
    else old.data = fresh.data;
    return;
  }
  if (old.nodeName === "BUTTON") return old.isEqualNode(fresh) ? undefined : old.replaceWith(fresh); // it may do something else
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  const before = [...old.childNodes];
  const after = [...fresh.childNodes];
  after.forEach((node, at) => (before[at] ? morph(before[at], node) : old.append(node)));
  for (const node of before.slice(after.length)) node.remove();
}
