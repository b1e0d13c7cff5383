"""Custom JSON that nothing validates."""

from agent_asgi import AgentApp, AgentRouter

router = AgentRouter("any-json", protocol="json")


@router.invoke()
async def add(request: dict) -> dict:
    return {"sum": sum(request["numbers"])}


@router.stream()
async def count(request: dict):
    for number in request["numbers"]:
        yield {"number": number}


app = AgentApp(router)

if __name__ == "__main__":
    app.run("any_json:app")
