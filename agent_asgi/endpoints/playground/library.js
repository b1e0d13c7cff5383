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
  found = null; // {words, entries, last, hasMore}: what the server has found, until the search is left

  // `changed()` is called when the entries have changed.
  constructor(changed) {
    this.changed = changed;
  }

  /** List the first conversations: the server's if `remote`, else those of this tab. */
  async load(remote) {
    this.remote = remote;
    this.found = null;
    this.entries = remote ? [] : JSON.parse(sessionStorage.getItem(KEY) ?? "[]");
    if (remote) await this.more();
    this.changed();
  }

  /** List the next page, of what is found if there is a search. */
  async more() {
    const found = this.found;
    if (found) return this.#findMore(found);
    const page = await pageAfter(this.entries.at(-1)?.id);
    this.entries.push(...page.data.map(entryOf));
    this.hasMore = page.has_more;
    this.changed();
  }

  /** Let the server search for conversations; with no words, list them all again. */
  async find(words) {
    this.found = words ? { words, entries: [], last: null, hasMore: true } : null;
    if (words) await this.#findMore(this.found);
    else this.changed();
  }

  // The server looks at some conversations at a time. An answer to an earlier search is dropped.
  async #findMore(found) {
    const wanted = found.entries.length + PAGE;
    while (found.hasMore && found.entries.length < wanted) {
      const page = await pageAfter(found.last, found.words);
      if (this.found !== found) return;
      found.entries.push(...page.data.map((each) => this.entries.find(({ id }) => id === each.id) ?? entryOf(each)));
      found.hasMore = page.has_more;
      found.last = page.last_id;
    }
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
    this.forget(id);
    this.#save();
  }

  /** Remove a conversation that the server no longer has. */
  forget(id) {
    const others = (entries) => entries.filter((entry) => entry.id !== id);
    this.entries = others(this.entries);
    if (this.found) this.found.entries = others(this.found.entries);
  }

  get(id) {
    return [...this.entries, ...(this.found?.entries ?? [])].find((entry) => entry.id === id);
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

function pageAfter(last, words = "") {
  const query = new URLSearchParams({ limit: PAGE });
  if (last) query.set("after", last);
  if (words) query.set("search", words);
  return getJson(`v1/conversations?${query}`);
}

function entryOf({ id, created_at: created, metadata }) {
  return { id, created, metadata, title: metadata?.title || metadata?.topic || (id.startsWith("conv_") ? "Untitled" : id) };
}

/** Return the title of a conversation that begins with a message. */
export function titleOf(text) {
  const line = text.trim().split("\n", 1)[0];
  return line.length > 60 ? `${line.slice(0, 60)}…` : line || "Untitled";
}
