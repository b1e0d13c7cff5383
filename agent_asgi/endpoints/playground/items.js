// The items of an answer: messages, reasoning, tool calls, approval requests, images, and others.

import { answerForm, changedArguments, said } from "./answers.js";
import { cited, sourcesView } from "./citations.js";
import { element, parsedJson, pretty, visible } from "./dom.js";
import { structuredView } from "./json-view.js";
import { MarkdownView } from "./markdown.js";
import { partView } from "./media.js";

// Shows one item; what the user has opened stays open.
export class ItemView {
  constructor(item) {
    this.shown = null;
    const Kind = KINDS.get(item.type) ?? Other;
    this.kind = new Kind(item);
    this.node = this.kind.node;
  }

  /**
   * @param {object} item
   * @param {unknown} output - The output of a call; null if it has none.
   * @param {{running: boolean, unfinished: boolean, waits: boolean, answer: object | undefined, tool: object | undefined, send: Function}} state -
   *   Whether the turn runs, whether more of the item follows, whether it waits for the user, and what the user has answered.
   */
  update(item, output, state) {
    const now = JSON.stringify([item, output, this.kind instanceof Call && state.running, state.unfinished, state.waits, state.answer]);
    if (now === this.shown) return;
    this.shown = now;
    this.kind.update(item, output, state);
  }
}

class Message {
  #text = new MarkdownView();
  #more = element("div", { class: "more" });
  node = element("div", { class: "message" }, this.#text.node, this.#more);

  update({ content }, _, { unfinished }) {
    const parts = typeof content === "string" ? [{ text: content }] : content ?? [];
    const sources = [];
    const text = parts.map((part) => cited(part?.refusal ? { text: part.refusal } : part ?? {}, sources)).filter(Boolean).join("\n\n");
    const value = unfinished || !/^\s*[[{]/.test(text) ? undefined : parsedJson(text);
    const shaped = value !== null && typeof value === "object" ? structuredView(value) : null;
    this.#text.node.hidden = Boolean(shaped) || !text;
    this.#text.update(shaped ? "" : text, unfinished);
    const media = parts.map(partView);
    this.#more.replaceChildren(...[shaped, ...media, sources.length ? sourcesView(sources) : null].filter(Boolean));
  }
}

class Reasoning {
  #text = new MarkdownView();
  node = element("details", { class: "reasoning" }, element("summary", {}, "Reasoning"), this.#text.node);

  update(item, _, { unfinished }) {
    const parts = [...(item.summary ?? []), ...(item.content ?? [])];
    const text = parts.map((part) => part?.text ?? "").join("\n\n");
    this.node.hidden = !text;
    this.#text.update(text, unfinished);
  }
}

// A tool call or an approval request, with the form that answers it while it waits.
class Call {
  #name = element("span", { class: "name" });
  #brief = element("span", { class: "note given" });
  #state = element("span", { class: "note state" });
  #arguments = block("Arguments");
  #result = block("Result");
  #reply = element("div", { class: "replies" });
  #results = [element("h3", {}, "Result"), this.#result];
  #details = element(
    "details",
    { class: "call" },
    element("summary", {}, this.#name, this.#brief, this.#state),
    element("div", { class: "parts" }, element("h3", {}, "Arguments"), this.#arguments, this.#results),
  );
  node = element("div", { class: "called" }, this.#details, this.#reply);

  update(item, output, { running, waits, answer, tool, send }) {
    const asks = item.type === "mcp_approval_request";
    const given = changedArguments(answer) ?? item.arguments ?? "";
    const missing = running || waits ? (asks ? "needs approval" : "no result yet") : asks ? "not answered" : "no result";
    this.#name.textContent = visible(item.name ?? "");
    this.#brief.textContent = brief(given);
    this.#state.textContent = answer ? said(answer) : output === null ? missing : brief(output);
    this.#arguments.textContent = visible(pretty(given));
    this.#result.textContent = output === null ? "–" : visible(pretty(output));
    for (const node of this.#results) node.hidden = asks;
    if (!waits) this.#reply.replaceChildren();
    else if (!this.#reply.firstChild) this.#reply.append(answerForm(item, tool, send));
    if (waits && asks) this.#details.open = true;
  }
}

class Picture {
  node = element("div", { class: "media" });

  update(item) {
    this.node.replaceChildren(partView(item) ?? element("p", { class: "note" }, "The image is being made."));
  }
}

class Other {
  #json = block("The item");
  node;

  constructor(item) {
    const name = element("span", { class: "name" }, visible(item.type));
    this.node = element("details", { class: "call" }, element("summary", {}, name), element("div", { class: "parts" }, this.#json));
  }

  update(item) {
    this.#json.textContent = visible(pretty(item));
  }
}

const KINDS = new Map([
  ["message", Message],
  ["reasoning", Reasoning],
  ["function_call", Call],
  ["mcp_call", Call],
  ["mcp_approval_request", Call],
  ["image_generation_call", Picture],
]);

function block(label) {
  return element("pre", { tabindex: "0", "aria-label": label });
}

// The output of a call that the agent has executed itself, or why its tool failed.
export function ownOutput({ output, error }) {
  const texts = error?.content?.map((part) => part?.text ?? "");
  return output ?? texts?.join("\n") ?? error?.message ?? null;
}

function brief(output) {
  const text = visible(typeof output === "string" ? output : JSON.stringify(output) ?? "");
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
