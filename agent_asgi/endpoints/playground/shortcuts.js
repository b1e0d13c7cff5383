// The keyboard: single keys, which the user may switch off, and a dialog that shows them.

import { byId, element } from "./dom.js";

const KEYS = "agent_asgi.keys";

/**
 * Listen to single keys outside of fields.
 * @param {[string, string, () => void][]} shortcuts - Keys, with what they do in words and as a function.
 */
export function listen(shortcuts) {
  const enabled = byId("single-keys");
  enabled.checked = sessionStorage.getItem(KEYS) !== "off";
  enabled.addEventListener("change", () => sessionStorage.setItem(KEYS, enabled.checked ? "on" : "off"));
  byId("help").addEventListener("click", () => byId("shortcuts").showModal());
  const rows = shortcuts.map(([key, label]) => element("div", {}, element("dt", {}, element("kbd", {}, key)), element("dd", {}, label)));
  byId("keys").append(...rows);
  addEventListener("keydown", (event) => {
    if (!enabled.checked || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    const shortcut = shortcuts.find(([key]) => key === event.key);
    if (!shortcut || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    shortcut[2]();
  });
}

function isTyping(target) {
  return target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.nodeName);
}
