"""The event loop of a running study: it feeds events to the core, and hands its effects to those who carry them out.

The loop runs in a thread of its own, so that it works beside another event loop, in any thread, and twice in one
process. It owns the study: nothing else changes it. What takes time happens in other threads, each of which does one
thing after another: sampling, the journal, the hands (processes and files) and the display.
"""

import asyncio
import contextlib
import logging
import math
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from sweep.control.executors import Executor
from sweep.control.hands import Hands
from sweep.control.journal import Journal
from sweep.control.open_study import OpenStudy, open_study
from sweep.control.progress import Silent, Watcher
from sweep.control.run_files import remove_checkpoints, remove_surplus_weights, write_end
from sweep.control.sampling_thread import SamplingThread
from sweep.control.search import Search
from sweep.core import events as ev
from sweep.core.study import StudyMachine
from sweep.declaration import Declaration
from sweep.errors import MachineFault, SweepError, machine_fault, wants_memory
from sweep.options import Settings
from sweep.scratch import Scratch
from sweep.snapshot import Snapshot
from sweep.store.database import parse_url
from sweep.store.typed_url import shown
from sweep.waiting import TOUCH_SECONDS, Waiting, note, touch
from sweep.wire.messages import FAILED, Rejected, decode_message, encode
from sweep.words import counted

TICK_SECONDS = 0.1
ABANDON_SECONDS = 1.0  # for the database to answer after a second Ctrl-C
LEFT_SECONDS = 0.3  # for a thread to end after that; together less than `sweep.cli.interrupts.GRACE_SECONDS`
BACKLOG = 4096
BUFFER = 2**16  # bytes that are received together

_LENGTH = struct.Struct("!i")
_LONG_LENGTH = struct.Struct("!Q")  # follows a length of -1; both as in `multiprocessing.connection`

Adapt = Callable[[Declaration], Declaration]

_log = logging.getLogger(__name__)


class Connection(asyncio.BufferedProtocol):
    """A worker's connection, with the frames of `multiprocessing.connection`: a length, then that number of bytes.

    All connections of a loop receive into one buffer. Without it asyncio would make one of 256 KiB for each message,
    which takes longer than anything else that is done about an epoch.
    """

    def __init__(self, loop: "Loop") -> None:
        self.worker: str | None = None
        self._owner = loop
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The worker has connected."""
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002  # asyncio's
        """Where the next bytes are to be put."""
        return self._owner.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes have come, of one message or of several."""
        self._received += memoryview(self._owner.buffer)[:nbytes]
        while (frame := self._frame()) is not None:
            self._owner.heard(self, frame)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's
        """The worker has gone."""
        self._owner.lost(self)

    def send(self, data: bytes) -> None:
        """Send a message; nothing happens where the worker has gone."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(_LENGTH.pack(len(data)) + data)

    def close(self) -> None:
        """End the connection, when what was sent has gone out."""
        if self._transport is not None:
            self._transport.close()

    def _frame(self) -> bytes | None:
        """The next message that is there whole."""
        received, begin = self._received, _LENGTH.size
        if len(received) < begin:
            return None
        (length,) = _LENGTH.unpack_from(received)
        if length == -1:
            begin += _LONG_LENGTH.size
            if len(received) < begin:
                return None
            (length,) = _LONG_LENGTH.unpack_from(received, _LENGTH.size)
        if len(received) < begin + length:
            return None
        frame = bytes(received[begin : begin + length])
        del received[: begin + length]
        return frame


def _told(error: BaseException) -> BaseException:
    """A fault of ours as it is raised to whoever started the study: a want of memory is the machine's."""
    if not wants_memory(error):
        return error
    what = "Not enough memory for the process that runs the study."
    return MachineFault(what, "Free some, or raise the limits that `ulimit -v` and `ulimit -u` show")


class Loop:
    """Runs one study.

    Args:
        settings: the start options.
        watcher: is shown everything that happens.
        preview: name trials, but train and keep nothing.
        file: the study file, where workers load a copy of it.
        make_search: makes what proposes the trials.
        adapt: changes what the study file declares, before the start options do.

    Attributes:
        address: the Unix socket where workers connect.
        snapshot: the file with what the study was loaded from, once it was; later workers load that.
        buffer: what connections receive into.
        finished: set when nothing runs, no worker lives, and the rest is on the disk.
    """

    def __init__(
        self,
        settings: Settings,
        watcher: Watcher | None = None,
        *,
        preview: bool = False,
        file: Path | None = None,
        make_search: Callable[..., Search] = Search,
        adapt: Adapt = lambda declaration: declaration,
    ) -> None:
        self._make_search = make_search
        self._adapt = adapt
        self.study = StudyMachine(settings, wall=time.time() - time.monotonic(), preview=preview)
        self.finished = threading.Event()
        self.executor: Executor | None = None
        self._watcher = watcher if watcher is not None else Silent()
        self._scratch = Scratch()
        self.address = str(self._scratch.path / "coordinator")
        self.snapshot = self._scratch.path / "snapshot.json"
        self.buffer = bytearray(BUFFER)
        self._connections: dict[str, Connection] = {}
        self._hands = Hands("hands", self._crashed)
        self._display = Hands("display", self._crashed)
        self._file = file
        self.sampling = SamplingThread(self._open, self.post, self._crashed)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="coordinator", daemon=True)
        self._listens = threading.Event()
        self._deaf: OSError | None = None
        self._fallen: BaseException | None = None  # what a thread of ours has died of
        self._signalled = 0.0
        self._posted: deque[ev.Event] = deque()
        self._woken = False  # whether the loop will see to what is posted
        self._doomed: set[str] = set()  # workers that are to be killed, or have been
        self._waits = False  # for the database, as readers are told; when that was last touched
        self._touched = -math.inf
        self._shown: list[ev.Show] = []  # epochs wait for the next tick: each would wake the display's thread
        self._actions: dict[type, Callable[[Any], None]] = {
            ev.Launch: lambda effect: self._hands.put(lambda: self._launch(effect)),
            ev.Kill: self._doom,
            ev.EndFiles: lambda effect: self._hands.put(lambda: write_end(effect.run, effect.objective)),
            ev.RemoveCheckpoints: lambda effect: self._hands.put(lambda: remove_checkpoints(effect.run.directory)),
            ev.KeepSnapshot: lambda effect: self._hands.put(lambda: self._keep(effect)),
            ev.RemoveWeights: lambda effect: self._hands.put(lambda: remove_surplus_weights(effect.runs)),
            ev.Show: self._show,
            ev.Wait: self._wait,
            ev.Write: self._record,
            ev.ReadNews: self._record,
            ev.Finish: self._finish,
        }

    @property
    def opened(self) -> OpenStudy:
        """The study; only after a worker has declared it."""
        if self.sampling.opened is None:
            raise RuntimeError("no worker has declared the study yet")
        return self.sampling.opened

    @property
    def journal(self) -> Journal | None:
        """Of the study; None before a worker has declared it, and in a preview."""
        return self.sampling.opened.journal if self.sampling.opened is not None else None

    def start(self) -> None:
        """Begin, in threads; workers may connect from now on."""
        self._loop.set_exception_handler(self._callback_failed)
        for thread in (self._hands, self._display, self.sampling, self._thread):
            thread.start()
        self._listens.wait()
        if self._deaf is not None:
            raise SweepError(f"Cannot make a socket at {self.address}: {self._deaf}", "Set TMPDIR to a shorter path.")

    def post(self, event: ev.Event) -> None:
        """Have an event applied. Safe to call from any thread and from a signal handler."""
        self._posted.append(event)
        if self._woken:
            return
        self._woken = True
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(self._take_posted)

    def use(self, executor: Executor) -> None:
        """Have workers run there from now on."""
        self.executor = executor
        executor.start()

    def adopt(self, connection: socket.socket) -> None:
        """Serve a worker over a socket that is connected already."""
        asyncio.run_coroutine_threadsafe(
            self._loop.connect_accepted_socket(lambda: Connection(self), connection), self._loop
        ).result()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the end, in steps, so that signals are handled; False where it has not come in time.

        After a second Ctrl-C the database has a second to answer.

        Raises:
            BaseException: what a thread has died of, without which the end would never come.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        while not self.finished.wait(0.05):
            if (fallen := self._died()) is not None:
                raise _told(fallen)
            if deadline is not None and time.monotonic() > deadline:
                return False
            if self._signalled and time.monotonic() > self._signalled + ABANDON_SECONDS and self.study.workers.is_empty:
                return False
        return self.journal is None or not self.journal.abandoned

    def _died(self) -> BaseException | None:
        """What a thread has died of that the study cannot do without, if one has."""
        journal = self.journal
        others = (self._hands.fallen, self.sampling.fallen, journal.fallen if journal is not None else None)
        return self._fallen or next(filter(None, others), None)

    def signal(self, name: str, count: int) -> None:
        """Ctrl-C or SIGTERM has come, so many times. For a signal handler."""
        self.post(ev.Signal(name))
        if count > 1:
            self._signalled = self._signalled or time.monotonic()
            if self.journal is not None:
                self.journal.abandon()

    def stop(self) -> None:
        """Stop everything, once the study has ended; what is shown is shown."""
        gone = self.finished.is_set()
        self.sampling.stop(LEFT_SECONDS if self._signalled else 5.0 if gone else 0.0)
        self._hands.stop(None if gone and not self._signalled else LEFT_SECONDS)
        if not gone and self.journal is not None:  # give the study up, if that can be
            self.journal.abandon()
            self.journal.put(ev.Finish(ev.Changes(), [], refused=False))
            self.finished.wait(LEFT_SECONDS)
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._display.stop(LEFT_SECONDS if self._signalled else 5.0)
        self._scratch.close()

    def raise_error(self) -> None:
        """Raise what ended the study, if it was an error: a fault of ours with its traceback, or the refusal."""
        if self.study.crash is not None:
            raise _told(self.study.crash)
        if self.study.error is not None:
            raise self.study.error

    # In the loop's thread.

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        listening = self._loop.create_unix_server(lambda: Connection(self), self.address, backlog=BACKLOG)
        try:
            server = self._loop.run_until_complete(listening)
        except OSError as error:
            self._deaf = error
            return
        finally:
            self._listens.set()
        self._loop.call_later(TICK_SECONDS, self._tick)
        try:
            self._loop.run_forever()
        except BaseException as error:
            self._fallen = error
        try:
            self._display_shown()
            server.close()
            for connection in list(self._connections.values()):
                connection.close()
            self._loop.run_until_complete(asyncio.sleep(0))
            self._loop.close()
        except BaseException as error:
            self._fallen = self._fallen or error

    def _callback_failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """End the study where the loop has no memory to go on with, which asyncio would only log."""
        error = context.get("exception")
        if not wants_memory(error):
            loop.default_exception_handler(context)
        elif self._fallen is None:
            self._fallen = error
            loop.stop()

    def _tick(self) -> None:
        self._loop.call_later(TICK_SECONDS, self._tick)
        if self.journal is not None:
            self.journal.tick()
            if self._waits and time.monotonic() - self._touched >= TOUCH_SECONDS:
                folder, self._touched = self.journal.folder, time.monotonic()
                self._hands.put(lambda: touch(folder))
        self.sampling.flush()
        self._apply(ev.Tick())
        self._display_shown()

    def _take_posted(self) -> None:
        self._woken = False  # from now on, whoever posts calls again
        for _ in range(len(self._posted)):
            self._apply(self._posted.popleft())

    def _apply(self, event: ev.Event) -> None:
        try:
            effects = self.study.apply(event, time.monotonic())
            for effect in effects:  # workers first: whatever wakes another thread may delay the loop
                if isinstance(effect, ev.Reply):
                    self._reply(effect)
            for effect in effects:
                if not isinstance(effect, ev.Reply):
                    self._actions.get(type(effect), self.sampling.put)(effect)
        except Exception as error:
            if not wants_memory(error):
                _log.exception("the coordinator failed")
            if isinstance(event, ev.Crashed):
                raise
            self._apply(ev.Crashed(error))

    def _crashed(self, error: BaseException) -> None:
        fault = machine_fault(error, Path(self.study.settings.logdir).resolve())
        self.post(ev.Crashed(error) if fault is None else ev.Refused(fault))

    def heard(self, connection: "Connection", data: bytes) -> None:
        """A worker has sent a message; bytes that are no message only end their connection."""
        try:
            worker, message = decode_message(data)
        except SweepError as error:
            connection.send(encode(Rejected(error.as_dict())))
            self._apply(ev.Refused(error))
            return
        except (ValueError, AttributeError):  # no JSON, or none that a worker of sweep sends
            connection.close()
            return
        except (KeyError, TypeError) as error:
            _log.error("a worker's message cannot be understood: %r", data[:200], exc_info=error)
            connection.send(encode(FAILED))
            self._apply(ev.Crashed(error))
            return
        connection.worker = worker
        self._connections[worker] = connection
        self._apply(ev.Said(worker, message))

    def lost(self, connection: "Connection") -> None:
        """A connection has ended."""
        if connection.worker is not None and self._connections.get(connection.worker) is connection:
            del self._connections[connection.worker]
            self._apply(ev.HungUp(connection.worker))

    def _reply(self, reply: ev.Reply) -> None:
        connection = self._connections.get(reply.worker)
        if connection is not None:
            connection.send(encode(reply.answer))

    def _show(self, effect: ev.Show) -> None:
        self._shown.append(effect)
        if effect.method != "epoch":
            self._display_shown()

    def _doom(self, effect: ev.Kill) -> None:
        self._doomed.add(effect.worker)
        self._hands.put(lambda: self._kill(effect))

    def _wait(self, effect: ev.Wait) -> None:
        place = shown(parse_url(self.study.settings.storage))
        waiting = Waiting(effect.since, place, effect.why) if effect.seconds is None else None
        again = f"the database answers again, after {counted(round(effect.seconds or 0), 'second')}"
        self._show(ev.Show("message", (str(waiting) if waiting is not None else again,)))
        self._waits = waiting is not None
        if self.journal is not None:
            folder, owner = self.journal.folder, self.journal.token
            self._hands.put(lambda: note(folder, waiting, owner))

    def _display_shown(self) -> None:
        if self._shown:
            shown, self._shown = self._shown, []
            self._display.put(lambda: self._display_all(shown))

    def _display_all(self, shown: list[ev.Show]) -> None:
        try:
            for effect in shown:
                getattr(self._watcher, effect.method)(*effect.arguments)
        except Exception:  # the display gives up; the study does not
            _log.exception("the display failed")
            self._watcher = Silent()

    def _record(self, effect: ev.Write | ev.ReadNews) -> None:
        if self.journal is not None:
            self.journal.put(effect)

    def _finish(self, effect: ev.Finish) -> None:
        self._display_shown()
        for connection in list(self._connections.values()):
            connection.close()  # a worker in this process may still wait for an answer
        if self.journal is None:
            self.finished.set()
        else:
            self.journal.put(effect)  # which sets `finished`

    # In the sampling thread.

    def _open(self, declaration: Declaration, snapshot: Snapshot | None) -> OpenStudy:
        study = self.study
        opened = open_study(
            self._adapt(declaration.at(self._file)),
            study.settings,
            snapshot,
            preview=study.preview,
            notice=lambda text: self.post(ev.Troubled(text)),
            make_search=self._make_search,
        )
        if opened.journal is not None:
            opened.journal.start(self.post, self.finished.set)
            if self.finished.is_set():  # the study was stopped meanwhile
                opened.journal.put(ev.Finish(ev.Changes(), [], refused=True))
        return opened

    # In the hands' thread.

    def _launch(self, launch: ev.Launch) -> None:
        if launch.worker in self._doomed:  # before its turn came
            self.post(ev.Exited(launch.worker, "not started", killed=True))
            return
        try:
            self._executor().submit(launch.worker, launch.slot, launch.slots)
        except BaseException:
            self.post(ev.Exited(launch.worker, "unable to start", killed=True))
            raise

    def _keep(self, effect: ev.KeepSnapshot) -> None:
        beside = self.snapshot.with_suffix(".new")
        beside.write_text(effect.snapshot.as_text())
        beside.replace(self.snapshot)

    def _kill(self, kill: ev.Kill) -> None:
        self._executor().kill(kill.worker)

    def _executor(self) -> Executor:
        if self.executor is None:
            raise RuntimeError("there is no place for workers")
        return self.executor
