"""Custom JSON that nothing validates."""

from mlflow.genai.agent_server import AgentServer, invoke, stream


@invoke()
async def add(request: dict) -> dict:
    return {"sum": sum(request["numbers"])}


@stream()
async def count(request: dict):
    for number in request["numbers"]:
        yield {"number": number}


agent_server = AgentServer()
app = agent_server.app

if __name__ == "__main__":
    agent_server.run(app_import_string="any_json:app")
