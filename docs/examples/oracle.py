from collections.abc import AsyncIterator

from agent_asgi import AgentApp, AgentRouter, Output, ResponsesRequest
from agent_asgi.protocols import MCP

router = AgentRouter("oracle", description="Answers questions about the weather.")


@router.stream
async def oracle(request: ResponsesRequest) -> AsyncIterator[Output]:
    yield f"You ask: {request.input_text} It will be sunny."


app = AgentApp(router, protocols=[MCP()])
