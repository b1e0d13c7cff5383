from agent_asgi import AgentApp, AgentRouter, ResponsesRequest
from agent_asgi.protocols import A2A, MCP

router = AgentRouter("weather", description="Answers questions about the weather.")


@router.invoke
async def weather(request: ResponsesRequest) -> str:
    return f"You ask: {request.input_text} It will be sunny."


app = AgentApp(router, protocols=[A2A(), MCP()], continue_trace=True)
