// Citations: numbers in the text, and the numbered sources below it.

import { element, visible } from "./dom.js";

/**
 * Return the text with a numbered link at the end of each cited passage, and the sources.
 * @param {{text?: string, annotations?: object[]}} part
 * @param {object[]} sources - The sources so far; new ones are added.
 */
export function cited({ text = "", annotations = [] }, sources) {
  const marks = [];
  for (const annotation of annotations ?? []) {
    const number = numberOf(annotation, sources);
    if (number && /^https?:/i.test(annotation.url ?? "")) marks.push([annotation.end_index ?? text.length, number, annotation.url]);
  }
  if (!marks.length) return text;
  const letters = [...text]; // the places count whole characters
  const pieces = [];
  let from = 0;
  for (const [end, number, url] of marks.sort((a, b) => a[0] - b[0])) {
    const to = Math.min(Math.max(end, from), letters.length);
    pieces.push(letters.slice(from, to).join(""), `[${number}](${url.replace(/[()<>\s]/g, encodeURIComponent)})`);
    from = to;
  }
  return pieces.join("") + letters.slice(from).join("");
}

function numberOf(annotation, sources) {
  const name = annotation?.url ?? annotation?.filename ?? annotation?.file_id;
  if (typeof name !== "string") return 0;
  const known = sources.findIndex((source) => source.name === name);
  if (known >= 0) return known + 1;
  return sources.push({ name, title: annotation.title || annotation.filename || "", url: annotation.url });
}

/** Return the list of the sources. */
export function sourcesView(sources) {
  const items = sources.map(({ name, title, url }) => {
    if (!/^https?:/i.test(url ?? "")) return element("li", {}, visible(title || name));
    const attributes = { href: url, title: url, target: "_blank", rel: "noopener noreferrer" };
    return element("li", {}, element("a", attributes, visible(title || url)), element("span", { class: "note" }, ` ${hostOf(url)}`));
  });
  return element("div", { class: "sources", role: "group", "aria-label": "Sources" }, element("ol", {}, items));
}

function hostOf(url) {
  try {
    return new URL(url).host;
  } catch {
    return "";
  }
}
