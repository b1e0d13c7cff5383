// One turn on the page: the question, the items of the answer, and its actions.

import { element, icon } from "./dom.js";
import { FeedbackView } from "./feedback.js";
import { ItemView, ownOutput } from "./items.js";

const ENDINGS = {
  running: "",
  completed: "",
  incomplete: "The answer is incomplete.",
  failed: "",
  cancelled: "Stopped. The next message does not continue from here.",
  stopped: "Stopped. The next message does not continue from here.",
  lost: "The server does not have this answer. The next message does not continue from here.",
};

export class TurnView {
  #items = [];
  #answer = element("div", { class: "answer" });
  #waiting = element("p", { class: "waiting" }, element("span", { class: "hidden" }, "The agent is working"));
  #ending = element("p", { class: "note", hidden: true });
  #error = element("div", { class: "error", role: "alert", hidden: true });
  #tools = element("div", { class: "tools", hidden: true });
  #raw = new RawView();
  #retry;
  #shown = null;
  #ended = false;

  // `actions`: `retry()`, `saved()`, and `tracePage(turn)`, which returns the trace's address or null.
  constructor(turn, actions) {
    this.turn = turn;
    this.actions = actions;
    this.#retry = element("button", { type: "button", class: "icon", "aria-label": "Retry", title: "Retry", click: actions.retry }, icon("retry"));
    this.#tools.append(element("div", { class: "row" }, this.#raw.button), element("div", { class: "under" }, this.#raw.node));
    this.node = element(
      "article",
      { class: "turn", "aria-label": `Message to ${turn.agent}` },
      element("h2", { class: "hidden" }, "You"),
      element("div", { class: "question" }, turn.input),
      element("h2", { class: "agent" }, turn.agent),
      this.#answer,
      this.#waiting,
      this.#ending,
      this.#error,
      this.#tools,
    );
  }

  update(isLast) {
    const { turn } = this;
    const state = `${turn.events.length} ${turn.status} ${isLast}`;
    if (state === this.#shown) return;
    this.#shown = state;
    this.node.setAttribute("aria-busy", String(turn.running));
    this.#showItems();
    this.#waiting.hidden = !turn.running;
    this.#ending.textContent = ENDINGS[turn.status];
    this.#ending.hidden = !ENDINGS[turn.status];
    this.#showError();
    this.#raw.update(turn.events);
    this.#tools.hidden = turn.running && !turn.events.length;
    this.#retry.hidden = !isLast;
    if (!turn.running && !this.#ended) this.#end(...this.#tools.children);
  }

  #showItems() {
    const { items } = this.turn;
    const outputs = new Map();
    for (const item of items) if (item?.type === "function_call_output") outputs.set(item.call_id, item.output);
    const calls = new Set(items.map((item) => item?.type === "function_call" && item.call_id));
    items.forEach((item, index) => {
      if (!item || (item.type === "function_call_output" && calls.has(item.call_id))) return;
      if (!this.#items[index]) {
        this.#items[index] = new ItemView(item);
        this.#answer.append(this.#items[index].node);
      }
      this.#items[index].update(item, outputs.get(item.call_id) ?? ownOutput(item));
    });
  }

  #showError() {
    const { error } = this.turn;
    this.#error.hidden = !error;
    if (!error || this.#error.firstChild) return;
    this.#error.append(element("span", {}, error.message));
    if (error.code) this.#error.append(element("code", {}, error.code));
  }

  // Show the actions of an answer that has ended, once.
  #end(row, under) {
    const { turn, actions } = this;
    this.#ended = true;
    row.prepend(this.#retry);
    if (turn.trace && turn.id) {
      const feedback = new FeedbackView(turn, actions.saved);
      row.prepend(feedback.buttons);
      under.prepend(feedback.form);
    }
    if (turn.trace) this.#retry.after(traceOf(turn.trace, actions.tracePage(turn), under));
    const { input_tokens: read, output_tokens: written } = turn.usage ?? {};
    if (turn.usage) row.append(element("span", { class: "note usage" }, `${read} tokens in, ${written} out`));
  }
}

// Return a link to the trace in MLflow, or a button that shows its id.
function traceOf(id, page, under) {
  if (page) {
    const where = element("span", { class: "hidden" }, " in MLflow, in a new tab");
    return element("a", { class: "quiet", href: page, target: "_blank", rel: "noopener noreferrer" }, "Trace", where);
  }
  const copied = element("span", { class: "note", role: "status" });
  const show = (text) => () => (copied.textContent = text);
  const copy = () => navigator.clipboard.writeText(id).then(show("Copied"), show("The browser does not allow it"));
  const button = element("button", { type: "button", class: "quiet", click: copy }, "Copy");
  const details = element(
    "div",
    { class: "trace" },
    element("p", {}, "Trace ", element("code", {}, id), navigator.clipboard ? button : null, copied),
    element("p", { class: "note" }, "Find it in MLflow: ", element("code", {}, "mlflow ui --backend-store-uri …"), ", with the server’s own tracking URI."),
  );
  under.append(details);
  return disclosure("Trace", details);
}

class RawView {
  #lines = element("pre", { tabindex: "0", "aria-label": "Raw events" });
  #shown = 0;
  #events = [];
  node = element("div", { class: "raw" }, this.#lines);
  button = disclosure("Raw events", this.node, () => this.update(this.#events));

  update(events) {
    this.#events = events;
    if (this.node.hidden) return;
    for (const event of events.slice(this.#shown)) this.#lines.append(JSON.stringify(event) + "\n");
    this.#shown = events.length;
  }
}

function disclosure(label, node, opened = () => {}) {
  node.hidden = true;
  const toggle = () => {
    node.hidden = !node.hidden;
    button.setAttribute("aria-expanded", String(!node.hidden));
    if (node.hidden) return;
    opened();
    node.scrollIntoView({ block: "nearest" });
  };
  const button = element("button", { type: "button", class: "quiet", "aria-expanded": "false", click: toggle }, label);
  return button;
}
