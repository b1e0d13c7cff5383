"""A `ResponsesAgent` behind two handlers."""

from mlflow.genai.agent_server import AgentServer, invoke, stream
from mlflow.types.responses import ResponsesAgentRequest, ResponsesAgentResponse

from tests.support.shop_model import Shop

AGENT = Shop()


@invoke()
def non_streaming(request: ResponsesAgentRequest) -> ResponsesAgentResponse:
    return AGENT.predict(request)


@stream()
def streaming(request: ResponsesAgentRequest):
    yield from AGENT.predict_stream(request)


agent_server = AgentServer("ResponsesAgent")
app = agent_server.app

if __name__ == "__main__":
    agent_server.run(app_import_string="responses_agent:app")
