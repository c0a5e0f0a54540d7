"""A study as a file: CSV, JSON or JSON lines, as `sweep export` writes it."""

import io
import tempfile
from collections.abc import Iterator
from typing import IO, Annotated, Literal

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from starlette.background import BackgroundTask

from sweep.serve.api.parameters import StudyName
from sweep.serve.context import ServiceDependency
from sweep.view.export import write_study

MEDIA_TYPES = {"csv": "text/csv; charset=utf-8", "json": "application/json", "jsonl": "application/x-ndjson"}
_IN_MEMORY = 1 << 20
_CHUNK = 1 << 16

router = APIRouter(prefix="/api/studies", tags=["runs"])


@router.get("/{study}/export", response_class=StreamingResponse)
def export_study(
    study: StudyName,
    service: ServiceDependency,
    format: Annotated[Literal["csv", "json", "jsonl"], Query(description="How it is written.")] = "csv",
) -> StreamingResponse:
    """Every trial with its exact parameters and every metric of every epoch."""
    record = service.study(study)
    file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115  closed when it has been sent
    text = io.TextIOWrapper(file, encoding="utf-8", errors="replace", newline="", write_through=True)
    write_study(service.store, record, format, text)
    text.detach()
    file.seek(0)
    name = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "._-") else "_" for letter in study)
    headers = {"content-disposition": f'attachment; filename="{name}.{format}"'}
    closing = BackgroundTask(file.close)  # also where the client goes before it has read anything
    return StreamingResponse(_parts(file), media_type=MEDIA_TYPES[format], headers=headers, background=closing)


def _parts(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while part := file.read(_CHUNK):
            yield part
