// The message field: what is typed, attached and sent.

import { Attachments, inputOf } from "./attachments.js";
import { byId, icon } from "./dom.js";

const BACKGROUND = "agent_asgi.background";

export class Composer {
  #message = byId("message");
  #send = byId("send");
  #background = byId("background");
  #files = new Attachments();

  /**
   * @param {object} actions
   * @param {(input: string | object[], background: boolean) => boolean} actions.ask - Returns whether it was sent.
   * @param {() => void} actions.stop
   * @param {() => boolean} actions.running
   * @param {() => void} actions.recall - The arrow up in an empty field.
   */
  constructor(actions) {
    this.actions = actions;
    byId("attached").append(this.#files.note, this.#files.node);
    byId("composer").addEventListener("submit", (event) => this.#submit(event));
    this.#send.addEventListener("click", (event) => {
      if (event.detail > 1) event.preventDefault(); // the second click of a double click must not stop the run
    });
    this.#message.addEventListener("keydown", (event) => this.#keydown(event));
    this.#message.addEventListener("input", () => this.#fit());
    this.#background.checked = sessionStorage.getItem(BACKGROUND) === "true";
    this.#background.addEventListener("change", () => sessionStorage.setItem(BACKGROUND, this.#background.checked));
    this.#takeFiles();
  }

  get background() {
    return this.#background.checked;
  }

  focus() {
    this.#message.focus();
  }

  write(text) {
    this.#message.value = text;
    this.#fit();
    this.focus();
  }

  update(running, ready) {
    const label = running ? "Stop" : "Send";
    if (this.#send.getAttribute("aria-label") !== label) {
      this.#send.setAttribute("aria-label", label);
      this.#send.title = label;
      this.#send.replaceChildren(icon(label.toLowerCase()));
    }
    this.#send.disabled = !running && !ready;
  }

  #submit(event) {
    event.preventDefault();
    if (this.actions.running()) this.actions.stop();
    else this.#ask();
    this.focus();
  }

  #ask() {
    const text = this.#message.value.trim();
    const parts = this.#files.parts;
    if (!text && !parts.length) return;
    if (!this.actions.ask(inputOf(text, parts), this.background)) return;
    this.#files.clear();
    this.write("");
  }

  #keydown(event) {
    if (event.key === "ArrowUp" && !this.#message.value) this.actions.recall();
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    if (!this.actions.running()) this.#ask();
  }

  #fit() {
    this.#message.rows = Math.min(8, this.#message.value.split("\n").length);
  }

  #takeFiles() {
    const picker = byId("files");
    byId("attach").addEventListener("click", () => picker.click());
    picker.addEventListener("change", async () => {
      await this.#files.add(picker.files);
      picker.value = "";
      this.focus();
    });
    this.#message.addEventListener("paste", (event) => {
      if (!event.clipboardData.files.length) return;
      event.preventDefault();
      this.#files.add(event.clipboardData.files);
    });
    const over = (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      document.body.classList.toggle("dropping", event.type === "dragover");
      if (event.type === "drop") this.#files.add(event.dataTransfer.files);
    };
    for (const type of ["dragover", "dragleave", "drop"]) addEventListener(type, over);
  }
}
