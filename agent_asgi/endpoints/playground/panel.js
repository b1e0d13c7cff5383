// The side panel: settings of the next requests, and the trace, events and code of one turn.

import { byId, element } from "./dom.js";
import { EventsView } from "./events.js";
import { snippetsView } from "./snippets.js";
import { TraceView } from "./trace.js";

const TAB = "agent_asgi.tab";
export const TABS = ["settings", "trace", "events", "code"];

export class Panel {
  #tabs = new Map(TABS.map((name) => [name, byId(`tab-${name}`)]));
  #pages = new Map(TABS.map((name) => [name, byId(`page-${name}`)]));
  #events = new EventsView();
  #code = null; // the request that is shown
  #loading = new WeakSet();
  turn = null; // the turn that is shown; null for the last one

  /**
   * @param {SettingsView} settings
   * @param {object} actions
   * @param {(turn: Turn) => string | null} actions.page - Returns the address of MLflow's page.
   * @param {(turn: Turn) => object} actions.bodyOf - Returns the body of a turn's request.
   * @param {(turn: Turn) => Promise<void>} actions.loadEvents
   */
  constructor(settings, actions) {
    this.actions = actions;
    this.#pages.get("settings").append(settings.node);
    for (const [name, tab] of this.#tabs) tab.addEventListener("click", () => this.show(name));
    byId("tabs").addEventListener("keydown", (event) => this.#keydown(event));
    const saved = sessionStorage.getItem(TAB);
    this.tab = TABS.includes(saved) ? saved : "settings";
    this.#select();
  }

  setDebug(debug, viewer) {
    this.trace = new TraceView(debug, viewer, this.actions.page);
  }

  show(tab) {
    this.tab = tab;
    sessionStorage.setItem(TAB, tab);
    this.#select();
    this.update(this.shown);
  }

  #select() {
    for (const [name, tab] of this.#tabs) {
      const selected = name === this.tab;
      tab.setAttribute("aria-selected", String(selected));
      tab.tabIndex = selected ? 0 : -1;
      this.#pages.get(name).hidden = !selected;
    }
  }

  #keydown(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = TABS[(TABS.indexOf(this.tab) + step + TABS.length) % TABS.length];
    this.show(next);
    this.#tabs.get(next).focus();
  }

  // Show a turn in the tab that is open.
  update(turn) {
    this.shown = turn;
    if (this.tab === "settings") return;
    const page = this.#pages.get(this.tab);
    if (!turn) {
      this.#code = null;
      page.replaceChildren(element("p", { class: "note" }, "Nothing has been asked yet."));
      return;
    }
    const view = { trace: () => this.#trace(turn), events: () => this.#list(turn), code: () => this.#snippets(turn) }[this.tab]();
    if (view && page.firstChild !== view) page.replaceChildren(view);
  }

  #trace(turn) {
    this.trace?.update(turn);
    return this.trace?.node;
  }

  #list(turn) {
    if (!turn.events.length && turn.id && !turn.running && !this.#loading.has(turn)) {
      this.#loading.add(turn);
      this.actions.loadEvents(turn).catch(() => {}); // the server does not have them any more
    }
    this.#events.update(turn);
    return this.#events.node;
  }

  #snippets(turn) {
    const now = turn.request ?? turn;
    if (now === this.#code) return null;
    this.#code = now;
    return snippetsView(turn.request ?? this.actions.bodyOf(turn));
  }
}
