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
  /**
   * @param {object} fields - What `toJSON` returned before a reload, or the fields of a new turn.
   * @param {string | object[]} fields.input - A message, or items of the Responses API.
   * @param {boolean} [fields.partial] - Whether the input is only its text; the server has the rest.
   * @param {object} [fields.settings] - Further fields of the request.
   */
  constructor({ input, agent, partial = false, settings = {}, previous = null, background = false, id = null, trace = null, vote = null, error = null }) {
    Object.assign(this, { input, agent, partial, settings, previous, background, id, trace, vote, error });
    this.abort = new AbortController();
    this.stopWanted = false;
    this.status = error ? "failed" : "running"; // then: completed, incomplete, failed, cancelled, stopped, lost
    this.events = [];
    this.offsets = []; // when the events came, in milliseconds after the request; none after a reload
    this.items = [];
    this.answers = new Map(); // what the user has answered to calls and approval requests, by item
    this.usage = null;
    this.request = null; // the body that was sent
    this.began = null;
    this.first = null; // milliseconds until the first output
    this.seconds = null;
    this.version = 0;
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

  // The text that the user has written.
  get text() {
    if (typeof this.input === "string") return this.input;
    const texts = (this.input ?? []).flatMap((item) => (item.role === "user" ? textsOf(item.content) : []));
    return texts.join("\n");
  }

  // The parts of the user's messages that are no text.
  get parts() {
    if (typeof this.input === "string") return [];
    const content = (this.input ?? []).flatMap((item) => (Array.isArray(item.content) ? item.content : []));
    return content.filter((part) => part && typeof part.text !== "string");
  }

  // The items that wait for an answer of the client's.
  get pending() {
    if (!this.continuable) return [];
    const outputs = new Set(this.items.map((item) => item?.type === "function_call_output" && item.call_id));
    return this.items.filter(
      (item) => item?.type === "mcp_approval_request" || (item?.type === "function_call" && !outputs.has(item.call_id)),
    );
  }

  // Whether the user has to answer before the conversation can go on.
  get waits() {
    return this.pending.some((item) => !this.answers.has(item));
  }

  // Attachments may be large, and the server has them. It does not have the error of a turn without a run.
  toJSON() {
    const { agent, settings, previous, background, id, trace, vote } = this;
    const partial = id !== null && typeof this.input !== "string";
    const error = id === null ? this.error : null;
    return { input: partial ? this.text : this.input, partial, agent, settings, previous, background, id, trace, vote, error };
  }

  /** Return the items of the input and the output, with ids as the server makes them. */
  get allItems() {
    const user = (text) => ({ type: "message", role: "user", content: [{ type: "input_text", text }] });
    const input = typeof this.input === "string" ? [user(this.input)] : this.input;
    const suffix = this.id?.replace("resp_", "");
    return [...input.map((item, at) => ({ id: `msg_${suffix}_${at}`, ...item })), ...this.items];
  }

  start(request) {
    this.request = request;
    this.began = performance.now();
    this.version++;
  }

  fail(error) {
    this.status = "failed";
    this.error = { message: error.message, code: error.code ?? null };
    this.#stopClock();
  }

  end(status) {
    this.status = status;
    this.#stopClock();
  }

  take(event) {
    this.version++;
    this.events.push(event);
    if (this.began !== null) this.offsets.push(performance.now() - this.began);
    if (event.response?.id) this.id = event.response.id;
    if (event.response?.model) this.agent = event.response.model;
    if (event.type === "error") this.error = event.error ?? event;
    else if (event.type === "response.output_item.added") this.#add(event);
    else if (event.type === "response.output_item.done") this.items[event.output_index] = event.item;
    else if (event.type === "response.output_text.annotation.added") this.#annotate(event);
    else if (ARGUMENTS.has(event.type)) this.#addArguments(event);
    else if (TEXTS[event.type]) this.#addText(event);
    else if (isTerminal(event)) this.#end(event);
  }

  /** Take over a response that has ended, without its events. */
  takeResponse(response) {
    this.version++;
    this.#end({ type: `response.${response.status}`, response });
    this.id = response.id;
    this.agent = response.model ?? this.agent;
    if (response.tools?.length) this.settings = { tools: response.tools, ...this.settings };
  }

  #add(event) {
    this.first ??= this.offsets.at(-1) ?? null;
    this.items[event.output_index] = structuredClone(event.item);
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

  #annotate({ output_index: index, content_index: place, annotation }) {
    const part = this.items[index]?.content?.[place];
    if (part) part.annotations = [...(part.annotations ?? []), annotation];
  }

  #end({ type, response, trace_id }) {
    this.items = response.output ?? this.items;
    this.usage = response.usage?.total_tokens ? response.usage : null;
    this.trace = trace_id ?? response.metadata?.trace_id ?? this.trace;
    this.end(response.status === "cancelled" ? "cancelled" : type.slice("response.".length));
    if (this.status === "failed") this.error ??= response.error ?? { message: "The run failed." };
  }

  #stopClock() {
    this.version++;
    if (this.began !== null) this.seconds ??= (performance.now() - this.began) / 1000;
  }
}

function textsOf(content) {
  if (typeof content === "string") return [content];
  return (content ?? []).map((part) => part?.text).filter((text) => typeof text === "string");
}
