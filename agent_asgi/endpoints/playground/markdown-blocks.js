// The blocks of a Markdown text: paragraphs, headings, lists, quotes, tables, code and rules. Each line
// is looked at once per level of nesting, and the levels are bounded: the time is linear in the text.

const FENCE = /^\s{0,20}(`{3,}|~{3,})[ \t]*([^\s`]*)/;
const HEADING = /^ {0,3}(#{1,6})[ \t]+/;
const ITEM = /^[ \t]*(?:[-*+]|(\d{1,9})[.)])(?:[ \t]{1,4}|$)/;
const QUOTE = /^ {0,3}> ?/;
const DELIMITER = /^:?-+:?$/;

/**
 * Return the blocks of a text, each with its kind and its lines.
 * @param {string[]} lines
 * @returns {{kind: string, lines: string[]}[]}
 */
export function blocksOf(lines) {
  const blocks = [];
  for (let at = 0; at < lines.length; ) {
    const kind = kindAt(lines, at);
    const end = (ENDS[kind] ?? next)(lines, at);
    if (kind !== "blank") blocks.push({ kind, lines: lines.slice(at, end) });
    at = end;
  }
  return blocks;
}

function kindAt(lines, at) {
  const line = lines[at];
  if (!line.trim()) return "blank";
  if (FENCE.test(line)) return "code";
  if (HEADING.test(line)) return "heading";
  if (isRule(line)) return "rule";
  if (QUOTE.test(line)) return "quote";
  if (ITEM.test(line)) return "list";
  return line.includes("|") && isDelimiter(lines[at + 1]) ? "table" : "text";
}

const ENDS = { code: codeEnd, quote: quoteEnd, list: listEnd, table: tableEnd, text: textEnd };

function next(_, at) {
  return at + 1;
}

function codeEnd(lines, at) {
  const fence = FENCE.exec(lines[at])[1];
  for (let end = at + 1; end < lines.length; end++) if (closes(lines[end], fence)) return end + 1;
  return lines.length;
}

function closes(line, fence) {
  const found = line.trim();
  return found.length >= fence.length && found[0] === fence[0] && isAll(found, fence[0]);
}

function quoteEnd(lines, at) {
  while (at < lines.length && QUOTE.test(lines[at])) at++;
  return at;
}

function tableEnd(lines, at) {
  for (at += 2; at < lines.length && lines[at].includes("|") && lines[at].trim(); ) at++;
  return at;
}

function textEnd(lines, at) {
  while (at < lines.length && kindAt(lines, at) === "text") at++;
  return at;
}

// A list goes on with items like its first, with what is indented, and with the text right below an item.
function listEnd(lines, at) {
  const first = lines[at];
  let end = at + 1;
  for (let here = end; here < lines.length; ) {
    if (!lines[here].trim()) {
      here++;
      continue;
    }
    const kind = kindAt(lines, here);
    const inside = indentOf(lines[here]) >= indentOf(first) + 2 || (kind === "list" && isSibling(lines[here], first));
    if (!inside && !(kind === "text" && here === end)) break;
    end = here = inside && kind === "code" ? codeEnd(lines, here) : here + 1;
  }
  return end;
}

function isSibling(line, first) {
  return Boolean(ITEM.exec(line)?.[1]) === Boolean(ITEM.exec(first)[1]) && indentOf(line) < indentOf(first) + 2;
}

/** Return the items of a list, each as the lines of its content, and the number of the first if it is ordered. */
export function itemsOf(lines) {
  const items = [];
  let indent = 0;
  for (let at = 0; at < lines.length; ) {
    const match = isSibling(lines[at], lines[0]) && ITEM.exec(lines[at]);
    const end = !match && FENCE.test(lines[at]) ? codeEnd(lines, at) : at + 1;
    if (match) {
      indent = match[0].length;
      items.push([lines[at].slice(indent)]);
    } else {
      for (const line of lines.slice(at, end)) items.at(-1).push(line.slice(Math.min(indent, indentOf(line))));
    }
    at = end;
  }
  return { items, start: ITEM.exec(lines[0])[1] };
}

/** Return the head, the rows and the alignments of a table. */
export function tableOf([head, delimiter, ...rows]) {
  const align = cellsOf(delimiter).map((cell) => [, "left", "right", "center"][cell.startsWith(":") + 2 * cell.endsWith(":")]);
  return { head: cellsOf(head), align, rows: rows.map(cellsOf) };
}

function cellsOf(line) {
  const cells = line.trim().split(/(?<!\\)\|/);
  if (cells[0] === "") cells.shift();
  if (cells.at(-1)?.trim() === "") cells.pop();
  return cells.map((cell) => cell.trim().replaceAll("\\|", "|"));
}

/** Return the language and the text of a block of code, and whether its end has come. */
export function codeOf(lines) {
  const [, fence, language] = FENCE.exec(lines[0]);
  const closed = lines.length > 1 && closes(lines.at(-1), fence);
  const indent = indentOf(lines[0]);
  const body = lines.slice(1, closed ? -1 : undefined).map((line) => line.slice(Math.min(indent, indentOf(line))));
  return { language, text: body.join("\n"), closed };
}

/** Return the level and the text of a heading. */
export function headingOf(line) {
  const match = HEADING.exec(line);
  let text = line.slice(match[0].length).trim();
  let end = text.length;
  while (text[end - 1] === "#") end--;
  if (end < text.length && (end === 0 || text[end - 1] === " ")) text = text.slice(0, end).trim();
  return { level: match[1].length, text };
}

/** Return the lines of a quote without their marks. */
export function quoted(lines) {
  return lines.map((line) => line.replace(QUOTE, ""));
}

function isDelimiter(line) {
  if (!line?.includes("-")) return false;
  const cells = cellsOf(line);
  return cells.length > 0 && cells.every((cell) => DELIMITER.test(cell));
}

function isRule(line) {
  const marks = line.replace(/[ \t]/g, "");
  return marks.length > 2 && "-*_".includes(marks[0]) && isAll(marks, marks[0]);
}

function isAll(text, char) {
  for (const each of text) if (each !== char) return false;
  return true;
}

function indentOf(line) {
  return line.length - line.trimStart().length;
}
