"""An agent that asks before it deletes a file."""

import json
from collections.abc import AsyncIterator

from agent_asgi import AgentApp, AgentRouter, ApprovalRequest, Context, Output, ResponsesRequest

router = AgentRouter("files")


@router.stream
async def files(request: ResponsesRequest, context: Context) -> AsyncIterator[Output]:
    if not context.approvals:
        yield "That deletes a file. "
        yield ApprovalRequest("delete_file", {"path": "reports/may.txt"})
        return
    answer = context.approvals[0]
    asked = {item.id: item for item in request.input if isinstance(item, ApprovalRequest)}
    call = answer.arguments or json.loads(str(asked[answer.approval_request_id].arguments))
    if answer.approve:
        yield f"{call['path']} is deleted."
    else:
        yield f"Nothing is deleted: {answer.reason}"


app = AgentApp(router)
