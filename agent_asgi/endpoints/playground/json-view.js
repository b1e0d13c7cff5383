// A JSON value as a tree, whose branches are drawn when they are opened, or as a table.

import { codeView } from "./code.js";
import { element, pretty, textButton, visible } from "./dom.js";

const MAX_ENTRIES = 100;
const MAX_TEXT = 2000;
const MAX_COLUMNS = 30;

/**
 * Return a value as a tree.
 * @param {unknown} value
 * @param {number} open - How many levels are open.
 */
export function jsonTree(value, open = 1) {
  return isBranch(value) ? entriesOf(value, open) : element("div", { class: "json" }, leaf(value));
}

function isBranch(value) {
  return value !== null && typeof value === "object";
}

function entriesOf(value, open) {
  const entries = Object.entries(value);
  const list = element("ul", { class: "json" });
  const show = (from) => {
    for (const [key, each] of entries.slice(from, from + MAX_ENTRIES)) list.append(entryOf(key, each, open - 1));
    const left = entries.length - from - MAX_ENTRIES;
    if (left <= 0) return;
    const more = textButton(`${left} more`, () => {
      item.remove();
      show(from + MAX_ENTRIES);
    });
    const item = element("li", {}, more);
    list.append(item);
  };
  show(0);
  return list;
}

function entryOf(key, value, open) {
  const name = element("span", { class: "key" }, visible(key));
  if (!isBranch(value)) return element("li", {}, name, leaf(value));
  const size = Object.keys(value).length;
  const brief = Array.isArray(value) ? `[${size}]` : `{${size}}`;
  if (!size) return element("li", {}, name, element("span", { class: "note" }, brief));
  const branch = lazyDetails([name, element("span", { class: "note" }, brief)], () => entriesOf(value, open), open > 0);
  return element("li", {}, branch);
}

function leaf(value) {
  const text = typeof value === "string" ? visible(value) : String(value);
  const node = element("span", { class: `leaf ${value === null ? "null" : typeof value}` }, text.slice(0, MAX_TEXT));
  if (text.length <= MAX_TEXT) return node;
  const more = textButton(`… ${text.length - MAX_TEXT} more characters`, () => {
    node.textContent = text;
  });
  node.append(more);
  return node;
}

/** Return a disclosure whose content is made when it is opened for the first time. */
export function lazyDetails(summary, content, open = false, attributes = {}) {
  const node = element("details", { ...attributes, open }, element("summary", {}, summary));
  const fill = () => {
    if (node.open && node.children.length === 1) node.append(content());
  };
  node.addEventListener("toggle", fill);
  fill();
  return node;
}

/** Return structured output: a table if the value is a list of objects, else a tree; or the JSON. */
export function structuredView(value) {
  const json = codeView(pretty(value), "json");
  const shaped = isTable(value) ? tableOf(value) : element("div", { class: "tree" }, jsonTree(value, 3));
  json.hidden = true;
  const toggle = textButton("JSON", () => {
    json.hidden = !json.hidden;
    shaped.hidden = !json.hidden;
    toggle.setAttribute("aria-pressed", String(!json.hidden));
  }, { "aria-pressed": "false" });
  return element("div", { class: "structured" }, element("div", { class: "row" }, element("span", { class: "note" }, "Structured output"), toggle), shaped, json);
}

function isTable(value) {
  return Array.isArray(value) && value.length > 0 && value.every((row) => isBranch(row) && !Array.isArray(row));
}

function tableOf(rows) {
  const shown = rows.slice(0, MAX_ENTRIES);
  const columns = [...new Set(shown.flatMap(Object.keys))].slice(0, MAX_COLUMNS);
  const cell = (value) => (isBranch(value) ? jsonTree(value, 0) : value === undefined ? "" : leaf(value));
  const head = element("tr", {}, columns.map((name) => element("th", {}, visible(name))));
  const body = shown.map((row) => element("tr", {}, columns.map((name) => element("td", {}, cell(row[name])))));
  const table = element("table", {}, element("thead", {}, head), element("tbody", {}, body));
  const node = element("div", { class: "table", tabindex: "0", role: "group", "aria-label": "Table" }, table);
  if (rows.length > shown.length) node.append(element("p", { class: "note" }, `The first ${shown.length} of ${rows.length} rows.`));
  return node;
}
