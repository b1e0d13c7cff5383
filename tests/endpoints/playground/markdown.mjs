// Properties of the playground's Markdown parser: `node markdown.mjs FOLDER`. A quadratic parser would
// take minutes here.

import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";

const folder = pathToFileURL(`${process.argv[2]}/`);
const { inline, textOf } = await import(new URL("markdown-inline.js", folder));
const { blocksOf, codeOf, headingOf, itemsOf, quoted, tableOf } = await import(new URL("markdown-blocks.js", folder));

const TAGS = new Set(["a", "br", "code", "del", "em", "img", "strong"]);
const PIECES = ["a", "b c", " ", "*", "**", "***", "_", "~~", "`", "``", "[", "]", "](", "(", ")", "![", "<br>", "\\", "\\`", "https://x.example/", "javascript:", "<b>", "\n", "|", "\"", "data:image/png;base64,", "é", "🌍"];
const LINES = ["# h", "- x", "  - y", "1. z", "> q", "> - r", "```", "```js", "~~~", "| a | b |", "|-|-|", "---", "text", "  text", "", "   ", "#", "-", "1.", ">", "[ ] t", "\ttab"];
let seed = 7;

function random(count) {
  seed = (seed * 1103515245 + 12345) % 2147483648;
  return seed % count;
}

function some(pieces, count) {
  return Array.from({ length: random(count) + 1 }, () => pieces[random(pieces.length)]);
}

function check(node) {
  if (typeof node === "string") return;
  assert(TAGS.has(node.tag), node.tag);
  if (node.tag === "a") assert.match(node.href, /^(https?:\/\/|mailto:)/i);
  if (node.tag === "img") assert.match(node.src, /^(https?:\/\/|data:image\/)/i);
  assert(!node.children?.some((child) => node.tag === "a" && child.tag === "a"), "a link in a link");
  node.children?.forEach(check);
}

function letters(text) {
  return text.replace(/[^\p{L}]/gu, "");
}

function depth(nodes) {
  return 1 + nodes.reduce((most, node) => Math.max(most, node.children ? depth(node.children) : 0), 0);
}

for (let run = 0; run < 20_000; run++) {
  const text = some(PIECES, 30).join("");
  for (const unfinished of [false, true]) inline(text, unfinished).forEach(check);
  const plain = text.replace(/https:\/\/x.example\/|<br>|!?\[|\]|[()\\]/g, "");
  assert.equal(letters(textOf(inline(plain))), letters(plain), JSON.stringify(plain));
}

// Every line that is not blank is in one block, and in the block's content.
for (let run = 0; run < 20_000; run++) {
  const lines = some(LINES, 20);
  const blocks = blocksOf(lines);
  const kept = blocks.flatMap((block) => block.lines).filter((line) => line.trim());
  assert.deepEqual(kept, lines.filter((line) => line.trim()), JSON.stringify(lines));
  for (const { kind, lines: own } of blocks) {
    if (kind === "list") assert.equal(letters(itemsOf(own).items.flat().join("")), letters(own.join("")));
    if (kind === "quote") assert.equal(letters(quoted(own).join("")), letters(own.join("")));
    if (kind === "heading") assert.equal(letters(headingOf(own[0]).text), letters(own[0]));
    if (kind === "code") codeOf(own);
    if (kind === "table") assert.equal(letters(tableOf(own).rows.flat().join("")), letters(own.slice(2).join("")));
  }
}

const LONG = 1_000_000;
for (const piece of ["[", "[a", "[a](https://", "](", "](a](", "`a", "``a`", "**a ", "*a", "a*", "_a_ ", "~~a", "***", "\\", "![", "![](data:image/png;base64,", "https://", "https://a)", "<https://", "((", "[a](b \"", " ", "]"]) {
  const text = piece.repeat(LONG / piece.length);
  for (const unfinished of [false, true]) {
    const nodes = inline(text, unfinished);
    assert(depth(nodes) < 40, piece);
  }
}
assert(depth(inline("*a _b ".repeat(1000) + "_*".repeat(1000))) < 40);
for (const piece of ["- ", "```", "- x\n", "# h\n", "p\n\n", "> ", ">\n", "|", "|a|b|\n", "|-|\n", "---\n", "1. ", "  \n", "```\n", "x|\n-|\n", "- x\n```\n", "#", "# #"]) {
  for (const block of blocksOf(piece.repeat(LONG / piece.length).split("\n"))) {
    if (block.kind === "list") itemsOf(block.lines);
    if (block.kind === "table") tableOf(block.lines);
    if (block.kind === "heading") headingOf(block.lines[0]);
  }
}
