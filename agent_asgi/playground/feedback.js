// Thumbs up or down, and why: an assessment on the run's trace.

import { postJson } from "./client.js";
import { element, icon } from "./dom.js";

export class FeedbackView {
  #told = element("span", { class: "note", role: "status" });
  #comment = element("input", { type: "text", maxlength: "10000", placeholder: "Why? (optional)", "aria-label": "Comment on the answer" });
  #form = element("form", { class: "comment", hidden: true, submit: (event) => this.#sayWhy(event) }, this.#comment, element("button", { type: "submit", class: "outlined" }, "Add comment"));

  #saving = Promise.resolve();

  // `saved()` is called once a vote is kept.
  constructor(turn, saved) {
    this.turn = turn;
    this.saved = saved;
    this.up = this.#thumb("up", "Good answer", true);
    this.down = this.#thumb("down", "Bad answer", false);
    this.buttons = element("span", { class: "thumbs" }, this.up, this.down, this.#told);
    this.form = this.#form;
    this.#show();
  }

  #thumb(name, label, value) {
    const vote = () => this.#send({ value });
    return element("button", { type: "button", class: "icon", "aria-label": label, title: label, click: vote }, icon(name));
  }

  #show() {
    this.up.setAttribute("aria-pressed", String(this.turn.vote === true));
    this.down.setAttribute("aria-pressed", String(this.turn.vote === false));
  }

  // One after another, so that the last word counts.
  #send(said) {
    this.#saving = this.#saving.then(() => this.#keep(said));
  }

  async #keep(said) {
    const { id: response_id, trace: trace_id } = this.turn;
    this.#told.textContent = "Saving…";
    try {
      await postJson("feedback", { response_id, trace_id, ...said });
    } catch (error) {
      this.#told.textContent = error.message;
      return;
    }
    this.turn.vote = said.value;
    this.saved();
    this.#show();
    this.#form.hidden = said.comment !== undefined;
    if (!this.#form.hidden) this.#form.scrollIntoView({ block: "nearest" });
    this.#told.textContent = said.comment === undefined ? "Saved" : "Comment saved";
  }

  #sayWhy(event) {
    event.preventDefault();
    this.#send({ value: this.turn.vote, comment: this.#comment.value });
    (this.turn.vote ? this.up : this.down).focus(); // the form, and its focus, go
  }
}
