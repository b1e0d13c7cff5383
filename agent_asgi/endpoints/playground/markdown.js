// A subset of Markdown as DOM nodes; everything else stays text.

import { element } from "./dom.js";

// no alternative scans past the start of another match: the time is linear in the text
const INLINE = /`([^`\n]+)`|\*\*(\S(?:[^*\n]*\S)?)\*\*|\*(\S(?:[^*\n]*\S)?)\*|\[([^[\]\n]+)\]\((https?:\/\/[^\s()]+)\)/g;
const ITEM = /^\s*(?:[-*+]|(\d{1,9})[.)])\s+(.*)$/;

// Shows a growing text block by block; unchanged blocks are not drawn again.
export class MarkdownView {
  #blocks = [];
  node = element("div", { class: "text" });

  update(text) {
    const blocks = blocksOf(text);
    let same = 0;
    while (same < blocks.length && blocks[same] === this.#blocks[same]) same++;
    while (this.node.children.length > same) this.node.lastChild.remove();
    for (const block of blocks.slice(same)) this.node.append(nodeOf(block.split("\n")));
    this.#blocks = blocks;
  }
}

// Return the blocks of a text: paragraphs, headings, lists and code.
function blocksOf(text) {
  const blocks = [];
  const lines = text.split("\n");
  for (let at = 0; at < lines.length; ) {
    const end = blockEnd(lines, at);
    if (kindOf(lines[at]) !== "blank") blocks.push(lines.slice(at, end).join("\n"));
    at = end;
  }
  return blocks;
}

function kindOf(line) {
  if (/^\s*```/.test(line)) return "code";
  if (/^#{1,6}\s/.test(line)) return "heading";
  if (!line.trim()) return "blank";
  const item = ITEM.exec(line);
  if (item) return item[1] ? "ol" : "ul";
  return "p";
}

function blockEnd(lines, at) {
  const kind = kindOf(lines[at]);
  if (kind === "heading") return at + 1;
  let end = at + 1;
  if (kind === "code") {
    while (end < lines.length && kindOf(lines[end]) !== "code") end++;
    return Math.min(end + 1, lines.length);
  }
  while (end < lines.length && kindOf(lines[end]) === kind) end++;
  return end;
}

function nodeOf(lines) {
  const kind = kindOf(lines[0]);
  if (kind === "code") return codeOf(lines);
  if (kind === "heading") return element("p", { class: "heading" }, inline(lines[0].replace(/^#+\s+/, "")));
  if (kind === "p") return element("p", {}, inline(lines.join("\n")));
  const items = lines.map((line) => element("li", {}, inline(ITEM.exec(line)[2])));
  const start = kind === "ol" ? { start: ITEM.exec(lines[0])[1] } : {};
  return element(kind, start, items);
}

function codeOf(lines) {
  const closed = lines.length > 1 && kindOf(lines.at(-1)) === "code";
  const code = lines.slice(1, closed ? -1 : undefined).join("\n");
  return element("pre", { tabindex: "0" }, element("code", {}, code));
}

function inline(text) {
  const nodes = [];
  let at = 0;
  for (const match of text.matchAll(INLINE)) {
    const [whole, code, strong, em, label, url] = match;
    nodes.push(text.slice(at, match.index));
    if (code) nodes.push(element("code", {}, code));
    else if (strong) nodes.push(element("strong", {}, strong));
    else if (em) nodes.push(element("em", {}, em));
    else nodes.push(element("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, label));
    at = match.index + whole.length;
  }
  nodes.push(text.slice(at));
  return nodes;
}
