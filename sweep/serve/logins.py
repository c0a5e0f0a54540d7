"""Who is logged in, and how often somebody may try a token.

A session is a random number that expires, signed with the token, in a cookie. One that has been ended is remembered in
a file of the log directory, so that a stolen cookie stays worthless after a restart.

A right token is accepted at once from an address that has shown it, or a session, before, so nobody can lock its owner
out. Every other try is refused unread while its address, or all addresses together, have failed too often.
"""

import hashlib
import hmac
import ipaddress
import logging
import math
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sweep.serve.problems import Refusal
from sweep.words import counted

DAYS = 30  # that a session lasts
ENDED = ".sweep-ended-sessions"
"""The file in the log directory that lists the sessions that were ended: number and expiry, in Unix seconds."""

FREE_TRIES = 5  # wrong tokens from one address before it has to wait
LONGEST_WAIT = 60.0
FORGET_SECONDS = 15 * 60.0  # without a wrong token from an address
OVERALL_TRIES = 60  # wrong tokens from all addresses, and one more each second
_KEPT = 10_000  # addresses

_log = logging.getLogger(__name__)


class TooManyTries(Refusal):
    """Too many wrong tokens were tried; `wait` is how many seconds the next try must wait."""

    status = 429

    def __init__(self, wait: float) -> None:
        self.wait = math.ceil(wait)
        super().__init__("Too many wrong tokens were tried.", f"Try again in {counted(self.wait, 'second')}.")


class Sessions:
    """The sessions of one service; any thread may ask.

    Args:
        token: the service's, which signs them.
        folder: where those that were ended are remembered.
    """

    def __init__(self, token: str, folder: Path) -> None:
        self._key = token.encode()
        self._file = folder / ENDED
        self._lock = threading.Lock()
        self._ended = _read_ended(self._file)

    def begin(self) -> str:
        """A new session, as its cookie holds it."""
        unsigned = f"{int(time.time()) + DAYS * 86400}.{secrets.token_hex(16)}"
        return f"{unsigned}.{self._sign(unsigned)}"

    def is_open(self, cookie: str) -> bool:
        """Whether a cookie's session is one of ours, has not expired, and has not been ended."""
        unsigned, _, signature = cookie.rpartition(".")
        if not hmac.compare_digest(self._sign(unsigned).encode(), signature.encode("utf-8", "replace")):
            return False
        expires, _, number = unsigned.partition(".")
        return int(expires) > time.time() and number not in self._ended

    def end(self, cookie: str) -> None:
        """End a cookie's session, if it is open, for ever."""
        if not self.is_open(cookie):
            return
        expires, number, _ = cookie.split(".")
        with self._lock:
            self._ended.add(number)
            try:
                self._file.parent.mkdir(parents=True, exist_ok=True)
                with self._file.open("a") as file:
                    file.write(f"{number} {expires}\n")
            except OSError as error:
                _log.warning("a session has ended until the service restarts: %s: %s", self._file, error.strerror)

    def _sign(self, unsigned: str) -> str:
        text = f"sweep session {unsigned}".encode("utf-8", "replace")
        return hmac.new(self._key, text, hashlib.sha256).hexdigest()


def _read_ended(file: Path) -> set[str]:
    try:
        rows = [line.split() for line in file.read_text(errors="replace").splitlines()]
    except OSError:
        return set()
    # A signed session never outlives its expiry, so older rows need no place.
    return {row[0] for row in rows if len(row) == 2 and row[1].isdecimal() and int(row[1]) > time.time()}


class Tries:
    """Wrong tokens by address; used in the event loop.

    Args:
        token: the right one.
        clock: seconds that only grow.
    """

    def __init__(self, token: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._token = token.encode()
        self._clock = clock
        self._wrong: OrderedDict[str, tuple[int, float]] = OrderedDict()  # how many, and when the last was
        self._known: OrderedDict[str, None] = OrderedDict()  # addresses that have shown the token
        self._overall = (0.0, clock())

    def is_token(self, text: str, address: str) -> bool:
        """Whether a text that comes from an address is the token; compared in constant time.

        Raises:
            TooManyTries: it was not compared, unless the address has shown the token before; then it is wrong.
        """
        client = _client(address)
        right = hmac.compare_digest(text.encode("utf-8", "replace"), self._token)
        if right and client in self._known:
            return True
        if (wait := self._wait(client)) > 0:
            raise TooManyTries(wait)
        if right:
            self._wrong.pop(client, None)
            self.know(address)
        else:
            self._count(client)
        return right

    def know(self, address: str) -> None:
        """Remember an address as one that the token's owner uses."""
        _keep(self._known, _client(address), None)

    def _wait(self, client: str) -> float:
        """For how many seconds no token of a client is read."""
        now = self._clock()
        count, last = self._wrong.get(client, (0, now))
        alone = last + min(2.0 ** min(count - FREE_TRIES, 10), LONGEST_WAIT) - now if count >= FREE_TRIES else 0.0
        return max(alone, self._level(now) - OVERALL_TRIES)

    def _count(self, client: str) -> None:
        now = self._clock()
        count, last = self._wrong.get(client, (0, now))
        count = 1 if now - last > FORGET_SECONDS else count + 1
        _keep(self._wrong, client, (count, now))
        self._overall = (self._level(now) + 1, now)
        if count == FREE_TRIES:
            _log.warning("%s has tried %s wrong tokens; it has to wait between tries now", client, count)

    def _level(self, now: float) -> float:
        """How many wrong tokens count overall: each second one is forgotten."""
        level, since = self._overall
        return max(0.0, level - (now - since))


def _keep(table: OrderedDict[str, Any], name: str, value: Any) -> None:
    table[name] = value
    table.move_to_end(name)
    while len(table) > _KEPT:
        table.popitem(last=False)


def _client(address: str) -> str:
    """An address, or the network that one IPv6 host can choose its addresses from."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    return str(ipaddress.ip_network((parsed, 64), strict=False)) if parsed.version == 6 else str(parsed)
