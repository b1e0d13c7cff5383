// The items of an answer: messages, reasoning, tool calls, and others.

import { element, pretty } from "./dom.js";
import { MarkdownView } from "./markdown.js";

// Shows one item; what the user has opened stays open.
export class ItemView {
  constructor(item) {
    this.shown = null;
    const Kind = KINDS.get(item.type) ?? Other;
    this.kind = new Kind(item);
    this.node = this.kind.node;
  }

  update(item, output) {
    const now = JSON.stringify([item, output]);
    if (now === this.shown) return;
    this.shown = now;
    this.kind.update(item, output);
  }
}

class Message {
  #text = new MarkdownView();
  node = this.#text.node;

  update({ content }) {
    const parts = typeof content === "string" ? [{ text: content }] : content ?? [];
    this.#text.update(parts.map((part) => part?.text ?? part?.refusal ?? "").join("\n\n"));
  }
}

class Reasoning {
  #text = new MarkdownView();
  node = element("details", { class: "reasoning" }, element("summary", {}, "Reasoning"), this.#text.node);

  update(item) {
    const parts = [...(item.summary ?? []), ...(item.content ?? [])];
    const text = parts.map((part) => part?.text ?? "").join("\n\n");
    this.node.hidden = !text;
    this.#text.update(text);
  }
}

class Call {
  #name = element("span", { class: "name" });
  #brief = element("span", { class: "note given" });
  #state = element("span", { class: "note" });
  #arguments = element("pre", { tabindex: "0", "aria-label": "Arguments" });
  #result = element("pre", { tabindex: "0", "aria-label": "Result" });
  node = element(
    "details",
    { class: "call" },
    element("summary", {}, this.#name, this.#brief, this.#state),
    element("div", { class: "parts" }, element("h3", {}, "Arguments"), this.#arguments, element("h3", {}, "Result"), this.#result),
  );

  update(item, output) {
    this.#name.textContent = item.name;
    this.#brief.textContent = brief(item.arguments ?? "");
    this.#state.textContent = output === null ? "no result yet" : brief(output);
    this.#arguments.textContent = pretty(item.arguments ?? "");
    this.#result.textContent = output === null ? "–" : pretty(output);
  }
}

class Approval {
  #name = element("span", { class: "name" });
  #arguments = element("pre", { tabindex: "0", "aria-label": "Arguments" });
  node = element(
    "details",
    { class: "call", open: "" },
    element("summary", {}, this.#name, element("span", { class: "note" }, "needs approval")),
    element("div", { class: "parts" }, element("h3", {}, "Arguments"), this.#arguments),
  );

  update(item) {
    this.#name.textContent = item.name;
    this.#arguments.textContent = pretty(item.arguments ?? "");
  }
}

class Other {
  #json = element("pre", { tabindex: "0", "aria-label": "The item" });
  node;

  constructor(item) {
    this.node = element("details", { class: "call" }, element("summary", {}, element("span", { class: "name" }, item.type)), element("div", { class: "parts" }, this.#json));
  }

  update(item) {
    this.#json.textContent = pretty(item);
  }
}

const KINDS = new Map([["message", Message], ["reasoning", Reasoning], ["function_call", Call], ["mcp_call", Call], ["mcp_approval_request", Approval]]);

// The output of a call that the agent has executed itself, or why its tool failed.
export function ownOutput({ output, error }) {
  const texts = error?.content?.map((part) => part?.text ?? "");
  return output ?? texts?.join("\n") ?? error?.message ?? null;
}

function brief(output) {
  const text = typeof output === "string" ? output : JSON.stringify(output);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
