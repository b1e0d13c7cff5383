// The page: its controls, and the turns of the conversation.

import { Access } from "./access.js";
import { Agents } from "./agents.js";
import { getJson } from "./client.js";
import { Composer } from "./composer.js";
import { Conversation } from "./conversation.js";
import { byId } from "./dom.js";
import { Drawer } from "./drawers.js";
import { Library } from "./library.js";
import { Panel, TABS } from "./panel.js";
import { answersIn, withText } from "./question.js";
import { stay, toEnd } from "./scroll.js";
import { SettingsView } from "./settings.js";
import { listen } from "./shortcuts.js";
import { Sidebar } from "./sidebar.js";
import { TurnView } from "./turn-view.js";

const STATES = { completed: "Done", incomplete: "Incomplete", failed: "Failed", cancelled: "Stopped", stopped: "Stopped", lost: "" };

const status = byId("status");
const views = new Map();
let drawing = false;
let notice = ""; // what the user must know until something else is done

const library = new Library(() => sidebar?.update());
const conversation = new Conversation(library, changed);
const access = new Access(load);
const agents = new Agents((text) => ask(text, composer.background));
const settings = new SettingsView(showSettings);
const composer = new Composer({ ask, stop: () => conversation.stop(), running: () => conversation.running, recall: () => edit(conversation.last) });
const left = new Drawer("sidebar", "(min-width: 56rem)");
const right = new Drawer("panel", "(min-width: 75rem)");
const sidebar = new Sidebar(library, { open, deleted: (id) => id === conversation.id && begin(), current: () => conversation.id });
const panel = new Panel(settings, { page: (turn) => agents.page(turn), bodyOf: (turn) => conversation.bodyOf(turn), loadEvents: (turn) => conversation.loadEvents(turn) });
const actions = {
  retry: (turn) => doing(() => conversation.again(turn)),
  edit: (turn, text) => doing(() => conversation.again(turn, withText(turn.input, text))),
  fork: (turn) => doing(() => conversation.fork(turn)),
  link: copyLink,
  show,
  saved: () => conversation.save(),
  answer,
  tool: (turn, name) => turn.settings.tools?.find((tool) => tool.name === name),
  colour: (name) => agents.colour(name),
};

function changed(turn) {
  if (turn.error?.code === "unauthenticated" || turn.error?.code === "invalid_token") access.ask();
  if (drawing) return;
  drawing = true;
  // a hidden tab draws nothing until it is shown again
  requestAnimationFrame(draw);
}

function draw() {
  drawing = false;
  const { turns, last } = conversation;
  for (const [turn, view] of views) {
    if (turns.includes(turn)) continue;
    view.node.remove();
    views.delete(turn);
  }
  if (!turns.includes(panel.turn)) panel.turn = null;
  const selected = panel.turn ?? last;
  turns.forEach((turn, at) => {
    if (!views.has(turn)) {
      views.set(turn, new TurnView(turn, actions));
      byId("log").append(views.get(turn).node);
    }
    views.get(turn).update(turn === last, turn === panel.turn, answersIn(turns[at + 1]?.input));
  });
  panel.update(selected);
  byId("welcome").hidden = turns.length > 0;
  showState();
  stay();
}

function showState() {
  const { running, last } = conversation;
  composer.update(running, agents.ready);
  const state = last?.waits ? "Waits for your answer" : STATES[last?.status] ?? "";
  const text = running ? "Answering…" : notice || state;
  if (agents.ready && status.textContent !== text) status.textContent = text;
}

function notify(text) {
  notice = text;
  showState();
}

// Do what the user has asked for, and say why if it fails.
async function doing(work) {
  try {
    notice = "";
    await work();
    sidebar.update();
    draw();
    composer.focus();
  } catch (error) {
    notify(error.message);
  }
}

function ask(input, background) {
  if (conversation.running || !agents.ready) return false;
  const fields = settings.read();
  if (fields === null) {
    show("settings");
    settings.read(); // focuses the wrong field, now that it is shown
    return false;
  }
  panel.turn = null;
  notice = "";
  conversation.ask(input, { agent: agents.name, background, settings: fields });
  draw();
  requestAnimationFrame(toEnd);
  return true;
}

// Keep the answer to an item; when no other item waits, send them all.
function answer(turn, item, output) {
  turn.answers.set(item, output);
  turn.version++;
  const answers = turn.pending.map((each) => turn.answers.get(each));
  if (answers.every(Boolean)) conversation.ask(answers, { agent: turn.agent, background: turn.background, settings: turn.settings });
  draw();
}

function edit(turn) {
  if (turn?.text) views.get(turn).question.open();
}

async function copyLink(turn) {
  const url = `${location.href.split("#")[0]}#${turn.id}`;
  try {
    await navigator.clipboard.writeText(url);
    notify("Link copied");
  } catch {
    location.hash = turn.id; // the address bar has it
  }
}

function show(tab, turn = panel.turn) {
  panel.turn = turn;
  if (left.covers) left.set(false);
  right.set(true);
  panel.show(tab);
  draw();
  byId(`tab-${tab}`).focus();
}

function showSettings() {
  byId("tab-settings").classList.toggle("active", !settings.valid || Object.keys(settings.read() ?? {}).length > 0);
}

function open(id) {
  if (left.covers) left.set(false);
  doing(async () => {
    await conversation.open(id, agents.name);
    toEnd();
  });
}

function begin() {
  if (left.covers) left.set(false);
  panel.turn = null;
  notice = "";
  conversation.clear();
  sidebar.update();
  draw();
  composer.focus();
}

async function load() {
  try {
    const app = await getJson("playground.json");
    panel.setDebug(app.debug, app.viewer);
    await library.load(app.lists);
    agents.set(app.agents);
  } catch (error) {
    const place = conversation.turns.length ? status : byId("welcome-title");
    place.textContent = error.message;
    byId("welcome").hidden = conversation.turns.length > 0;
    if (error.status === 401) access.ask();
    return;
  }
  status.textContent = "";
  await openLinked();
  if (!views.size) conversation.restore();
  draw();
}

// Open the response that the address names.
async function openLinked() {
  const id = location.hash.slice(1);
  if (!id.startsWith("resp_")) return;
  history.replaceState(null, "", location.href.split("#")[0]);
  try {
    panel.turn = await conversation.openResponse(id, agents.name);
    draw();
    views.get(panel.turn).node.scrollIntoView();
  } catch (error) {
    notify(error.message);
  }
}

function step(by) {
  const { turns } = conversation;
  const at = turns.indexOf(panel.turn ?? conversation.last) + by;
  if (!turns[at]) return;
  panel.turn = turns[at];
  draw();
  views.get(turns[at]).node.scrollIntoView({ block: "nearest" });
  views.get(turns[at]).node.focus({ preventScroll: true });
}

function search() {
  left.set(true);
  byId("search").focus();
}

function escape(event) {
  if (event.key !== "Escape" || event.defaultPrevented || document.querySelector("dialog[open]")) return;
  const covering = [left, right].find((drawer) => drawer.covers);
  if (covering) covering.toggle();
  else conversation.stop();
}

listen([
  ["/", "Write a message", () => composer.focus()],
  ["n", "New conversation", begin],
  ["s", "Search the conversations", search],
  ["j", "Next turn", () => step(1)],
  ["k", "Previous turn", () => step(-1)],
  ["r", "Retry the turn", () => conversation.last && actions.retry(panel.turn ?? conversation.last)],
  ["e", "Edit the message of the turn", () => edit(panel.turn ?? conversation.last)],
  ["p", "Open or close the side panel", () => right.toggle()],
  ...TABS.map((tab, at) => [`${at + 1}`, `Show ${tab}`, () => show(tab)]),
  ["?", "Show these keys", () => byId("shortcuts").showModal()],
]);
addEventListener("keydown", escape);
addEventListener("hashchange", openLinked);
new ResizeObserver(stay).observe(byId("composer"));
for (const button of document.querySelectorAll(".new")) button.addEventListener("click", begin);
for (const button of document.querySelectorAll("dialog .close")) button.addEventListener("click", () => button.closest("dialog").close(button.value));
showSettings();
load();
