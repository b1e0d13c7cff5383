// The agents of the app: the one that is asked next, and how they are told apart.

import { byId, element, visible } from "./dom.js";

const AGENT = "agent_asgi.agent";
const COLOURS = 6;

export class Agents {
  #select = byId("agent");
  #list = []; // {name, description, examples, traces}

  // `ask(text)` is called when the user picks an example.
  constructor(ask) {
    this.ask = ask;
    this.#select.addEventListener("change", () => this.#describe());
  }

  get ready() {
    return this.#list.length > 0;
  }

  get name() {
    return this.#select.value;
  }

  set(list) {
    this.#list = list;
    this.#select.replaceChildren(...list.map(({ name }) => element("option", { value: name }, visible(name))));
    const before = sessionStorage.getItem(AGENT);
    if (list.some(({ name }) => name === before)) this.#select.value = before;
    this.#describe();
    if (!list.length) byId("about").textContent = "The agents of this app take their own JSON, at /invocations.";
  }

  colour(name) {
    return Math.max(0, this.#list.findIndex((each) => each.name === name)) % COLOURS;
  }

  /** Return the address of a turn's trace in MLflow; null if it is not known. */
  page(turn) {
    const address = this.#list.find((each) => each.name === turn.agent)?.traces;
    return address ? address + encodeURIComponent(turn.trace) : null;
  }

  #describe() {
    sessionStorage.setItem(AGENT, this.name);
    const chosen = this.#list.find((each) => each.name === this.name);
    const name = visible(chosen?.name ?? "");
    document.title = chosen ? `${name} · Playground` : "Playground";
    byId("welcome-title").textContent = chosen ? `Ask ${name}` : "No agent";
    byId("about").textContent = visible(chosen?.description ?? "");
    for (const mark of document.querySelectorAll(".agent-mark")) {
      mark.textContent = initialOf(chosen?.name);
      mark.className = `agent-mark mark colour-${this.colour(this.name)}`;
    }
    const example = (text) => element("button", { type: "button", class: "example", click: () => this.ask(text) }, visible(text));
    byId("examples").replaceChildren(...(chosen?.examples ?? []).map((text) => element("li", {}, example(text))));
  }
}

export function initialOf(name) {
  return name ? [...name][0].toUpperCase() : "";
}
