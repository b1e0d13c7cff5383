// The settings of the requests: instructions, temperature, tools, the schema of the output, metadata.

import { element, parsedJson, textButton } from "./dom.js";

const KEY = "agent_asgi.settings";
const TOOLS = '[{"type": "function",\n  "name": "get_weather",\n  "parameters": {"type": "object",\n    "properties": {\n      "city": {"type": "string"}}}}]';
const SCHEMA = '{"type": "object",\n  "properties": {\n    "answer": {"type": "number"}},\n  "required": ["answer"],\n  "additionalProperties": false}';

export class SettingsView {
  #fields = {
    instructions: element("textarea", { rows: "4", placeholder: "In addition to the agent's own" }),
    temperature: element("input", { type: "number", min: "0", max: "2", step: "0.1", placeholder: "0 to 2" }),
    tools: element("textarea", { rows: "5", spellcheck: "false", class: "mono", placeholder: TOOLS }),
    schema: element("textarea", { rows: "5", spellcheck: "false", class: "mono", placeholder: SCHEMA }),
    metadata: element("textarea", { rows: "2", spellcheck: "false", class: "mono", placeholder: '{"topic": "maths"}' }),
  };
  #problems = {};
  node = element("form", { class: "settings" });

  // `changed()` is called after each change.
  constructor(changed) {
    const labels = { instructions: "Instructions", temperature: "Temperature", tools: "Tools (JSON)", schema: "Output schema (JSON)", metadata: "Metadata (JSON)" };
    const saved = JSON.parse(sessionStorage.getItem(KEY) ?? "{}");
    for (const [name, field] of Object.entries(this.#fields)) {
      field.id = `setting-${name}`;
      field.value = saved[name] ?? "";
      const problem = (this.#problems[name] = element("p", { class: "problem", id: `${field.id}-problem`, hidden: true }));
      field.setAttribute("aria-describedby", problem.id);
      this.node.append(element("div", { class: "field" }, element("label", { for: field.id }, labels[name]), field, problem));
    }
    const change = () => {
      this.#save();
      changed();
    };
    this.node.addEventListener("input", change);
    this.node.addEventListener("submit", (event) => event.preventDefault());
    this.node.append(textButton("Reset", () => {
      for (const field of Object.values(this.#fields)) field.value = "";
      change();
    }, { class: "outlined" }));
    this.#check();
  }

  #save() {
    const values = Object.entries(this.#fields).map(([name, { value }]) => [name, value]);
    sessionStorage.setItem(KEY, JSON.stringify(Object.fromEntries(values)));
    this.#check();
  }

  // Show what is wrong with each field; return the first that is.
  #check() {
    const checks = {
      temperature: (field) => (field.checkValidity() ? "" : "A number from 0 to 2."),
      tools: (field) => (Array.isArray(jsonOf(field)) ? "" : "A JSON list of tools."),
      schema: (field) => (isObject(jsonOf(field)) ? "" : "A JSON schema: an object."),
      metadata: (field) => (isObject(jsonOf(field)) ? "" : "A JSON object with texts."),
    };
    let first = null;
    for (const [name, check] of Object.entries(checks)) {
      const field = this.#fields[name];
      const problem = field.value.trim() || !field.checkValidity() ? check(field) : "";
      this.#problems[name].textContent = problem;
      this.#problems[name].hidden = !problem;
      field.setAttribute("aria-invalid", String(Boolean(problem)));
      if (problem) first ??= field;
    }
    return first;
  }

  /** Return the fields of a request; null, with the first wrong field focused, if one is wrong. */
  read() {
    const wrong = this.#check();
    if (wrong) {
      wrong.focus();
      return null;
    }
    const { instructions, temperature, tools, schema, metadata } = this.#fields;
    const body = {};
    if (instructions.value.trim()) body.instructions = instructions.value.trim();
    if (temperature.value) body.temperature = Number(temperature.value);
    if (tools.value.trim()) body.tools = jsonOf(tools);
    if (schema.value.trim()) body.text = { format: { type: "json_schema", name: "output", schema: jsonOf(schema) } };
    if (metadata.value.trim()) body.metadata = jsonOf(metadata);
    return body;
  }

  get valid() {
    return this.#check() === null;
  }
}

function jsonOf(field) {
  return parsedJson(field.value);
}

function isObject(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}
