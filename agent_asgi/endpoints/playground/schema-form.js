// A form for a value of a JSON schema; what the form has no field for is written as JSON.

import { element, parsedJson, pretty, textButton, visible } from "./dom.js";

const MAX_DEPTH = 4;
let count = 0;

export class SchemaForm {
  /**
   * @param {object} schema
   * @param {unknown} value - What the fields show at first.
   */
  constructor(schema, value) {
    this.json = element("textarea", { rows: "6", "aria-label": "JSON", hidden: true, spellcheck: "false" });
    this.form = fieldOf("", schema, value, true, schema, 0);
    this.toggle = textButton("Edit as JSON", () => this.#switch());
    this.error = element("p", { class: "problem", role: "alert", hidden: true });
    this.node = element("div", { class: "schema-form" }, this.form.node, this.json, this.error, this.toggle);
  }

  #switch() {
    const toJson = this.json.hidden;
    if (toJson) this.json.value = pretty(this.#quietly() ?? {});
    this.json.hidden = !toJson;
    this.form.node.hidden = toJson;
    this.toggle.hidden = toJson; // what was written may not fit the form
  }

  #quietly() {
    try {
      return this.form.read();
    } catch {
      return undefined;
    }
  }

  /** Return the value; undefined, with the reason shown, if a field is wrong. */
  read() {
    this.error.hidden = true;
    try {
      return this.json.hidden ? this.form.read() : jsonOf(this.json.value, "The JSON");
    } catch (error) {
      this.error.textContent = error.message;
      this.error.hidden = false;
      return undefined;
    }
  }
}

/** Return a schema that a value fits. */
export function schemaOf(value) {
  if (Array.isArray(value)) return { type: "array" };
  if (value === null || typeof value !== "object") return value === null ? {} : { type: typeof value };
  const properties = Object.entries(value).map(([name, each]) => [name, schemaOf(each)]);
  return { type: "object", properties: Object.fromEntries(properties), required: Object.keys(value) };
}

function fieldOf(name, given, value, required, root, depth) {
  const schema = resolved(given, root, depth);
  value ??= schema.default;
  const choices = schema.enum ?? (schema.const === undefined ? null : [schema.const]);
  if (choices) return choice(name, schema, choices, value, required);
  const isObject = schema.properties && depth < MAX_DEPTH;
  if (isObject) return group(name, schema, value, required, root, depth);
  const kind = Array.isArray(schema.type) ? schema.type.find((each) => each !== "null") : schema.type;
  return (FIELDS[kind] ?? jsonField)(name, schema, value, required);
}

// Follow references, and take the first of several schemas that is not null's.
function resolved(schema, root, depth) {
  for (let steps = 0; steps < 10 && schema; steps++) {
    const some = schema.anyOf ?? schema.oneOf;
    if (typeof schema.$ref === "string") schema = { ...at(root, schema.$ref), ...schema, $ref: undefined };
    else if (Array.isArray(some) && depth < MAX_DEPTH) {
      schema = { ...some.find((each) => each?.type !== "null"), ...schema, anyOf: undefined, oneOf: undefined };
    } else return schema;
  }
  return {};
}

function at(root, path) {
  return path.replace(/^#\/?/, "").split("/").reduce((value, key) => value?.[decodeURIComponent(key)], root) ?? {};
}

function labelled(name, schema, required, input) {
  const id = `field-${++count}`;
  input.id = id;
  const title = `${visible(schema.title ?? name) || "Value"}${required ? "" : " (optional)"}`;
  const hint = schema.description ? element("p", { class: "note", id: `${id}-hint` }, visible(schema.description)) : null;
  if (hint) input.setAttribute("aria-describedby", hint.id);
  return element("div", { class: "field" }, element("label", { for: id }, title), input, hint);
}

function group(name, schema, value, required, root, depth) {
  const needed = new Set(schema.required ?? []);
  const fields = Object.entries(schema.properties).map(([key, each]) => [key, fieldOf(key, each, value?.[key], needed.has(key), root, depth + 1)]);
  const legend = name ? element("legend", {}, visible(schema.title ?? name)) : null;
  const read = () => {
    const found = fields.map(([key, field]) => [key, field.read()]).filter(([, each]) => each !== undefined);
    return found.length || required ? Object.fromEntries(found) : undefined;
  };
  return { node: element(name ? "fieldset" : "div", { class: "fields" }, legend, fields.map(([, field]) => field.node)), read };
}

function choice(name, schema, choices, value, required) {
  const options = choices.map((each, number) => element("option", { value: number, selected: each === value }, visible(String(each))));
  if (!required) options.unshift(element("option", { value: "" }, "–"));
  const input = element("select", {}, options);
  return { node: labelled(name, schema, required, input), read: () => (input.value === "" ? undefined : choices[input.value]) };
}

const FIELDS = { string: textField, number: numberField, integer: numberField, boolean: booleanField };

function textField(name, schema, value, required) {
  const long = String(value ?? "").length > 60 || /\n/.test(value ?? "") || schema.maxLength > 200;
  const input = long ? element("textarea", { rows: "4" }) : element("input", { type: schema.format === "date" ? "date" : "text" });
  input.value = value ?? "";
  return { node: labelled(name, schema, required, input), read: () => (input.value === "" && !required ? undefined : input.value) };
}

function numberField(name, schema, value, required) {
  const input = element("input", { type: "number", step: schema.type === "integer" ? "1" : "any", min: schema.minimum, max: schema.maximum });
  input.value = value ?? "";
  const read = () => {
    if (input.value === "" && !required && !input.validity.badInput) return undefined;
    if (input.value === "" || !input.checkValidity()) throw new Error(`${schema.title ?? name}: ${input.validationMessage || "a number is required."}`);
    return Number(input.value);
  };
  return { node: labelled(name, schema, required, input), read };
}

function booleanField(name, schema, value) {
  const input = element("input", { type: "checkbox" });
  input.checked = value === true;
  return { node: labelled(name, schema, true, input), read: () => input.checked };
}

function jsonField(name, schema, value, required) {
  const input = element("textarea", { rows: "3", spellcheck: "false" });
  input.value = value === undefined ? "" : pretty(value);
  const read = () => (input.value.trim() === "" && !required ? undefined : jsonOf(input.value, schema.title ?? name));
  return { node: labelled(name, schema, required, input), read };
}

function jsonOf(text, name) {
  const value = parsedJson(text);
  if (value === undefined) throw new Error(`${name || "Value"}: this is not JSON.`);
  return value;
}
