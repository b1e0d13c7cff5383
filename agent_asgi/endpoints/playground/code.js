// A block of code: its language, a button that copies it, and its text, which scrolls by itself.

import { copyButton, element, visible } from "./dom.js";

export function codeView(text, language = "") {
  const code = element("code", {}, visible(text));
  const copy = copyButton((button) => button.closest("figure").querySelector("code").textContent);
  return element(
    "figure",
    { class: "code" },
    element("figcaption", {}, element("span", {}, language || "text"), copy),
    element("pre", { tabindex: "0" }, code),
  );
}
