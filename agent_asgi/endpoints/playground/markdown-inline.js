// The Markdown within a block, as a tree of strings and of objects with a `tag`. Every quantifier is
// bounded or scans text that no later match scans again, so the time is linear in the text.

const TOKEN = /\\[!-/:-@[-`{-~]|`+|\*+|_+|~~|!?\[|\]|<https?:\/\/[^\s<>]{1,2000}>|https?:\/\/|<br ?\/?>/gi;
const TARGET = /\(\s{0,20}<?((?:[^\s<>()]|\([^\s<>()]{0,200}\)){1,2000})>?(?:\s{1,20}["'][^"'()]{0,300}["'])?\s{0,20}\)/y;
const DATA_IMAGE = /\(\s{0,20}(data:image\/(?:png|jpeg|gif|webp|svg\+xml);base64,[A-Za-z0-9+/=]*)\s{0,20}\)/y;
const ADDRESS = /https?:\/\/[^\s<>"`\\^{|}]{1,2000}/iy;
const UNFINISHED_LINK = /\[([^[\]\n]{1,500})\]\([^()\s]{0,2000}$/;
const MAX_OPEN = 30; // emphasis within emphasis
const EMPHASIS = { 1: "em", 2: "strong" };

/**
 * Parse the text of a block.
 * @param {string} text
 * @param {boolean} unfinished - Whether more text follows: what is still open is shown as if it were closed.
 * @returns {(string | {tag: string})[]}
 */
export function inline(text, unfinished = false) {
  return new Inline(unfinished ? text.replace(UNFINISHED_LINK, "$1") : text, unfinished).nodes();
}

class Inline {
  #out = []; // strings, nodes, and openers: marks that may open something
  #open = { "*": [], "_": [], "~": [], "[": [] }; // the places of the openers in #out, by mark
  #at = 0;

  constructor(text, unfinished) {
    this.text = text;
    this.unfinished = unfinished;
    this.ticks = ticksOf(text);
  }

  nodes() {
    const token = new RegExp(TOKEN);
    for (let match; (match = token.exec(this.text)); token.lastIndex = this.#at) {
      this.#write(this.text.slice(this.#at, match.index));
      this.#at = match.index + match[0].length;
      this.#take(match[0], match.index);
    }
    this.#write(this.text.slice(this.#at));
    if (this.unfinished) this.#closeAll();
    return joined(this.#out);
  }

  #write(text) {
    if (text) this.#out.push(text);
  }

  #take(token, at) {
    const mark = token[0];
    if (mark === "\\") this.#write(token[1]);
    else if (mark === "`") this.#code(token.length);
    else if (mark === "*" || mark === "_" || mark === "~") this.#emphasis(mark, token.length, at);
    else if (token.endsWith("[")) this.#push({ mark: "[", image: mark === "!", text: token });
    else if (mark === "]") this.#bracket();
    else if (token.toLowerCase().startsWith("<br")) this.#out.push({ tag: "br" });
    else if (mark === "<") this.#out.push(link(token.slice(1, -1)));
    else this.#address(token, at);
  }

  #code(length) {
    const places = this.ticks.get(length) ?? { starts: [], next: 0 };
    while (places.next < places.starts.length && places.starts[places.next] < this.#at) places.next++;
    const end = places.starts[places.next] ?? (this.unfinished ? this.text.length : undefined);
    if (end === undefined) return this.#write("`".repeat(length));
    const code = this.text.slice(this.#at, end).replaceAll("\n", " ");
    this.#at = Math.min(end + length, this.text.length);
    if (code) this.#out.push({ tag: "code", text: code.trim() || code });
  }

  #emphasis(mark, length, at) {
    const before = this.text[at - 1] ?? " ";
    const after = this.text[this.#at] ?? " ";
    const word = mark === "_" ? /[\p{L}\p{N}]/u : /$^/;
    if (!isSpace(before) && !word.test(after)) length = this.#close(mark, length);
    if (!length) return;
    const ends = this.unfinished && this.#at === this.text.length;
    if (ends) return; // the next piece of the text shows what it is
    const opens = !isSpace(after) && !word.test(before);
    const depth = this.#open["*"].length + this.#open._.length + this.#open["~"].length;
    if (!opens || length > 3 || depth >= MAX_OPEN) return this.#write(mark.repeat(length));
    for (const size of mark === "~" || length < 3 ? [length] : [1, 2]) {
      this.#push({ mark, size, text: mark.repeat(size) });
    }
  }

  // Close what a run of marks closes; return how many of them are left.
  #close(mark, length) {
    const places = this.#open[mark];
    while (length && places.length) {
      const at = places.at(-1);
      const { size } = this.#out[at];
      if (size > length) break;
      this.#wrap(at, (children) => ({ tag: mark === "~" ? "del" : EMPHASIS[size], children }));
      length -= size;
    }
    return length;
  }

  #closeAll() {
    const places = [...this.#open["*"], ...this.#open._, ...this.#open["~"]].sort((a, b) => b - a);
    for (const at of places) if (this.#out[at]?.size) this.#close(this.#out[at].mark, this.#out[at].size);
  }

  #bracket() {
    const at = this.#open["["].at(-1);
    if (at === undefined) return this.#write("]");
    const { image } = this.#out[at];
    const url = this.#target(image ? DATA_IMAGE : null) ?? this.#target(TARGET);
    if (url === null || !isSafe(url, image)) {
      this.#open["["].pop();
      this.#out[at] = this.#out[at].text;
      return this.#write("]");
    }
    this.#at = this.end;
    if (image) this.#wrap(at, (children) => ({ tag: "img", src: url, alt: textOf(children) }));
    else this.#wrap(at, (children) => link(url, children.map(withoutLinks)));
  }

  // Return the address that follows in parentheses, and note where it ends.
  #target(pattern) {
    if (pattern === null) return null;
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.text);
    this.end = pattern.lastIndex;
    return match?.[1] ?? null;
  }

  #address(token, at) {
    ADDRESS.lastIndex = at;
    const match = /[\p{L}\p{N}]/u.test(this.text[at - 1] ?? " ") ? null : ADDRESS.exec(this.text);
    const url = match ? trimmed(match[0]) : "";
    if (url.length <= token.length) return this.#write(token);
    this.#at = at + url.length;
    this.#out.push(link(url));
  }

  #push(opener) {
    this.#open[opener.mark].push(this.#out.length);
    this.#out.push(opener);
  }

  // Replace an opener and all that follows it by a node that contains that.
  #wrap(at, make) {
    const children = joined(this.#out.splice(at).slice(1));
    for (const places of Object.values(this.#open)) while (places.at(-1) >= at) places.pop();
    this.#out.push(make(children));
  }
}

// Return where the runs of backticks begin, by their lengths, to find the end of each code at once.
function ticksOf(text) {
  const runs = new Map();
  for (const { 0: run, index } of text.matchAll(/`+/g)) {
    if (!runs.has(run.length)) runs.set(run.length, { starts: [], next: 0 });
    runs.get(run.length).starts.push(index);
  }
  return runs;
}

function isSafe(url, image) {
  return image ? /^(https?:\/\/|data:image\/)/i.test(url) : /^(https?:\/\/|mailto:)/i.test(url);
}

function isSpace(char) {
  return /\s/.test(char);
}

function link(href, children = []) {
  return { tag: "a", href, children: children.length ? children : [href] };
}

// Return nodes with the texts beside each other as one: an opener that opened nothing is text too.
function joined(nodes) {
  const found = [];
  for (const node of nodes) {
    const text = node.mark ? node.text : node;
    if (typeof text === "string" && typeof found.at(-1) === "string") found[found.length - 1] += text;
    else found.push(text);
  }
  return found;
}

function withoutLinks(node) {
  return node.tag === "a" ? textOf([node]) : node;
}

export function textOf(nodes) {
  return nodes.map((node) => (typeof node === "string" ? node : node.text ?? node.alt ?? textOf(node.children ?? []))).join("");
}

// Punctuation at the end of an address belongs to the sentence, and so does a parenthesis without its pair.
function trimmed(url) {
  let end = url.length;
  let extra = url.split(")").length - url.split("(").length;
  for (; end > 0; end--) {
    const last = url[end - 1];
    if (last === ")" && extra > 0) extra--;
    else if (!/[.,:;!?'*_~[\]]/.test(last)) break;
  }
  return url.slice(0, end);
}
