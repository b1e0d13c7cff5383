"""An agent on a Ray cluster: several replicas behind Ray Serve, one PostgreSQL.

export AGENT_ASGI_STORE=postgresql://agents@localhost/agents
serve run ray_agent:served
curl -N 127.0.0.1:8000/responses -d '{"input": "20", "stream": true}'
"""

import asyncio
from collections.abc import AsyncIterator

from ray import serve

from agent_asgi import AgentApp, AgentRouter, Context, Limits, ResponsesRequest, Timeouts

PAUSE = 0.05
TIMEOUTS = Timeouts(drain=30, cleanup=5)
STREAMS = 200
"""Target number of streams per replica. It accepts twice as many while Serve adds replicas."""
LIMITS = Limits(worker_concurrency=100)
"""Serve does not count background runs, so this limits them."""

router = AgentRouter("counter", description="Counts to a number, through the loss of a replica")


@router.stream
async def count(request: ResponsesRequest, context: Context) -> AsyncIterator[str]:
    """Stream each number once, on any replica."""
    said = [event for event in context.previous_events if event["type"].endswith("text.delta")]
    for number in range(len(said), int(request.input_text)):
        yield f"{number} "
        await asyncio.sleep(PAUSE)


def app() -> AgentApp:
    """Make the app of one replica; Serve calls this in each."""
    return AgentApp(router, timeouts=TIMEOUTS, limits=LIMITS)


deployment = serve.deployment(
    serve.ingress(app)(),
    name="agents",
    max_ongoing_requests=2 * STREAMS,
    autoscaling_config={
        "min_replicas": 2,
        "max_replicas": 8,
        "target_ongoing_requests": STREAMS,
    },
    graceful_shutdown_timeout_s=2 * TIMEOUTS.drain + TIMEOUTS.cleanup + 30,
    ray_actor_options={"num_cpus": 1},
)
served = deployment.bind()
