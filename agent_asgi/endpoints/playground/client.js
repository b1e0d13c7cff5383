// HTTP requests: JSON answers, and streams of server-sent events.

const TOKEN = "agent_asgi.token";
const PAUSES = [200, 500, 1000, 2000, 4000, 8000, 8000, 8000];

// An answer of 4xx or 5xx, or no answer.
class ServerError extends Error {
  constructor(message, status = 0, code = null) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export const token = {
  get: () => sessionStorage.getItem(TOKEN) ?? "",
  set: (value) => sessionStorage.setItem(TOKEN, value),
};

// Paths are relative to the page, so that the app may be mounted anywhere.
async function request(path, { body, ...options } = {}) {
  const headers = { "x-mlflow-return-trace-id": "true" };
  if (token.get()) headers.authorization = `Bearer ${token.get()}`;
  if (body !== undefined) {
    headers["content-type"] = "application/json";
    options = { method: "POST", body: JSON.stringify(body), ...options };
  }
  let answer;
  try {
    answer = await fetch(path, { headers, cache: "no-store", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerError("The server does not answer.");
  }
  if (answer.ok) return answer;
  const { error } = await answer.json().catch(() => ({}));
  throw new ServerError(error?.message ?? `The server answered ${answer.status}.`, answer.status, error?.code);
}

export async function getJson(path, options) {
  return (await request(path, options)).json();
}

export async function postJson(path, body = {}) {
  return (await request(path, { body })).json();
}

export async function remove(path) {
  await request(path, { method: "DELETE" });
}

// Yield the entries of a list, page by page, up to `most`.
export async function* entriesOf(path, most = Infinity) {
  for (let after = "", count = 0; ; ) {
    const page = await getJson(`${path}${path.includes("?") ? "&" : "?"}limit=100${after}`);
    for (const entry of page.data) if (count++ < most) yield entry;
    if (!page.has_more || count >= most) return;
    after = `&after=${encodeURIComponent(page.last_id)}`;
  }
}

export function responsePath(id) {
  return `v1/responses/${encodeURIComponent(id)}`;
}

export function conversationPath(id) {
  return `v1/conversations/${encodeURIComponent(id)}`;
}

// Start a run; yield its events as plain objects.
export async function* run(body, { signal, onTrace }) {
  const answer = await request("v1/responses", { body: { ...body, stream: true }, signal });
  const trace = answer.headers.get("x-mlflow-trace-id");
  if (trace) onTrace(trace);
  yield* eventsOf(answer);
}

// Yield the events of a stored response; those after `after` if that is a number.
// If the connection is lost, continue after the last event.
export async function* follow(id, { signal, after = null }) {
  for (let failures = 0; ; ) {
    let ended = false;
    try {
      const query = after === null ? "" : `&starting_after=${after}`;
      const answer = await request(`${responsePath(id)}?stream=true${query}`, { signal });
      for await (const event of eventsOf(answer)) {
        failures = 0;
        after = event.sequence_number ?? after;
        ended = isTerminal(event);
        yield event;
      }
      if (ended) return;
    } catch (error) {
      if (error.name === "AbortError" || (error.status >= 400 && error.status < 500)) throw error;
    }
    if (ended || signal.aborted) return;
    if (failures >= PAUSES.length) throw new ServerError("The connection was lost. Reload the page to try again.");
    await pause(PAUSES[failures++]);
  }
}

export function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

export function isTerminal(event) {
  return ["response.completed", "response.failed", "response.incomplete"].includes(event.type);
}

async function* eventsOf(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let unread = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const frames = (unread + value).split("\n\n");
      unread = frames.pop();
      for (const frame of frames) {
        const data = dataOf(frame);
        if (data === "[DONE]") return;
        if (data) yield JSON.parse(data);
      }
    }
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerError("The connection was lost.");
  } finally {
    reader.cancel().catch(() => {});
  }
}

function dataOf(frame) {
  const lines = frame.split("\n").filter((line) => line.startsWith("data:"));
  return lines.map((line) => line.slice(5).trimStart()).join("\n");
}
