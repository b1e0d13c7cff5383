// The list of the conversations: open one, rename it, delete it, search.

import { byId, element, iconButton, visible } from "./dom.js";

const PAUSE = 250; // milliseconds without a key before the server is asked

export class Sidebar {
  #list = byId("conversations");
  #search = byId("search");
  #note = byId("conversations-note");
  #more = byId("more");
  #timer = 0;

  /**
   * @param {Library} library
   * @param {object} actions
   * @param {(id: string) => void} actions.open
   * @param {(id: string) => void} actions.deleted
   * @param {() => string | null} actions.current - Returns the id of the open conversation.
   */
  constructor(library, actions) {
    this.library = library;
    this.actions = actions;
    this.#search.addEventListener("input", () => this.#wait());
    this.#more.addEventListener("click", () => this.#try(library.more()));
  }

  update() {
    const { remote, found } = this.library;
    const { entries, hasMore } = found ?? this.library;
    const words = remote ? "" : this.#words.toLowerCase();
    const shown = entries.filter(({ title }) => title.toLowerCase().includes(words));
    if (!this.#list.querySelector("form")) this.#list.replaceChildren(...shown.map((entry) => this.#row(entry)));
    this.#more.hidden = !hasMore;
    if (found && !shown.length) this.#note.textContent = hasMore ? "Searching…" : "No conversation has this text.";
    else if (words && !shown.length) this.#note.textContent = "No conversation with this title.";
    else if (!remote) this.#note.textContent = "Kept in this tab. With AgentApp(single_user=True) or authenticate, the server keeps and lists them.";
    else this.#note.textContent = entries.length ? "" : "No conversation yet.";
  }

  #row(entry) {
    const open = element("button", { type: "button", class: "entry", click: () => this.actions.open(entry.id) }, element("bdi", {}, visible(entry.title)));
    if (entry.id === this.actions.current()) open.setAttribute("aria-current", "true");
    open.title = new Date(entry.created * 1000).toLocaleString();
    const name = visible(entry.title);
    const item = element(
      "li",
      {},
      open,
      iconButton("edit", `Rename ${name}`, () => this.#rename(entry, item), { title: "Rename" }),
      iconButton("delete", `Delete ${name}`, () => this.#delete(entry), { title: "Delete" }),
    );
    return item;
  }

  #rename(entry, item) {
    const field = element("input", { type: "text", "aria-label": "Title", maxlength: "200" });
    field.value = entry.title;
    const close = (title) => {
      form.remove();
      if (title && title !== entry.title) this.#try(this.library.rename(entry.id, title));
      this.update();
      this.#list.querySelector('[aria-current="true"]')?.focus();
    };
    const submit = (event) => {
      event.preventDefault();
      close(field.value.trim());
    };
    const keydown = (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      close("");
    };
    const form = element("form", { submit, keydown }, field, element("button", { type: "submit", class: "outlined" }, "Save"));
    item.replaceChildren(form);
    field.select();
  }

  #delete(entry) {
    const dialog = byId("confirm");
    byId("confirm-text").textContent = `Delete “${visible(entry.title)}”? ${this.library.remote ? "The server deletes its items." : ""}`;
    dialog.returnValue = "";
    dialog.showModal();
    const close = async () => {
      if (dialog.returnValue !== "delete") return;
      await this.#try(this.library.delete(entry.id));
      if (!this.library.get(entry.id)) this.actions.deleted(entry.id);
    };
    dialog.addEventListener("close", close, { once: true });
  }

  get #words() {
    return this.#search.value.trim();
  }

  // Search once the user has stopped typing; the titles of this tab's conversations at once.
  #wait() {
    clearTimeout(this.#timer);
    if (!this.library.remote) this.update();
    else this.#timer = setTimeout(() => this.#try(this.library.find(this.#words)), PAUSE);
  }

  // Wait for the server; show its error.
  async #try(work) {
    try {
      await work;
    } catch (error) {
      this.#note.textContent = error.message;
    }
  }
}
