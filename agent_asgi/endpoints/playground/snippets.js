// The request of a turn as code: curl, Python and JavaScript.

import { token } from "./client.js";
import { codeView } from "./code.js";
import { element } from "./dom.js";

const MAX_DATA = 200;
const LANGUAGES = { curl: ["curl", "shell", curl], python: ["Python", "python", python], javascript: ["JavaScript", "javascript", javascript] };

/** Return the code of a request, one block for each language. */
export function snippetsView(body) {
  const base = new URL("v1", document.baseURI).href;
  const short = shortened(body);
  const views = Object.values(LANGUAGES).map(([title, language, write]) => element("section", {}, element("h3", {}, title), codeView(write(short, base), language)));
  return element("div", { class: "snippets" }, views);
}

// Attachments would fill pages.
function shortened(value) {
  if (typeof value === "string") return value.length > MAX_DATA && /^(data:|[A-Za-z0-9+/=]+$)/.test(value) ? `${value.slice(0, 60)}…` : value;
  if (Array.isArray(value)) return value.map(shortened);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, shortened(each)]));
}

function curl(body, base) {
  const json = JSON.stringify({ ...body, stream: true }, null, 2).replaceAll("'", "'\\''");
  const lines = [`curl -N ${base}/responses`, "-H 'content-type: application/json'"];
  if (token.get()) lines.push('-H "authorization: Bearer $TOKEN"');
  return [...lines, `-d '${json}'`].join(" \\\n  ");
}

function python(body, base) {
  const key = token.get() ? 'os.environ["TOKEN"]' : '"none"';
  const fields = Object.entries(body).map(([name, value]) => `    ${name}=${literal(value, 1)},`);
  return [
    ...(token.get() ? ["import os", ""] : []),
    "from openai import OpenAI",
    "",
    `client = OpenAI(base_url="${base}", api_key=${key})`,
    "",
    "stream = client.responses.create(",
    ...fields,
    "    stream=True,",
    ")",
    "for event in stream:",
    '    if event.type == "response.output_text.delta":',
    '        print(event.delta, end="")',
  ].join("\n");
}

// Return a value as Python writes it.
function literal(value, depth) {
  const indent = "    ".repeat(depth);
  if (value === null || value === undefined) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const pairs = Array.isArray(value)
    ? value.map((each) => literal(each, depth + 1))
    : Object.entries(value).map(([key, each]) => `${JSON.stringify(key)}: ${literal(each, depth + 1)}`);
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  if (!pairs.length) return open + close;
  return `${open}\n${pairs.map((pair) => `${indent}    ${pair},\n`).join("")}${indent}${close}`;
}

function javascript(body, base) {
  const key = token.get() ? "process.env.TOKEN" : '"none"';
  const json = JSON.stringify({ ...body, stream: true }, null, 2);
  return [
    'import OpenAI from "openai";',
    "",
    `const client = new OpenAI({ baseURL: "${base}", apiKey: ${key} });`,
    "",
    `const stream = await client.responses.create(${json});`,
    "for await (const event of stream) {",
    '  if (event.type === "response.output_text.delta") process.stdout.write(event.delta);',
    "}",
  ].join("\n");
}
