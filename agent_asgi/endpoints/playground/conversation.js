// The turns of the open conversation. Their ids survive a reload; the server has their contents.

import { follow, pause, postJson, responsePath, run } from "./client.js";
import { chainOf, complete, cut, inputOf, turnsOf } from "./history.js";
import { titleOf } from "./library.js";
import { Turn } from "./turn.js";

const KEY = "agent_asgi.conversation";
const ATTEMPTS = 4; // while the conversation is locked: a stopped run may still be ending

export class Conversation {
  // `changed(turn)` is called after every change of a turn.
  constructor(library, changed) {
    this.library = library;
    this.changed = changed;
    const { id = null, turns = [] } = JSON.parse(sessionStorage.getItem(KEY) ?? "{}");
    this.id = id;
    this.#take(turns.map((saved) => new Turn(saved)));
  }

  get last() {
    return this.turns.at(-1);
  }

  get running() {
    return this.last?.running ?? false;
  }

  save() {
    this.library.keep(this.id, this.turns);
    try {
      sessionStorage.setItem(KEY, JSON.stringify({ id: this.id, turns: this.turns }));
    } catch {
      // the storage is full: a reload shows what was saved before
    }
  }

  clear() {
    this.#leave(null, []);
  }

  #leave(id, turns) {
    for (const turn of this.turns) turn.abort.abort();
    this.id = id;
    this.#take(turns);
    this.save();
  }

  #take(turns) {
    this.turns = turns;
    this.removed = []; // turns that the server's conversation still has
  }

  /** Open a conversation of the library. */
  async open(id, agent) {
    const saved = this.library.get(id)?.turns;
    const turns = saved ? saved.map((turn) => new Turn(turn)) : await turnsOf(id, agent);
    this.#leave(id, turns);
    if (saved) await this.restore();
    else await complete(turns, (turn) => this.changed(turn));
    this.save();
  }

  /** Open a response with what it continues; return its turn. */
  async openResponse(id, agent) {
    const chain = await chainOf(id);
    const { conversation } = chain.at(-1);
    if (this.library.remote && conversation) await this.open(conversation, agent).catch(() => {}); // it may be deleted
    const found = this.turns.find((turn) => turn.id === id);
    if (found) return found;
    this.#leave(null, chain);
    const running = chain.at(-1);
    if (running.running) this.#follow(running);
    return running;
  }

  /**
   * Ask an agent. The turn exists at once, its answer follows.
   * @param {string | object[]} input
   * @param {{agent: string, background?: boolean, settings?: object}} options
   */
  ask(input, { agent, background = false, settings = {} }) {
    const previous = this.turns.findLast((turn) => turn.continuable)?.id ?? null;
    this.turns.push(new Turn({ input, agent, settings, previous, background }));
    this.#run(this.last);
  }

  /** Ask a turn again, with another input if that is given; the answer replaces it and what follows it. */
  again(turn, input = turn.input) {
    this.stop();
    this.removed.push(...this.turns.splice(this.turns.indexOf(turn)));
    const fresh = typeof input === "string" ? input : input.map(({ id, status, ...item }) => item);
    this.ask(fresh, turn);
  }

  /** Continue from a turn in a new conversation. */
  async fork(turn) {
    const title = `${this.library.get(this.id)?.title ?? titleOf(turn.text)} (fork)`;
    const turns = this.turns.slice(0, this.turns.indexOf(turn) + 1);
    const id = await this.library.create(title, itemsOf(turns));
    this.stop();
    this.id = id;
    this.#take(turns);
    this.save();
  }

  stop() {
    const turn = this.last;
    if (!turn?.running) return;
    turn.stopWanted = true;
    if (!turn.background) turn.abort.abort();
    else if (turn.id) this.#cancel(turn);
  }

  // Load the answers again after a reload, and follow the runs that are still in flight.
  async restore() {
    await Promise.all(this.turns.map((turn) => this.#follow(turn)));
  }

  async #follow(turn) {
    if (!turn.id && !turn.running) return; // its error was stored
    if (turn.id) await this.#listen(turn, follow(turn.id, { signal: turn.abort.signal }));
    else turn.end("stopped");
    if (turn.error?.code === "response_not_found") Object.assign(turn, { status: "lost", error: null });
    if (turn.partial && turn.status !== "lost") turn.input = await inputOf(turn.id).catch(() => turn.input);
    turn.partial = false;
    turn.version++;
    this.changed(turn);
  }

  /** Load the events of a turn of which only the response is known. */
  async loadEvents(turn) {
    const events = [];
    for await (const event of follow(turn.id, { signal: turn.abort.signal })) events.push(event);
    turn.events = events;
    turn.version++;
    this.changed(turn);
  }

  async #run(turn) {
    const options = { signal: turn.abort.signal, onTrace: (id) => (turn.trace = id) };
    await this.#listen(turn, turn.background ? this.#inBackground(turn, options) : this.#start(turn, options));
  }

  async *#start(turn, options) {
    if (this.library.remote && this.id && this.removed.length) await cut(this.id, this.removed);
    this.removed = [];
    if (this.id === null) await this.#create(turn, options);
    for (let left = ATTEMPTS; ; ) {
      const body = this.bodyOf(turn);
      turn.start(body);
      try {
        return yield* run(body, options);
      } catch (error) {
        if (turn.id || --left === 0) throw error;
        if (error.code === "conversation_not_found") {
          this.library.forget(this.id); // a reload under `agent-asgi dev` has emptied a store in memory
          await this.#create(turn, options);
        } else if (error.code === "conversation_locked") {
          await pause(500);
          options.signal.throwIfAborted();
        } else throw error;
      }
    }
  }

  // Create the conversation, with the turns that the page has.
  async #create(turn, options) {
    const first = this.turns[0] ?? turn;
    const id = await this.library.create(titleOf(first.text), itemsOf(this.turns));
    options.signal.throwIfAborted(); // another conversation may be open by now
    this.id = id;
    this.library.changed();
  }

  /** Return the body of a turn's request. */
  bodyOf(turn) {
    const body = { model: turn.agent, input: turn.input, ...turn.settings };
    if (this.library.remote && this.id) body.conversation = this.id;
    else if (turn.previous) body.previous_response_id = turn.previous;
    if (turn.background) body.background = true;
    return body;
  }

  // Yield the events of a background run; if the connection is lost, continue after the last one.
  async *#inBackground(turn, options) {
    try {
      yield* this.#start(turn, options);
    } catch (error) {
      if (!turn.id || error.name === "AbortError") throw error;
    }
    if (turn.running) yield* follow(turn.id, { signal: turn.abort.signal, after: turn.lastNumber });
  }

  async #listen(turn, events) {
    this.changed(turn);
    try {
      for await (const event of events) {
        const before = turn.id;
        turn.take(event);
        if (turn.id !== before) {
          this.save();
          if (turn.stopWanted && turn.background) this.#cancel(turn);
        }
        this.changed(turn);
      }
      if (turn.running) turn.fail(new Error("The connection was lost."));
    } catch (error) {
      if (error.code === "previous_response_not_found") this.#forget(turn.previous);
      if (error.code === "conversation_not_found") this.id = null; // the next turn makes another
      if (error.name !== "AbortError") turn.fail(error);
      else if (turn.running) turn.end("stopped");
    }
    if (this.turns.includes(turn)) this.save();
    this.changed(turn);
  }

  // The server no longer has this response, or one that it continues.
  #forget(id) {
    const last = this.turns.findIndex((turn) => turn.id === id);
    for (const turn of this.turns.slice(0, last + 1)) {
      if (!turn.continuable) continue;
      turn.end("lost");
      this.changed(turn);
    }
  }

  async #cancel(turn) {
    try {
      await postJson(`${responsePath(turn.id)}/cancel`);
    } catch (error) {
      turn.fail(error);
      turn.abort.abort();
    }
  }
}

// Return the items of the turns that the next one continues.
function itemsOf(turns) {
  return turns.filter((turn) => turn.continuable).flatMap((turn) => turn.allItems);
}
