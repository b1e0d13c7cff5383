"""A `ResponsesAgent` behind two handlers."""

from agent_asgi import AgentApp
from agent_asgi.adapters.mlflow import router_from_model
from tests.support.shop_model import Shop

AGENT = Shop()


app = AgentApp(router_from_model(AGENT))

if __name__ == "__main__":
    app.run("responses_agent:app")
