// Turns as the server has them: of a conversation's items, or of a chain of responses.

import { entriesOf, conversationPath, getJson, remove, responsePath } from "./client.js";
import { Turn } from "./turn.js";

const MADE_OF = /_([0-9a-f]{32})_\d+$/; // the id of an input item is made of its response's
const MAX_CHAIN = 100;
const AT_ONCE = 4;

/** Return the turns of a conversation; `complete` them to know their agents and traces. */
export async function turnsOf(conversation, agent) {
  const groups = groupsOf(await itemsOf(conversation));
  return groups.map(({ id, input, output }) => {
    const turn = new Turn({ input: short(input), agent, id });
    turn.items = output;
    turn.end("completed");
    return turn;
  });
}

/** Load what the items of a conversation do not say, newest first. */
export async function complete(turns, changed) {
  const waiting = turns.filter((turn) => turn.id);
  const work = async () => {
    for (let turn; (turn = waiting.pop()); ) {
      const response = await getJson(responsePath(turn.id)).catch(() => null); // it may have expired
      if (response) turn.takeResponse(response);
      changed(turn);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

/** Delete the items of turns, and those that came later, from a conversation. */
export async function cut(conversation, turns) {
  const ids = new Set(turns.map((turn) => turn.id).filter(Boolean));
  const groups = groupsOf(await itemsOf(conversation));
  const from = groups.findIndex((group) => ids.has(group.id));
  const items = from < 0 ? [] : groups.slice(from).flatMap(({ input, output }) => [...input, ...output]);
  for (const { id } of items.reverse()) await remove(`${conversationPath(conversation)}/items/${encodeURIComponent(id)}`);
}

/** Return the turns of the responses that one continues, and its own, oldest first. */
export async function chainOf(id) {
  const turns = [];
  for (let next = id; next && turns.length < MAX_CHAIN; ) {
    const response = await getJson(responsePath(next));
    const turn = new Turn({ input: await inputOf(next), agent: response.model, previous: response.previous_response_id, id: next });
    turn.conversation = response.conversation?.id ?? null;
    if (response.status === "queued" || response.status === "in_progress") turn.background = true;
    else turn.takeResponse(response);
    turns.unshift(turn);
    next = response.previous_response_id;
  }
  return turns;
}

/** Return the input of a response: a text, or items. */
export async function inputOf(id) {
  const items = [];
  for await (const item of entriesOf(`${responsePath(id)}/input_items?order=asc`)) items.push(item);
  return short(items);
}

// A message of the user's that is only a text is that text.
function short(items) {
  const [{ role, content } = {}] = items;
  const isText = items.length === 1 && role === "user" && content?.length === 1 && content[0].type === "input_text";
  return isText ? content[0].text : items;
}

async function itemsOf(conversation) {
  const items = [];
  for await (const item of entriesOf(`${conversationPath(conversation)}/items?order=asc`)) items.push(item);
  return items;
}

// A turn begins with what the client has sent.
function groupsOf(items) {
  const groups = [];
  for (const item of items) {
    const last = groups.at(-1);
    if (!isInput(item)) {
      if (last) last.output.push(item);
      else groups.push({ id: null, input: [], output: [item] });
      continue;
    }
    const made = MADE_OF.exec(item.id ?? "");
    const id = made && `resp_${made[1]}`;
    if (last && !last.output.length && (!id || !last.id || id === last.id)) {
      last.id ??= id;
      last.input.push(item);
    } else groups.push({ id, input: [item], output: [] });
  }
  return groups;
}

function isInput(item) {
  if (item.type === "message") return item.role !== "assistant";
  return item.type === "mcp_approval_response" || (item.type === "function_call_output" && MADE_OF.test(item.id ?? ""));
}
