from pathlib import Path

from starlette.staticfiles import StaticFiles

from agent_asgi import AgentApp, AgentRouter, ResponsesRequest

router = AgentRouter("tutor")


@router.invoke
async def tutor(request: ResponsesRequest) -> str:
    return f"{len(request.input)}. You asked: {request.input_text}"


app = AgentApp(router, fallback=StaticFiles(directory=Path(__file__).parent / "web", html=True))
