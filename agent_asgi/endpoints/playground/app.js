// The page: its controls, and the turns of the conversation.

import { getJson, token } from "./client.js";
import { Conversation } from "./conversation.js";
import { byId, element, icon } from "./dom.js";
import { TurnView } from "./turn-view.js";

const AGENT = "agent_asgi.agent";
const BACKGROUND = "agent_asgi.background";
const STATES = { completed: "Done", incomplete: "Incomplete", failed: "Failed", cancelled: "Stopped", stopped: "Stopped", lost: "" };

const agent = byId("agent");
const background = byId("background");
const log = byId("log");
const message = byId("message");
const send = byId("send");
const status = byId("status");

const views = new Map();
const conversation = new Conversation(changed);
const actions = {
  retry: () => {
    conversation.retry();
    message.focus();
  },
  saved: () => conversation.save(),
  tracePage: (turn) => (pages[turn.agent] ? pages[turn.agent] + encodeURIComponent(turn.trace) : null),
};
let agents = [];
let pages = {};
let drawing = false;

function changed(turn) {
  if (turn.error?.code === "unauthenticated" || turn.error?.code === "invalid_token") askForToken();
  if (drawing) return;
  drawing = true;
  // a hidden tab draws nothing until it is shown again
  requestAnimationFrame(draw);
}

function draw() {
  drawing = false;
  const atEnd = innerHeight + scrollY >= document.documentElement.scrollHeight - 80;
  for (const [turn, view] of views) {
    if (conversation.turns.includes(turn)) continue;
    view.node.remove();
    views.delete(turn);
  }
  for (const turn of conversation.turns) {
    if (!views.has(turn)) {
      views.set(turn, new TurnView(turn, actions));
      log.append(views.get(turn).node);
    }
    views.get(turn).update(turn === conversation.last);
  }
  byId("welcome").hidden = conversation.turns.length > 0;
  showState();
  if (atEnd) scrollTo(0, document.documentElement.scrollHeight);
}

function showState() {
  const { running, last } = conversation;
  const label = running ? "Stop" : "Send";
  if (send.getAttribute("aria-label") !== label) {
    send.setAttribute("aria-label", label);
    send.replaceChildren(icon(label.toLowerCase()));
  }
  send.disabled = !running && !agents.length;
  const text = running ? "Answering…" : STATES[last?.status] ?? "";
  if (agents.length && status.textContent !== text) status.textContent = text;
}

function submit(event) {
  event.preventDefault();
  if (conversation.running) {
    conversation.stop();
    message.focus();
    return;
  }
  sendMessage();
}

function sendMessage() {
  const input = message.value.trim();
  if (!input || conversation.running || !agents.length) return;
  message.value = "";
  fit();
  conversation.ask(input, agent.value, background.checked);
  message.focus();
  requestAnimationFrame(() => scrollTo(0, document.documentElement.scrollHeight));
}

function keydown(event) {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  sendMessage();
}

function fit() {
  message.rows = Math.min(8, message.value.split("\n").length);
}

function askForToken(open = true) {
  byId("access-form").hidden = !open;
  byId("access").setAttribute("aria-expanded", String(open));
  if (open) byId("token").focus();
}

function describe() {
  sessionStorage.setItem(AGENT, agent.value);
  const chosen = agents.find((each) => each.id === agent.value);
  document.title = chosen ? `${chosen.id} · Playground` : "Playground";
  byId("welcome-title").textContent = chosen ? `Ask ${chosen.id}` : "No agent";
  byId("about").textContent = chosen?.description ?? "";
}

async function load() {
  try {
    agents = (await getJson("v1/models")).data;
    pages = (await getJson("playground.json")).traces;
  } catch (error) {
    const place = conversation.turns.length ? status : byId("welcome-title");
    place.textContent = error.message;
    byId("welcome").hidden = conversation.turns.length > 0;
    if (error.status === 401) askForToken();
    return;
  }
  agent.replaceChildren(...agents.map((each) => element("option", { value: each.id }, each.id)));
  const before = sessionStorage.getItem(AGENT);
  if (agents.some((each) => each.id === before)) agent.value = before;
  status.textContent = "";
  describe();
  if (!agents.length) byId("about").textContent = "The agents of this app take their own JSON, at /invocations.";
  if (!views.size) conversation.restore();
  draw();
}

byId("composer").addEventListener("submit", submit);
send.addEventListener("click", (event) => {
  if (event.detail > 1) event.preventDefault(); // the second click of a double click must not stop the run
});
message.addEventListener("keydown", keydown);
message.addEventListener("input", fit);
agent.addEventListener("change", describe);
background.checked = sessionStorage.getItem(BACKGROUND) === "true";
background.addEventListener("change", () => sessionStorage.setItem(BACKGROUND, background.checked));
addEventListener("keydown", (event) => {
  if (event.key === "Escape") conversation.stop();
});
byId("new").addEventListener("click", () => {
  conversation.clear();
  draw();
  message.focus();
});
byId("access").addEventListener("click", () => askForToken(byId("access-form").hidden));
byId("access-form").addEventListener("submit", (event) => {
  event.preventDefault();
  token.set(byId("token").value.trim());
  askForToken(false);
  message.focus();
  load();
});
load();
