// One turn on the page: the question, the items of the answer, and its actions.

import { initialOf } from "./agents.js";
import { element, iconButton, textButton, visible } from "./dom.js";
import { FeedbackView } from "./feedback.js";
import { ItemView, ownOutput } from "./items.js";
import { QuestionView } from "./question.js";

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
  #usage = element("span", { class: "note usage" });
  #actions = element("span", { class: "actions" });
  #views = element("span", { class: "actions" });
  #buttons = element("div", { class: "row", role: "group", "aria-label": "Actions" }, this.#actions);
  #under = element("div", { class: "under" });
  #tools = element("div", { class: "tools", hidden: true }, this.#buttons, this.#under);
  #name = element("span", {});
  #mark = element("span", { class: "mark", "aria-hidden": "true" });
  #shown = null;
  #ended = null;

  /**
   * @param {Turn} turn
   * @param {object} actions - `retry`, `edit`, `fork`, `link`, `show`, `saved`, `answer`, `tool` and `colour`.
   */
  constructor(turn, actions) {
    this.turn = turn;
    this.actions = actions;
    this.question = new QuestionView(turn, (text) => actions.edit(turn, text));
    this.node = element(
      "article",
      { class: "turn", tabindex: "-1" },
      element("h2", { class: "hidden" }, "You"),
      this.question.node,
      element("h2", { class: "agent" }, this.#mark, this.#name),
      this.#answer,
      this.#waiting,
      this.#ending,
      this.#error,
      this.#tools,
    );
    this.#views.append(textButton("Trace", () => actions.show("trace", turn)), textButton("Events", () => actions.show("events", turn)));
    this.#buttons.append(this.#views, this.#usage);
  }

  /**
   * @param {boolean} isLast
   * @param {boolean} isSelected - Whether the side panel shows this turn.
   * @param {object[]} answers - What the user has answered to the items that waited.
   */
  update(isLast, isSelected, answers) {
    const { turn, actions } = this;
    this.node.classList.toggle("selected", isSelected);
    const state = `${turn.version} ${turn.status} ${isLast} ${turn.agent} ${answers.length}`;
    if (state === this.#shown) return;
    this.#shown = state;
    this.node.setAttribute("aria-busy", String(turn.running));
    this.node.setAttribute("aria-label", `Message to ${visible(turn.agent ?? "")}`);
    this.question.update();
    this.#name.textContent = visible(turn.agent ?? "");
    this.#mark.textContent = initialOf(turn.agent);
    this.#mark.className = `mark colour-${actions.colour(turn.agent)}`;
    this.#showItems(isLast, answers);
    this.#waiting.hidden = !turn.running;
    this.#ending.textContent = ENDINGS[turn.status];
    this.#ending.hidden = !ENDINGS[turn.status];
    this.#showError();
    this.#tools.hidden = turn.running && !turn.events.length;
    this.#views.hidden = !turn.id && !turn.trace; // it never reached a run
    this.#usage.textContent = usageOf(turn);
    if (!turn.running) this.#end();
  }

  #showItems(isLast, answers) {
    const { turn, actions } = this;
    const { items } = turn;
    const pending = new Set(isLast ? turn.pending : []);
    const outputs = new Map([...items, ...answers].filter((item) => item?.type === "function_call_output").map((item) => [item.call_id, item.output]));
    const calls = new Set(items.map((item) => item?.type === "function_call" && item.call_id));
    const newest = items.length - 1;
    items.forEach((item, index) => {
      if (!item || (item.type === "function_call_output" && calls.has(item.call_id))) return;
      if (!this.#items[index]) {
        this.#items[index] = new ItemView(item);
        this.#answer.append(this.#items[index].node);
      }
      const answer = turn.answers.get(item) ?? answers.find((each) => answersTo(each, item));
      const send = (output) => actions.answer(turn, item, output);
      this.#items[index].update(item, outputs.get(item.call_id) ?? ownOutput(item), {
        running: turn.running,
        unfinished: turn.running && index === newest,
        waits: pending.has(item) && !answer,
        answer,
        tool: actions.tool(turn, item.name),
        send,
      });
    });
  }

  #showError() {
    const { error } = this.turn;
    this.#error.hidden = !error;
    if (!error || this.#error.firstChild) return;
    const [summary, ...traceback] = visible(error.message).split("\n\n");
    this.#error.append(element("span", {}, summary));
    if (error.code) this.#error.append(element("code", {}, visible(error.code)));
    if (traceback.length) this.#error.append(element("pre", { tabindex: "0" }, traceback.join("\n\n")));
  }

  // Show the actions of an answer that has ended, once all is known of it.
  #end() {
    const { turn, actions } = this;
    const now = `${turn.id} ${turn.trace}`;
    if (now === this.#ended) return;
    this.#ended = now;
    this.#under.replaceChildren();
    const buttons = [];
    if (turn.id || turn.status !== "completed") buttons.push(iconButton("retry", "Retry", () => actions.retry(turn)));
    if (turn.id) buttons.push(iconButton("fork", "Fork the conversation here", () => actions.fork(turn)));
    if (turn.id) buttons.push(iconButton("link", "Copy a link to this response", () => actions.link(turn)));
    if (turn.trace && turn.id) {
      const feedback = new FeedbackView(turn, actions.saved);
      buttons.unshift(feedback.buttons);
      this.#under.append(feedback.form);
    }
    this.#actions.replaceChildren(...buttons);
  }
}

function answersTo(answer, item) {
  return item.type === "mcp_approval_request" ? answer.approval_request_id === item.id : answer.type !== "mcp_approval_response" && answer.call_id !== undefined && answer.call_id === item.call_id;
}

// Say how long a turn took and what it used.
export function usageOf({ usage, seconds, first }) {
  const parts = [];
  if (seconds !== null) parts.push(`${seconds.toFixed(2)} s`);
  if (first !== null) parts.push(`first output ${(first / 1000).toFixed(2)} s`);
  if (usage) parts.push(`${usage.input_tokens} tokens in, ${usage.output_tokens} out`);
  return parts.join(" · ");
}
