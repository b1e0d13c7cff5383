from collections.abc import AsyncIterator

from agent_asgi import AgentApp, AgentRouter, Message, ResponsesRequest
from agent_asgi.schema.items import InputFile, InputImage

router = AgentRouter("describer")


@router.stream
async def describe(request: ResponsesRequest) -> AsyncIterator[str]:
    for item in request.new_input:
        if not isinstance(item, Message) or isinstance(item.content, str):
            continue
        for part in item.content:
            if isinstance(part, InputImage):
                yield f"An image of {len(part.image_url or '')} characters. "
            elif isinstance(part, InputFile):
                yield f"A file named {part.filename}. "


app = AgentApp(router)
