"""TensorBoard's addresses: each study's TensorBoard stands at `/tensorboard/STUDY/`."""

from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.concurrency import run_in_threadpool

from sweep.serve.board import ENVIRONMENT, STUB, is_allowed
from sweep.serve.context import ServiceDependency
from sweep.serve.problems import NotFound

METHODS = ["GET", "HEAD", "POST"]

router = APIRouter(include_in_schema=False)


@router.get("/tensorboard/{name}")
def board_slash(request: Request, name: str, service: ServiceDependency) -> Response:
    """To the address that the pages' own are relative to; the part behind `#` is kept by browsers."""
    study = service.study(name)
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"/tensorboard/{quote(study.name)}/{query}", 307)


@router.api_route("/tensorboard/{name}/{path:path}", methods=METHODS)
async def board(request: Request, name: str, path: str, service: ServiceDependency) -> Response:
    """A study's TensorBoard."""
    if path != ENVIRONMENT and not is_allowed(path):
        raise NotFound(f"No such address: {path}.")
    study = await run_in_threadpool(service.study, name)
    if path == ENVIRONMENT:
        return JSONResponse(STUB)
    return await service.boards.ask(await service.boards.of(study), request, path)
