// Human in the loop: the forms that answer a call of a client's tool or an approval request.

import { element, parsedJson, textButton } from "./dom.js";
import { schemaOf, SchemaForm } from "./schema-form.js";

/**
 * Return the form that answers an item.
 * @param {object} item - A `function_call` or an `mcp_approval_request`.
 * @param {object | undefined} tool - The request's definition of the tool.
 * @param {(answer: object) => void} send - Gets the input item that answers.
 */
export function answerForm(item, tool, send) {
  return item.type === "mcp_approval_request" ? approvalForm(item, send) : resultForm(item, tool, send);
}

function resultForm(item, tool, send) {
  const schema = outputSchema(item, tool);
  const form = schema ? new SchemaForm(schema) : null;
  const text = element("textarea", { rows: "3", "aria-label": `Result of ${item.name}`, placeholder: "Text or JSON" });
  const submit = (event) => {
    event.preventDefault();
    const value = form ? form.read() : text.value;
    if (value === undefined) return;
    const output = typeof value === "string" ? value : JSON.stringify(value);
    send({ type: "function_call_output", call_id: item.call_id, output });
  };
  return element(
    "form",
    { class: "reply", submit },
    element("p", { class: "note" }, "The agent waits for the result of this call."),
    form ? form.node : text,
    element("div", { class: "row" }, element("button", { type: "submit", class: "primary" }, "Send result")),
  );
}

// What a result looks like is said by the tool, or by the question that is the call.
function outputSchema({ arguments: text }, tool) {
  const given = parsedJson(text ?? "");
  const schemas = [tool?.output_schema, tool?.outputSchema, given?.requestedSchema, given?.response_schema, given?.schema];
  return schemas.find((schema) => schema && typeof schema === "object" && (schema.properties || schema.type || schema.enum));
}

function approvalForm(item, send) {
  const given = parsedJson(item.arguments ?? "");
  const reason = element("input", { type: "text", "aria-label": "Reason", placeholder: "Reason (optional)", maxlength: "10000" });
  const form = given && typeof given === "object" ? new SchemaForm(schemaOf(given), given) : null;
  if (form) form.node.hidden = true;
  const edit = form && textButton("Edit the arguments", () => {
    form.node.hidden = !form.node.hidden;
    edit.setAttribute("aria-expanded", String(!form.node.hidden));
  }, { "aria-expanded": "false" });
  const decide = (approve) => () => {
    const changed = approve && form && !form.node.hidden ? form.read() : given;
    if (changed === undefined && form) return;
    const answer = { type: "mcp_approval_response", approval_request_id: item.id, approve };
    if (reason.value.trim()) answer.reason = reason.value.trim();
    if (JSON.stringify(changed) !== JSON.stringify(given)) answer["agent_asgi:arguments"] = changed;
    send(answer);
  };
  const buttons = element(
    "div",
    { class: "row" },
    element("button", { type: "button", class: "primary", click: decide(true) }, "Approve"),
    element("button", { type: "button", class: "outlined", click: decide(false) }, "Reject"),
    edit,
  );
  const stop = (event) => event.preventDefault();
  return element("form", { class: "reply", submit: stop }, element("p", { class: "note" }, "The agent asks before it does this."), form?.node, reason, buttons);
}

/** Say what an answer was. */
export function said(answer) {
  if (answer.type !== "mcp_approval_response") return "answered";
  const approved = changedArguments(answer) ? "approved with changes" : "approved";
  const decision = answer.approve ? approved : "rejected";
  return answer.reason ? `${decision}: ${answer.reason}` : decision;
}

/** Return the arguments that an answer has changed. */
export function changedArguments(answer) {
  return answer?.["agent_asgi:arguments"];
}
