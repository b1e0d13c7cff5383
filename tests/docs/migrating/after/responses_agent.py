"""A `ResponsesAgent` behind two handlers."""

from agent_asgi import AgentApp
from tests.support.shop_model import Shop

AGENT = Shop()


app = AgentApp(AGENT)

if __name__ == "__main__":
    app.run("responses_agent:app")
