// Shows Markdown as DOM nodes: a text never becomes markup that it does not spell as Markdown.

import { codeView } from "./code.js";
import { element, morph, visible } from "./dom.js";
import { blocksOf, codeOf, headingOf, itemsOf, quoted, tableOf } from "./markdown-blocks.js";
import { inline } from "./markdown-inline.js";
import { imageView } from "./media.js";

const MAX_DEPTH = 8; // lists and quotes within lists and quotes
const MAX_ROWS = 500;
const MAX_COLUMNS = 50;

// Shows a growing text block by block; what has not changed is not drawn again.
export class MarkdownView {
  #sources = [];
  node = element("div", { class: "text" });

  // `unfinished`: whether more text follows.
  update(text, unfinished = false) {
    const blocks = blocksOf(text.split("\n"));
    const sources = blocks.map(({ lines }) => lines.join("\n"));
    if (unfinished && sources.length) sources[sources.length - 1] += "\0"; // drawn again when it is finished
    let same = 0;
    while (same < sources.length && sources[same] === this.#sources[same]) same++;
    for (let at = same; at < blocks.length; at++) {
      const fresh = nodeOf(blocks[at], 0, unfinished && at === blocks.length - 1);
      const old = this.node.children[at];
      if (old) morph(old, fresh);
      else this.node.append(fresh);
    }
    while (this.node.children.length > blocks.length) this.node.lastChild.remove();
    this.#sources = sources;
  }
}

const KINDS = {
  code: ({ lines }) => {
    const { language, text } = codeOf(lines);
    return codeView(text, language);
  },
  heading: ({ lines }, _, unfinished) => {
    const { level, text } = headingOf(lines[0]);
    return element("p", { class: `heading level-${level}` }, inlineNodes(text, unfinished));
  },
  rule: () => element("hr"),
  quote: ({ lines }, depth, unfinished) => element("blockquote", {}, nodesOf(quoted(lines), depth + 1, unfinished)),
  list: listNode,
  table: ({ lines }) => tableNode(tableOf(lines)),
  text: ({ lines }, _, unfinished) => element("p", {}, inlineNodes(lines.join("\n"), unfinished)),
};

function nodeOf(block, depth, unfinished) {
  const kind = depth > MAX_DEPTH && block.kind !== "code" ? "text" : block.kind;
  return KINDS[kind](block, depth, unfinished);
}

function nodesOf(lines, depth, unfinished) {
  const blocks = blocksOf(lines);
  return blocks.map((block, at) => nodeOf(block, depth, unfinished && at === blocks.length - 1));
}

function listNode({ lines }, depth, unfinished) {
  const { items, start } = itemsOf(lines);
  const nodes = items.map((item, at) => itemNode(item, depth, unfinished && at === items.length - 1));
  return element(start ? "ol" : "ul", start ? { start } : {}, nodes);
}

function itemNode(lines, depth, unfinished) {
  const task = /^\[([ xX])\](?= )/.exec(lines[0]);
  if (task) lines = [`${task[1] === " " ? "☐" : "☑"}${lines[0].slice(3)}`, ...lines.slice(1)];
  const [first, ...rest] = nodesOf(lines, depth + 1, unfinished);
  const isText = first?.nodeName === "P" && !first.className;
  return element("li", {}, isText ? [...first.childNodes] : first, rest); // a short item is no paragraph
}

function tableNode({ head, align, rows }) {
  const columns = Math.min(MAX_COLUMNS, Math.max(head.length, align.length));
  const row = (name) => (cells) => {
    const of = (at) => element(name, { class: align[at] ?? null }, inlineNodes(cells[at] ?? ""));
    return element("tr", {}, Array.from({ length: columns }, (_, at) => of(at)));
  };
  const body = element("tbody", {}, rows.slice(0, MAX_ROWS).map(row("td")));
  const table = element("table", {}, element("thead", {}, row("th")(head)), body);
  const node = element("div", { class: "table", tabindex: "0", role: "group", "aria-label": "Table" }, table);
  if (rows.length > MAX_ROWS) node.append(element("p", { class: "note" }, `The first ${MAX_ROWS} of ${rows.length} rows.`));
  return node;
}

function inlineNodes(text, unfinished) {
  return inline(text, unfinished).map(inlineNode);
}

function inlineNode(node) {
  if (typeof node === "string") return visible(node);
  if (node.tag === "img") return imageView(node.src, node.alt);
  if (node.tag === "code") return element("code", {}, visible(node.text));
  if (node.tag !== "a") return element(node.tag, {}, (node.children ?? []).map(inlineNode));
  const isNumber = node.children.length === 1 && /^\d{1,3}$/.test(node.children[0]);
  const attributes = { class: isNumber ? "cite" : null, href: node.href, title: node.href, target: "_blank", rel: "noopener noreferrer" };
  return element("a", attributes, node.children.map(inlineNode));
}
