// The two columns at the sides. On a wide page they stand beside the conversation, on a narrow one they
// open above it, one at a time.

import { byId } from "./dom.js";

export class Drawer {
  /**
   * @param {string} id - The id of the column; its buttons name it in `aria-controls`.
   * @param {string} wide - The media query of the pages on which it stands beside the conversation.
   */
  constructor(id, wide) {
    this.node = byId(id);
    this.wide = matchMedia(wide);
    this.buttons = [...document.querySelectorAll(`[aria-controls="${id}"]`)];
    for (const button of this.buttons) button.addEventListener("click", () => this.toggle());
    this.wide.addEventListener("change", () => this.set(this.wide.matches));
    addEventListener("click", (event) => {
      if (this.covers && event.target.closest("body, html") === event.target) this.toggle(); // beside it
    });
    this.set(this.wide.matches);
  }

  get open() {
    return this.node.classList.contains("open");
  }

  // Whether it covers the conversation.
  get covers() {
    return this.open && !this.wide.matches;
  }

  toggle() {
    const inside = this.node.contains(document.activeElement);
    this.set(!this.open);
    if (this.covers) this.node.querySelector(".bar > .icon").focus();
    else if (inside) this.buttons.find((each) => !this.node.contains(each)).focus();
  }

  set(open) {
    this.node.classList.toggle("open", open);
    document.body.classList.toggle(`with-${this.node.id}`, open);
    byId("talk").inert = this.covers;
    for (const button of this.buttons) button.setAttribute("aria-expanded", String(open));
  }
}
