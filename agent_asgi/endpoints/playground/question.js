// The user's side of a turn: the text, its attachments, or the answers to an agent; and its editor.

import { said } from "./answers.js";
import { element, iconButton, textButton, visible } from "./dom.js";
import { partView } from "./media.js";

export class QuestionView {
  #text = element("div", { class: "question" });
  #media = element("div", { class: "media" });
  #shown = null;
  node;

  // `edited(text)` is called when the user has changed the text and sends it again.
  constructor(turn, edited) {
    this.turn = turn;
    this.edited = edited;
    this.edit = iconButton("edit", "Edit", () => this.open());
    this.node = element("div", { class: "asked" }, this.#media, element("div", { class: "row" }, this.edit, this.#text));
  }

  update() {
    const { input } = this.turn;
    if (input === this.#shown) return;
    this.#shown = input;
    const text = this.turn.text || answersIn(input).map(sentence).join("\n");
    this.#text.textContent = visible(text);
    this.#text.hidden = !text;
    this.#media.replaceChildren(...this.turn.parts.map((part) => partView(part) ?? element("code", {}, visible(part.type ?? "part"))));
    this.edit.hidden = !this.turn.text;
  }

  open() {
    const field = element("textarea", { "aria-label": "Edit the message", rows: "3" });
    field.value = this.turn.text;
    const close = () => {
      form.replaceWith(row);
      this.edit.focus();
    };
    const submit = (event) => {
      event.preventDefault();
      if (!field.value.trim()) return;
      close();
      this.edited(field.value.trim());
    };
    const keydown = (event) => {
      if (event.key === "Escape") close();
      else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) submit(event);
      else return;
      event.stopPropagation();
    };
    const buttons = element("div", { class: "row" }, element("button", { type: "submit", class: "primary" }, "Send"), textButton("Cancel", close));
    const form = element("form", { class: "edit", submit, keydown }, field, buttons);
    const row = this.#text.parentNode;
    row.replaceWith(form);
    field.focus();
  }
}

/** Return the answers to an agent's calls and requests in an input. */
export function answersIn(input) {
  if (!Array.isArray(input)) return [];
  return input.filter((item) => item.type === "mcp_approval_response" || item.type === "function_call_output");
}

function sentence(answer) {
  if (answer.type !== "mcp_approval_response") return `Result: ${typeof answer.output === "string" ? answer.output : JSON.stringify(answer.output)}`;
  const text = said(answer);
  return text[0].toUpperCase() + text.slice(1);
}

/** Return an input with another text and the same attachments. */
export function withText(input, text) {
  if (typeof input === "string") return text;
  let done = false;
  return input.map((item) => {
    if (item.role !== "user" || done) return item;
    done = true;
    const others = Array.isArray(item.content) ? item.content.filter((part) => typeof part?.text !== "string") : [];
    return { ...item, content: [{ type: "input_text", text }, ...others] };
  });
}
