// The events of a turn: those of one type that follow each other are folded together.

import { copyButton, element, visible } from "./dom.js";
import { jsonTree, lazyDetails } from "./json-view.js";
import { usageOf } from "./turn-view.js";

export class EventsView {
  #list = element("ol", { class: "events" });
  #summary = element("p", { class: "note" });
  #turn = null;
  #groups = []; // {type, from, to, count: the node that shows how many}
  #drawn = 0;
  node = element("div", {}, this.#summary, this.#list);

  update(turn) {
    if (turn !== this.#turn || turn.events.length < this.#drawn) this.#clear(turn);
    this.#summary.textContent = [`${turn.events.length} events`, usageOf(turn)].filter(Boolean).join(" · ");
    for (; this.#drawn < turn.events.length; this.#drawn++) this.#add(this.#drawn);
    if (this.#copy) this.#copy.hidden = !turn.events.length;
  }

  #copy = copyButton(() => this.#turn.events.map((event) => JSON.stringify(event)).join("\n"), "Copy as JSON lines");

  #clear(turn) {
    this.#turn = turn;
    this.#groups = [];
    this.#drawn = 0;
    this.#list.replaceChildren();
    if (this.#copy) this.node.append(this.#copy);
  }

  #add(at) {
    const { type } = this.#turn.events[at];
    const last = this.#groups.at(-1);
    if (last?.type === type) {
      last.to = at + 1;
      last.count.textContent = `× ${last.to - last.from}`;
      if (last.node.open) last.node.lastChild.append(this.#single(at));
      return;
    }
    const group = { type, from: at, to: at + 1, count: element("span", { class: "note" }) };
    const summary = [this.#offset(at), element("span", { class: "name" }, visible(type)), group.count];
    group.node = lazyDetails(summary, () => this.#content(group));
    this.#groups.push(group);
    this.#list.append(element("li", {}, group.node));
  }

  #content({ from, to }) {
    const events = Array.from({ length: to - from }, (_, index) => this.#single(from + index));
    return element("div", { class: "parts" }, events);
  }

  #single(at) {
    return element("div", { class: "event" }, this.#offset(at), jsonTree(this.#turn.events[at], 2));
  }

  #offset(at) {
    const { events, offsets } = this.#turn;
    const text = offsets[at] === undefined ? `#${events[at].sequence_number ?? at}` : `+${Math.round(offsets[at])} ms`;
    return element("span", { class: "offset" }, text);
  }
}
