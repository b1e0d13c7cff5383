// The turns of this tab. Their ids survive a reload; the server has their contents.

import { follow, postJson, run } from "./client.js";
import { Turn } from "./turn.js";

const KEY = "agent_asgi.conversation";

export class Conversation {
  // `changed(turn)` is called after every change of a turn.
  constructor(changed) {
    this.changed = changed;
    this.turns = JSON.parse(sessionStorage.getItem(KEY) ?? "[]").map((saved) => new Turn(saved));
  }

  get last() {
    return this.turns.at(-1);
  }

  get running() {
    return this.last?.running ?? false;
  }

  save() {
    try {
      sessionStorage.setItem(KEY, JSON.stringify(this.turns));
    } catch {
      // the storage is full: a reload shows what was saved before
    }
  }

  clear() {
    for (const turn of this.turns) turn.abort.abort();
    this.turns = [];
    this.save();
  }

  // Ask an agent. The turn exists at once, its answer follows.
  ask(input, agent, background) {
    const previous = this.turns.findLast((turn) => turn.continuable)?.id ?? null;
    this.turns.push(new Turn({ input, agent, previous, background }));
    this.#run(this.last);
  }

  // Send the last message again; the new answer replaces the old one.
  retry() {
    const { input, agent, background } = this.turns.pop();
    this.ask(input, agent, background);
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
    await Promise.all(this.turns.map((turn) => this.#restore(turn)));
  }

  async #restore(turn) {
    if (turn.id) await this.#take(turn, follow(turn.id, { signal: turn.abort.signal }));
    else turn.status = "stopped";
    if (turn.error?.code === "response_not_found") Object.assign(turn, { status: "lost", error: null });
    this.changed(turn);
  }

  async #run(turn) {
    const body = { model: turn.agent, input: turn.input };
    if (turn.previous) body.previous_response_id = turn.previous;
    if (turn.background) body.background = true;
    await this.#take(turn, turn.background ? this.#inBackground(turn, body) : this.#start(turn, body));
  }

  #start(turn, body) {
    return run(body, { signal: turn.abort.signal, onTrace: (id) => (turn.trace = id) });
  }

  // Yield the events of a background run; if the connection is lost, continue after the last one.
  async *#inBackground(turn, body) {
    try {
      yield* this.#start(turn, body);
    } catch (error) {
      if (!turn.id || error.name === "AbortError") throw error;
    }
    if (turn.running) yield* follow(turn.id, { signal: turn.abort.signal, after: turn.lastNumber });
  }

  async #take(turn, events) {
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
      if (error.name !== "AbortError") turn.fail(error);
      else if (turn.running) turn.status = "stopped";
    }
    this.save();
    this.changed(turn);
  }

  // The server no longer has this response, or one that it continues.
  #forget(id) {
    const last = this.turns.findIndex((turn) => turn.id === id);
    for (const turn of this.turns.slice(0, last + 1)) {
      if (!turn.continuable) continue;
      turn.status = "lost";
      this.changed(turn);
    }
  }

  async #cancel(turn) {
    try {
      await postJson(`v1/responses/${encodeURIComponent(turn.id)}/cancel`);
    } catch (error) {
      turn.fail(error);
      turn.abort.abort();
    }
  }
}
