// The bearer token: its form opens when the server asks for one.

import { token } from "./client.js";
import { byId } from "./dom.js";

export class Access {
  #form = byId("access-form");
  #button = byId("access");
  #field = byId("token");

  // `saved()` is called when the user has saved a token.
  constructor(saved) {
    this.#button.addEventListener("click", () => this.ask(this.#form.hidden));
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      token.set(this.#field.value.trim());
      this.ask(false);
      byId("message").focus();
      saved();
    });
  }

  ask(open = true) {
    this.#form.hidden = !open;
    this.#button.setAttribute("aria-expanded", String(open));
    if (open) this.#field.focus();
  }
}
