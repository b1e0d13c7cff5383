// Thumbs up or down, and a comment: an assessment on the run's trace.

import { postJson } from "./client.js";
import { element, icon } from "./dom.js";

export class FeedbackView {
  #status = element("span", { class: "note", role: "status" });
  #comment = element("input", { type: "text", maxlength: "10000", placeholder: "Why? (optional)", "aria-label": "Comment on the answer" });
  #form = element("form", { class: "comment", hidden: true, submit: (event) => this.#addComment(event) }, this.#comment, element("button", { type: "submit", class: "outlined" }, "Add comment"));

  #saving = Promise.resolve();

  // `saved()` is called after a vote has been saved.
  constructor(turn, saved) {
    this.turn = turn;
    this.saved = saved;
    this.up = this.#thumb("up", "Good answer", true);
    this.down = this.#thumb("down", "Bad answer", false);
    this.buttons = element("span", { class: "thumbs" }, this.up, this.down, this.#status);
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

  // One after another, so that the last one counts.
  #send(rating) {
    this.#saving = this.#saving.then(() => this.#save(rating));
  }

  async #save(rating) {
    const { id: response_id, trace: trace_id } = this.turn;
    this.#status.textContent = "Saving…";
    try {
      await postJson("feedback", { response_id, trace_id, ...rating });
    } catch (error) {
      this.#status.textContent = error.message;
      return;
    }
    this.turn.vote = rating.value;
    this.saved();
    this.#show();
    this.#form.hidden = rating.comment !== undefined;
    if (!this.#form.hidden) this.#form.scrollIntoView({ block: "nearest" });
    this.#status.textContent = rating.comment === undefined ? "Saved" : "Comment saved";
  }

  #addComment(event) {
    event.preventDefault();
    this.#send({ value: this.turn.vote, comment: this.#comment.value });
    (this.turn.vote ? this.up : this.down).focus(); // the form, and its focus, go
  }
}
