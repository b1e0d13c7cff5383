// Swagger UI with the document of the app that serves this page.

const TOKEN = "agent_asgi.token"; // the playground's too: one entry serves both pages
const access = document.getElementById("access");
const form = document.querySelector("form");
const field = document.getElementById("token");
const status = document.getElementById("status");

// Load the document, which may need a token, and show it. The page itself needs none.
async function load() {
  const token = sessionStorage.getItem(TOKEN) ?? "";
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  const answer = await fetch("openapi.json", { headers, cache: "no-store" });
  if (answer.ok) return show(await answer.json(), token);
  explain(await reason(answer));
  form.hidden = answer.status !== 401;
  if (!form.hidden) field.focus();
}

function explain(text) {
  status.textContent = text;
  access.hidden = false;
}

async function reason(answer) {
  const { error } = await answer.json().catch(() => ({}));
  return error?.message ?? `The server answered ${answer.status}.`;
}

function show(spec, token) {
  access.hidden = true;
  document.title = `${spec.info.title} · API`;
  spec.servers = [{ url: new URL(".", location).href }]; // right behind any proxy
  const ui = SwaggerUIBundle({
    spec,
    dom_id: "#viewer",
    deepLinking: true,
    defaultModelsExpandDepth: 0,
    displayRequestDuration: true,
    tryItOutEnabled: true,
    validatorUrl: null,
    onComplete: () => token && spec.components.securitySchemes && ui.preauthorizeApiKey("token", token),
  });
}

function start() {
  load().catch(() => explain("The server does not answer. Reload the page to try again."));
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(TOKEN, field.value.trim());
  start();
});
start();
