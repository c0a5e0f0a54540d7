"""The stream of what happens in a study."""

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from sweep.serve.api.parameters import StudyName
from sweep.serve.context import ClientDependency, ServiceDependency

router = APIRouter(prefix="/api/studies", tags=["events"])


@router.get("/{study}/events", response_class=StreamingResponse)
async def stream_events(study: StudyName, service: ServiceDependency, client: ClientDependency) -> StreamingResponse:
    """Server-sent events of a study: `study`, `start`, `epoch`, `end` and `best`, their data JSON objects."""
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(
        await service.streams.listen(study, client), media_type="text/event-stream; charset=utf-8", headers=headers
    )
