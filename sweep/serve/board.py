"""TensorBoard behind the login: one process a study on a port of this host alone, started on demand, ended when idle.

The address that is asked is always our own process's, never taken from a request. A list says which of its paths and
parameters are passed on: what its page needs. Its flags are not among them, a stub is in their stead, nor is what reads
files beside the runs, as the projector does. Its pages may be framed by ours alone.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import anyio
import httpx
from fastapi import Request
from fastapi.responses import Response, StreamingResponse
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool

from sweep.control.tensorboard import TensorBoard
from sweep.serve.problems import Busy, Full
from sweep.store import StudyRecord

FIRST_PORT = 16006
IDLE_SECONDS = 15 * 60.0
MOST = 8
"""TensorBoards that run at once; one takes 80 to 700 MB."""

ENVIRONMENT = "data/environment"
"""What TensorBoard answers with its log directory and flags. Its page shows nothing without an answer: see `STUB`."""

STUB: Mapping[str, Any] = {
    "version": version("tensorboard"),
    "data_location": "",
    "window_title": "",
    "experiment_name": "",
    "experiment_description": "",
    "creation_time": 0,
    "debug": {},
}
"""What the service answers in its stead: all that the page asks for, and nothing of this machine."""

_PLUGINS = (
    *("audio", "custom_scalars", "distributions", "graphs", "histograms", "hparams", "images", "mesh", "pr_curves"),
    *("scalars", "text", "timeseries"),
)
_PATHS = re.compile(
    r"|index\.html|index\.js|chart_worker\.js|icon_bundle\.svg|favicon\.ico|font-roboto/[\w-]+\.(?:woff2|html)"
    r"|(?:experiment/defaultExperimentId/)?data/"
    rf"(?:runs|experiments|plugins_listing|plugin/(?:{'|'.join(_PLUGINS)})/[A-Za-z_]+)",
    re.ASCII,
)
_PARAMETERS = frozenset(
    [
        *("_file_hash", "blob_key", "columnsVisibility", "conceptual", "content_type", "experimentalPlugin", "format"),
        *("imageId", "index", "large_attrs_key", "limit_attr_size", "markdown", "request", "requests", "run", "sample"),
        *("step", "tag", "ts"),
    ]
)

_ASKED = ("accept", "accept-encoding", "accept-language", "content-type", "if-none-match", "if-modified-since", "range")
_ANSWERED = (
    *("content-type", "content-encoding", "content-length", "content-range", "accept-ranges", "etag", "last-modified"),
    *("cache-control", "expires", "vary", "content-security-policy", "x-content-type-options"),
)
_TIMEOUT = httpx.Timeout(120.0, connect=5.0)


@dataclass
class _Board:
    running: TensorBoard
    used: float = field(default_factory=time.monotonic)


class Boards:
    """The TensorBoards of one service; used in its event loop alone, but for `running`."""

    def __init__(self) -> None:
        self._boards: dict[int, _Board] = {}
        self._starting: dict[int, asyncio.Lock] = {}
        self._client = httpx.AsyncClient(timeout=_TIMEOUT, trust_env=False, follow_redirects=False)

    @property
    def running(self) -> int:
        """How many run."""
        return sum(board.running.alive for board in list(self._boards.values()))

    async def of(self, study: StudyRecord) -> "_Board":
        """The TensorBoard of a study, started if there is none, or it has died.

        Raises:
            Full: too many run.
            SweepError: it does not start.
        """
        async with self._starting.setdefault(study.study_id, asyncio.Lock()):
            board = self._boards.get(study.study_id)
            if board is None or not board.running.alive:
                await self.stop(study.study_id)
                if self.running >= MOST:
                    raise Full(
                        f"This service already runs {self.running} TensorBoards, which is the most it can.",
                        "Try again later.",
                    )
                port = FIRST_PORT + study.study_id % 1000
                started = await run_in_threadpool(TensorBoard, Path(study.directory), port)
                board = self._boards[study.study_id] = _Board(started)
        board.used = time.monotonic()
        return board

    async def stop(self, study_id: int) -> None:
        """End the TensorBoard of a study, if there is one."""
        board = self._boards.pop(study_id, None)
        if board is not None:
            await run_in_threadpool(board.running.stop)

    async def stop_idle(self) -> None:
        """End those that nobody has asked for a while."""
        late = time.monotonic() - IDLE_SECONDS
        for study_id in [key for key, board in self._boards.items() if board.used < late]:
            await self.stop(study_id)

    async def close(self) -> None:
        """End all."""
        for study_id in list(self._boards):
            await self.stop(study_id)
        await self._client.aclose()

    async def ask(self, board: _Board, request: Request, path: str) -> Response:
        """A request passed on to a TensorBoard, and its answer as it comes."""
        query = urlencode([(name, text) for name, text in request.query_params.multi_items() if name in _PARAMETERS])
        url = f"{board.running.url}{quote(path)}{f'?{query}' if query else ''}"
        headers = [(name, value) for name, value in request.headers.raw if name.decode("latin-1") in _ASKED]
        asked = self._client.build_request(request.method, url, headers=headers, content=await request.body())
        try:
            answer = await self._client.send(asked, stream=True)
        except httpx.HTTPError:
            raise Busy("TensorBoard did not answer.", "Try again shortly.") from None
        shown = {name: answer.headers[name] for name in _ANSWERED if name in answer.headers}
        shown["content-security-policy"] = framed(shown.get("content-security-policy", ""))
        return StreamingResponse(
            _parts(board, answer), answer.status_code, shown, background=BackgroundTask(answer.aclose)
        )


async def _parts(board: _Board, answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for part in answer.aiter_raw():
            board.used = time.monotonic()
            yield part
    except httpx.HTTPError:
        return  # TensorBoard has died in the middle
    finally:
        with anyio.CancelScope(shield=True):  # also where the client has gone
            await answer.aclose()


def framed(policy: str) -> str:
    """A content security policy that lets our own pages alone put the answer in a frame."""
    return f"{policy.rstrip('; ')}; frame-ancestors 'self'".lstrip("; ")


def is_allowed(path: str) -> bool:
    """Whether a path may be asked of TensorBoard: its page, and the data of the plugins that show runs."""
    return _PATHS.fullmatch(path) is not None
