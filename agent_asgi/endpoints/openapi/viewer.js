// Swagger UI with the document of the app that serves this page.

const TOKEN = "agent_asgi.token"; // the playground's too: one entry serves both pages
const form = document.querySelector("form");
const field = document.getElementById("token");
const status = document.getElementById("status");

// Load the document, which may need a token, and show it. The page itself needs none.
async function load() {
  const token = sessionStorage.getItem(TOKEN) ?? "";
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  const answer = await fetch("openapi.json", { headers, cache: "no-store" });
  form.hidden = answer.status !== 401;
  if (answer.ok) show(await answer.json(), token);
  else status.textContent = await reason(answer);
  if (!form.hidden) field.focus();
}

async function reason(answer) {
  const { error } = await answer.json().catch(() => ({}));
  return error?.message ?? `The server answered ${answer.status}.`;
}

function show(spec, token) {
  status.textContent = "";
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
  load().catch(() => {
    status.textContent = "The server does not answer. Reload the page to try again.";
  });
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(TOKEN, field.value.trim());
  start();
});
start();
