// The conversations that can be reopened: the server's if it lists them, else those of this tab.
// Without authentication or `single_user` it lists none.

import { conversationPath, getJson, postJson, remove } from "./client.js";

const KEY = "agent_asgi.conversations";
const PAGE = 50;
const MAX_ITEMS = 20; // how many items one request may add

export class Library {
  remote = false;
  hasMore = false;
  entries = []; // {id, title, created}, newest first

  // `changed()` is called when the entries have changed.
  constructor(changed) {
    this.changed = changed;
  }

  /** List the first conversations: the server's if `remote`, else those of this tab. */
  async load(remote) {
    this.remote = remote;
    this.entries = remote ? [] : JSON.parse(sessionStorage.getItem(KEY) ?? "[]");
    if (remote) await this.more();
    this.changed();
  }

  async more() {
    const last = this.entries.at(-1);
    const after = last ? `&after=${encodeURIComponent(last.id)}` : "";
    const page = await getJson(`v1/conversations?limit=${PAGE}${after}`);
    this.entries.push(...page.data.map(entryOf));
    this.hasMore = page.has_more;
    this.changed();
  }

  /** Create a conversation; return its id. */
  async create(title, items = []) {
    const created = Date.now() / 1000;
    if (!this.remote) return this.#add({ id: `tab_${created}_${Math.random()}`, title, created, turns: [] });
    const made = await postJson("v1/conversations", { metadata: { title }, items: items.slice(0, MAX_ITEMS) });
    for (let at = MAX_ITEMS; at < items.length; at += MAX_ITEMS) {
      await postJson(`${conversationPath(made.id)}/items`, { items: items.slice(at, at + MAX_ITEMS) });
    }
    return this.#add(entryOf(made));
  }

  async rename(id, title) {
    const entry = this.get(id);
    if (this.remote) await postJson(conversationPath(id), { metadata: { ...entry.metadata, title } });
    entry.title = title;
    this.#save();
  }

  async delete(id) {
    if (this.remote) await remove(conversationPath(id));
    this.entries = this.entries.filter((entry) => entry.id !== id);
    this.#save();
  }

  /** Remove a conversation that the server no longer has. */
  forget(id) {
    this.entries = this.entries.filter((entry) => entry.id !== id);
  }

  get(id) {
    return this.entries.find((entry) => entry.id === id);
  }

  /** Keep the turns of a conversation of this tab. */
  keep(id, turns) {
    const entry = this.get(id);
    if (this.remote || !entry) return;
    entry.turns = JSON.parse(JSON.stringify(turns));
    this.#save();
  }

  #add(entry) {
    this.entries.unshift(entry);
    this.#save();
    return entry.id;
  }

  #save() {
    this.changed();
    if (this.remote) return;
    try {
      sessionStorage.setItem(KEY, JSON.stringify(this.entries));
    } catch {
      // the storage is full: the list shows what was saved before
    }
  }
}

function entryOf({ id, created_at: created, metadata }) {
  return { id, created, metadata, title: metadata?.title || metadata?.topic || (id.startsWith("conv_") ? "Untitled" : id) };
}

/** Return the title of a conversation that begins with a message. */
export function titleOf(text) {
  const line = text.trim().split("\n", 1)[0];
  return line.length > 60 ? `${line.slice(0, 60)}…` : line || "Untitled";
}
