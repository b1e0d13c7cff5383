from collections.abc import AsyncIterator

from agent_asgi import AgentApp, AgentRouter, Output, ResponsesRequest
from agent_asgi.protocols import AGUI

router = AgentRouter("cook")


@router.stream
async def cook(request: ResponsesRequest) -> AsyncIterator[Output]:
    state = (request.custom_inputs or {})["state"]
    yield "I add the salt."
    yield {"type": "agui:state_snapshot", "snapshot": {"steps": [*state["steps"], "salt"]}}


app = AgentApp(router, protocols=[AGUI()])
