"""The clients: the rows of the table in docs/clients.md."""

from typing import Any

from tests.clients.expectations import COLUMNS, THRICE, TWICE, Client, Expected

Differs = dict[str, tuple[Expected, str]]
NO_CHAT_APPROVAL = {"approval": "Chat Completions has no approvals."}
CANCELLED: Differs = {
    "cancelled": (
        Expected({"status": "cancelled", "stored": "cancelled"}, ("cancelled",)),
        "A background run, cancelled by `responses.cancel`; other clients leave a stream.",
    )
}
SILENT_CHAT: Differs = {
    "no_usage": (
        Expected({"text": "You said: hello", "usage": None}),
        "Chat Completions leaves the usage out if the agent reports none.",
    )
}
STREAMED_TOOL = Expected({"streamed": "There are 3 lamps.", "pending": 0})
ALWAYS_STREAMS = "Over a WebSocket an answer is always a stream."
CODEX_STREAMS = "Codex always streams; `codex exec` shows whole messages."
LANES_DIFFER: Differs = {
    "own_tool": (STREAMED_TOOL, ALWAYS_STREAMS),
    "text": (
        Expected({"text": "You said: hello", "usage": [3, 4], "other": "You said: hi"}, TWICE),
        "Two lanes of one connection, asked at once.",
    ),
    "error_500": (
        Expected({"status": 500, "message": "The agent failed."}, ("failed",)),
        ALWAYS_STREAMS,
    ),
}
STREAMED_TOO: Differs = {
    "client_tool": (
        Expected(
            COLUMNS["client_tool"].seen | {"streamed": COLUMNS["client_tool"].seen["text"]},
            THRICE + THRICE,
        ),
        "Once with `generateText`, once with `streamText`.",
    )
}
AI_SDK: Differs = STREAMED_TOO | {
    "error_500": (
        COLUMNS["error_500"],
        "The AI SDK runs a failed agent again unless `maxRetries` is 0, as here.",
    )
}
STATUS_ALONE = "@ai-sdk/open-responses shows the status alone if the error has no `param`."
OPEN_RESPONSES: Differs = STREAMED_TOO | {
    "error_400": (
        Expected({"status": 400, "message": "Bad Request"}, ("failed",)),
        STATUS_ALONE,
    ),
    "error_500": (
        Expected(
            {
                "status": 500,
                "message": "Internal Server Error",
                "streamed": "Internal Server Error",
            },
            ("failed", "failed"),
        ),
        STATUS_ALONE,
    ),
}
NO_OPEN_APPROVAL = {"approval": "@ai-sdk/open-responses does not support `mcp_approval_request`."}
DATABRICKS: Differs = {
    "own_tool": (
        STREAMED_TOOL,
        "With `streamText`; the provider marks the agent's tools in streams only.",
    ),
    "client_tool": (
        COLUMNS["client_tool"],
        "With `generateText`; in a stream the provider passes each call on twice.",
    ),
}
SCHEMA_ECHO = (
    "Without strict validation: Open Responses' schema makes `text.format.schema` null in a"
    " response, which the client's types do not allow."
)
OWN_TEXT = (
    "Codex shows its own text for a 500, and runs a failed agent again unless"
    " `request_max_retries` is 0, as here."
)
MESSAGE_ALONE = "Codex shows the error's message without its status."
CODEX: Any = {
    "packages": ("@openai/codex",),
    "language": "node",
    "absent": {
        "stream": CODEX_STREAMS,
        "approval": "Codex does not support `mcp_approval_request`.",
    },
    "differs": {
        "own_tool": (STREAMED_TOOL, CODEX_STREAMS),
        "client_tool": (COLUMNS["client_tool"], "Codex's own tool for commands."),
        "error_400": (
            Expected({"message": COLUMNS["error_400"].seen["message"]}, ("failed",)),
            MESSAGE_ALONE,
        ),
        "error_404": (
            Expected({"message": COLUMNS["error_404"].seen["message"]}, ()),
            MESSAGE_ALONE,
        ),
        "error_500": (
            Expected({"message": "We’re currently experiencing high demand"}, ("failed",)),
            OWN_TEXT,
        ),
        "cancelled": (
            Expected({"text": "none"}, ("cancelled",)),
            "Codex is interrupted, and shows no part of the message.",
        ),
    },
}

CODEX_WEBSOCKET: Differs = {
    "error_500": (
        Expected(CODEX["differs"]["error_500"][0].seen, ("failed", "failed")),
        "After an error over a WebSocket Codex asks once more, over HTTP.",
    )
}

CLIENTS = {
    "openai-python": Client(
        "openai-python, strict validation",
        ("openai",),
        "openai_python:Strict",
        differs=CANCELLED
        | {
            "structured": (
                COLUMNS["structured"],
                SCHEMA_ECHO,
            )
        },
    ),
    "openai-agents": Client(
        "OpenAI Agents SDK, Python",
        ("openai-agents",),
        "agents_python:AgentsSdk",
    ),
    "langchain": Client(
        "LangChain `ChatOpenAI`, Responses",
        ("langchain-openai",),
        "langchain_python:Responses",
    ),
    "langchain-chat": Client(
        "LangChain `ChatOpenAI`, Chat Completions",
        ("langchain-openai",),
        "langchain_python:Chat",
        absent=NO_CHAT_APPROVAL,
        differs=SILENT_CHAT,
    ),
    "pydantic-ai": Client(
        "Pydantic AI `OpenAIResponsesModel`",
        ("pydantic-ai-slim",),
        "pydantic_ai_python:Responses",
        absent={"approval": "Pydantic AI does not support `mcp_approval_request`."},
    ),
    "litellm": Client(
        "LiteLLM `responses`",
        ("litellm",),
        "litellm_python:Responses",
        differs=CANCELLED,
    ),
    "litellm-bridge": Client(
        "LiteLLM `completion`, bridged to Responses",
        ("litellm",),
        "litellm_python:Bridge",
        absent=NO_CHAT_APPROVAL,
    ),
    "openai-node": Client(
        "openai-node",
        ("openai",),
        "openai_node:http",
        "node",
        differs=CANCELLED,
    ),
    "openai-node-websocket": Client(
        "openai-node, WebSocket lanes",
        ("openai",),
        "openai_node_websocket:lanes",
        "node",
        differs=LANES_DIFFER,
    ),
    "openai-agents-js": Client(
        "OpenAI Agents SDK, JavaScript",
        ("@openai/agents",),
        "agents_js:sdk",
        "node",
    ),
    "ai6-openai": Client(
        "AI SDK 6, OpenAI's provider",
        ("ai6", "ai6-openai"),
        "ai_sdk:ai6OpenAI",
        "node",
        differs=AI_SDK,
    ),
    "ai6-open-responses": Client(
        "AI SDK 6, Open Responses provider",
        ("ai6", "ai6-open-responses"),
        "ai_sdk:ai6OpenResponses",
        "node",
        absent=NO_OPEN_APPROVAL,
        differs=OPEN_RESPONSES,
    ),
    "ai7-openai": Client(
        "AI SDK 7, OpenAI's provider",
        ("ai7", "ai7-openai"),
        "ai_sdk:ai7OpenAI",
        "node",
        differs=AI_SDK,
    ),
    "ai7-open-responses": Client(
        "AI SDK 7, Open Responses provider",
        ("ai7", "ai7-open-responses"),
        "ai_sdk:ai7OpenResponses",
        "node",
        absent=NO_OPEN_APPROVAL,
        differs=OPEN_RESPONSES,
    ),
    "databricks": Client(
        "AI SDK 6, Databricks' provider",
        ("ai6", "@databricks/ai-sdk-provider"),
        "ai_sdk:databricks",
        "node",
        differs=DATABRICKS,
    ),
    "codex": Client(
        "Codex CLI",
        program="codex:http",
        **CODEX,
    ),
    "codex-websocket": Client(
        "Codex CLI, WebSocket",
        program="codex:websocket",
        **CODEX | {"differs": CODEX["differs"] | CODEX_WEBSOCKET},
    ),
}
