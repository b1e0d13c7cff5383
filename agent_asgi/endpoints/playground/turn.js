// One turn: a message, and its answer as the events of the run build it.

import { isTerminal } from "./client.js";

const TEXTS = {
  "response.output_text.delta": ["content", "content_index", "text", "output_text"],
  "response.refusal.delta": ["content", "content_index", "refusal", "refusal"],
  "response.reasoning_text.delta": ["content", "content_index", "text", "reasoning_text"],
  "response.reasoning_summary_text.delta": ["summary", "summary_index", "text", "summary_text"],
};

const ARGUMENTS = new Set(["response.function_call_arguments.delta", "response.mcp_call_arguments.delta"]);

export class Turn {
  // A saved turn is what `toJSON` returned before a reload.
  constructor({ input, agent, previous = null, background = false, id = null, trace = null, vote = null }) {
    Object.assign(this, { input, agent, previous, background, id, trace, vote });
    this.abort = new AbortController();
    this.stopWanted = false;
    this.status = "running"; // then: completed, incomplete, failed, cancelled, stopped, lost
    this.events = [];
    this.items = [];
    this.error = null;
    this.usage = null;
  }

  get running() {
    return this.status === "running";
  }

  // Whether the next message may continue from here.
  get continuable() {
    return this.id !== null && ["completed", "incomplete"].includes(this.status);
  }

  get lastNumber() {
    return this.events.at(-1)?.sequence_number ?? null;
  }

  toJSON() {
    const { input, agent, previous, background, id, trace, vote } = this;
    return { input, agent, previous, background, id, trace, vote };
  }

  fail(error) {
    this.status = "failed";
    this.error = { message: error.message, code: error.code ?? null };
  }

  take(event) {
    this.events.push(event);
    if (event.response?.id) this.id = event.response.id;
    if (event.type === "error") this.error = event.error ?? event;
    else if (event.type === "response.output_item.added") this.items[event.output_index] = structuredClone(event.item);
    else if (event.type === "response.output_item.done") this.items[event.output_index] = event.item;
    else if (ARGUMENTS.has(event.type)) this.#addArguments(event);
    else if (TEXTS[event.type]) this.#addText(event);
    else if (isTerminal(event)) this.#end(event);
  }

  #addArguments(event) {
    const item = this.items[event.output_index];
    if (item) item.arguments = (item.arguments ?? "") + event.delta;
  }

  #addText(event) {
    const [list, index, field, type] = TEXTS[event.type];
    const item = this.items[event.output_index];
    if (!item) return;
    item[list] ??= [];
    const part = (item[list][event[index]] ??= { type, [field]: "" });
    part[field] += event.delta;
  }

  #end({ type, response, trace_id }) {
    this.items = response.output ?? this.items;
    this.usage = response.usage?.total_tokens ? response.usage : null;
    this.trace = trace_id ?? response.metadata?.trace_id ?? this.trace;
    this.status = response.status === "cancelled" ? "cancelled" : type.slice("response.".length);
    if (this.status === "failed") this.error ??= response.error ?? { message: "The run failed." };
  }
}
