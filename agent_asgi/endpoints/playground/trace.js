// The trace of a turn: where it is in MLflow, and its spans as a tree with their times.

import { getJson } from "./client.js";
import { copyButton, element, textButton, visible } from "./dom.js";
import { jsonTree, lazyDetails } from "./json-view.js";

export class TraceView {
  #shown = null;
  #spans = element("div", { class: "spans", "aria-live": "polite" });
  node = element("div", {});

  /**
   * @param {boolean} debug - Whether the server shows spans.
   * @param {string | null} viewer - The command that shows the traces.
   * @param {(turn: Turn) => string | null} page - Returns the address of MLflow's page.
   */
  constructor(debug, viewer, page) {
    this.debug = debug;
    this.viewer = viewer;
    this.page = page;
  }

  update(turn) {
    const now = `${turn.id} ${turn.trace} ${turn.running}`;
    if (now === this.#shown) return;
    this.#shown = now;
    this.#spans.replaceChildren();
    this.node.replaceChildren(this.#head(turn), this.#spans);
    if (this.debug && turn.id && !turn.running) this.#load(turn);
  }

  #head(turn) {
    if (turn.running) return note("The trace is complete when the run has ended.");
    if (!turn.trace) return note(this.debug && turn.id ? "" : "This run has no trace that the page knows of.");
    const page = this.page(turn);
    const where = page
      ? element("a", { href: page, target: "_blank", rel: "noopener noreferrer" }, "Open in MLflow", element("span", { class: "hidden" }, " (new tab)"))
      : note("Find it in MLflow: ", element("code", {}, this.viewer ?? "mlflow ui --backend-store-uri …"), this.viewer ? "." : ", with the server’s own tracking URI.");
    const id = element("p", { class: "trace" }, "Trace ", element("code", {}, turn.trace), copyButton(() => turn.trace));
    return element("div", {}, id, where, this.debug ? null : note("With ", element("code", {}, "AgentApp(debug=True)"), ", its spans are shown here."));
  }

  async #load(turn) {
    const shown = this.#shown;
    this.#spans.replaceChildren(note("Reading the trace…"));
    let content;
    try {
      content = treeOf((await getJson(`playground/traces/${encodeURIComponent(turn.id)}`)).spans);
    } catch (error) {
      const again = () => this.#load(turn);
      content = element("p", { class: "note" }, visible(error.message), " ", textButton("Try again", again));
    }
    if (this.#shown === shown) this.#spans.replaceChildren(content);
  }
}

function note(...text) {
  return element("p", { class: "note" }, ...text);
}

function treeOf(spans) {
  const end = flat(spans).reduce((most, span) => Math.max(most, span.start + (span.duration ?? 0)), 0.001);
  return element("ul", { class: "tree spans" }, spans.map((span) => spanNode(span, end)));
}

function flat(spans) {
  return spans.flatMap((span) => [span, ...flat(span.children ?? [])]);
}

function spanNode(span, end) {
  const failed = span.status === "ERROR";
  const bar = element("span", { class: "bar" }, element("span", { class: failed ? "failed" : "" }));
  bar.firstChild.style.setProperty("--from", `${(100 * span.start) / end}%`);
  bar.firstChild.style.setProperty("--width", `${Math.max(1, (100 * (span.duration ?? 0)) / end)}%`);
  const summary = [
    element("span", { class: `type kind-${span.type.toLowerCase().replace(/[^a-z]/g, "")}` }, visible(span.type.toLowerCase())),
    element("span", { class: "name" }, visible(span.name)),
    element("span", { class: "note" }, failed ? "failed · " : "", time(span.duration)),
    bar,
  ];
  const details = lazyDetails(summary, () => contentOf(span));
  const children = span.children ?? [];
  return element("li", {}, details, children.length ? element("ul", {}, children.map((child) => spanNode(child, end))) : null);
}

function contentOf({ start, error, inputs, outputs }) {
  const parts = element("div", { class: "parts" }, note(`Began ${time(start)} after the run.`));
  if (error) parts.append(element("p", { class: "problem" }, visible(error)));
  for (const [title, value] of [["Inputs", inputs], ["Outputs", outputs]]) {
    if (value !== undefined && value !== null) parts.append(element("h3", {}, title), jsonTree(value, 2));
  }
  return parts;
}

function time(milliseconds) {
  if (milliseconds === null) return "not ended";
  return milliseconds < 1000 ? `${milliseconds.toFixed(milliseconds < 10 ? 1 : 0)} ms` : `${(milliseconds / 1000).toFixed(2)} s`;
}
