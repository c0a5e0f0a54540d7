"""Who may ask, and logging in.

Every request is refused unless it shows the token, names this host, and comes from this site. The gate is in front of
the whole application as ASGI middleware, so that nothing (a page, a static file, the documentation, a stream,
TensorBoard) can be forgotten. Only the login page answers without a token: it takes the token once and answers with a
session in a cookie that scripts cannot read.
"""

from collections.abc import Iterator
from urllib.parse import quote, urlsplit

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sweep.serve import problems
from sweep.serve.context import Service, ServiceDependency
from sweep.serve.logins import DAYS, TooManyTries

COOKIE = "sweep_session"
LOGIN, LOGOUT = "/login", "/logout"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
LARGEST_BODY = 256 * 1024

POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
)
SECURITY_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "SAMEORIGIN",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}

router = APIRouter(include_in_schema=False)


class Gate:
    """Refuses what may not be asked, limits bodies, and adds the security headers to every answer."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, _secured(send))
        else:  # there is no WebSocket here
            await send({"type": "websocket.close", "code": 1008})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        problem = self._refusal(scope)
        if problem is None:
            try:
                body = await _read(receive)
            except _Gone:
                return
            if body is not None:
                await self._app(scope, _replay(body, receive), send)
                return
            problem = problems.document(
                413,
                f"The request is larger than {LARGEST_BODY} bytes, which is the most that is accepted.",
                "Send less.",
            )
        headers = {"www-authenticate": "Bearer"} if problem["status"] == 401 else None
        if problem["status"] == 429:
            headers = {"retry-after": str(problem["retry_after"])}
        if problem["status"] == 401 and _is_page(scope):
            await _redirect(scope, receive, send)
            return
        await problems.answer(problem, headers)(scope, receive, send)

    def _refusal(self, scope: Scope) -> dict[str, object] | None:
        """Why a request may not be asked; None if it may."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if len(headers.getlist("host")) != 1 or host_name(host) not in self._service.settings.hosts:
            return problems.document(
                403,
                f"This service does not answer under the name {host!r}.",
                "Allow the name with: sweep serve --allow-host NAME",
            )
        if not _is_from_here(scope["method"], headers, host):
            origin = headers.get("origin")
            return problems.document(403, f"This request comes from another site{f', {origin}' if origin else ''}.")
        try:
            may = self._may(scope, headers)
        except TooManyTries as error:
            return problems.document(429, error.message, error.hint, retry_after=error.wait)
        if not may:
            return problems.document(
                401, "This service needs a token.", f"Log in at {LOGIN}, or send Authorization: Bearer TOKEN."
            )
        return None

    def _may(self, scope: Scope, headers: Headers) -> bool:
        """Whether a request shows the token, or a session. Only a token that is wrong counts as a try.

        Raises:
            TooManyTries: its token was not read.
        """
        sessions, tries = self._service.sessions, self._service.tries
        if sessions is None or tries is None or scope["path"] == LOGIN:
            return True
        if any(sessions.is_open(cookie) for cookie in cookies(headers)):
            tries.know(address_of(scope))
            return True
        kind, _, shown = headers.get("authorization", "").partition(" ")
        return kind.lower() == "bearer" and tries.is_token(shown.strip(), address_of(scope))


def address_of(scope: Scope) -> str:
    """The address that a request comes from; empty where it has none, as at a Unix socket."""
    return str(scope["client"][0]) if scope.get("client") else ""


def host_name(host: str) -> str:
    """The name in a Host header, without its port, in lower case; empty if it is none."""
    try:
        return (urlsplit(f"//{host}").hostname or "") if not set(host) & set("/?#@\\ \t") else ""
    except ValueError:
        return ""


def _is_from_here(method: str, headers: Headers, host: str) -> bool:
    """Whether a request comes from our own pages, from no page at all, or follows a link from another site.

    Browsers say with Sec-Fetch-Site who asks, also for the picture or script of a foreign page, and send Origin with
    every request but GET, which old browsers have instead.
    """
    if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        follows = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
        return follows and method in SAFE_METHODS
    origins = headers.getlist("origin")
    if method in SAFE_METHODS or not origins:
        return True
    return len(origins) == 1 and urlsplit_host(origins[0]) == host.lower()


def urlsplit_host(origin: str) -> str | None:
    """The host and port of an Origin header; None if it is none of the web's."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return None
    return parts.netloc.lower() if parts.scheme in ("http", "https") else None


def cookies(headers: Headers) -> Iterator[str]:
    """What a request has in cookies of ours. Each is read by itself, so that nobody else's, however odd, hides one."""
    for header in headers.getlist("cookie"):
        for cookie in header.split(";"):
            name, _, value = cookie.strip().partition("=")
            if name == COOKIE:
                yield value.strip('"')


def _is_page(scope: Scope) -> bool:
    """Whether somebody looks at a page, who is sent to the login rather than given a problem."""
    wants_page = "text/html" in Headers(scope=scope).get("accept", "")
    return scope["method"] == "GET" and wants_page and not scope["path"].startswith(("/api/", "/static/"))


async def _redirect(scope: Scope, receive: Receive, send: Send) -> None:
    query = scope["query_string"].decode("latin-1")
    wanted = quote(scope["path"] + (f"?{query}" if query else ""), safe="")
    await RedirectResponse(f"{LOGIN}?next={wanted}", 303)(scope, receive, send)


class _Gone(Exception):
    """The client has gone before it had sent the whole request."""


async def _read(receive: Receive) -> bytes | None:
    """A request's body, or None if it is too large.

    Raises:
        _Gone: the client has gone.
    """
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        part = message.get("body", b"")
        size += len(part)
        if size > LARGEST_BODY:
            return None
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    """A body that has been read, and afterwards what comes: that the client has gone."""
    sent = False

    async def replayed() -> Message:
        nonlocal sent
        if not sent:
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return replayed


def _secured(send: Send) -> Send:
    """Adds the security headers that an answer has not itself."""

    async def secured(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return secured


@router.get(LOGIN)
def login_page(request: Request, service: ServiceDependency, next: str = "/") -> Response:
    """The page that asks for the token. It loads nothing, since nothing is given without a token."""
    return service.templates.TemplateResponse(request, "login.html", {"next": local(next), "wrong": ""})


@router.post(LOGIN)
async def log_in(request: Request, service: ServiceDependency) -> Response:
    """Take the token and lead to the page that was asked for."""
    async with request.form(max_files=0, max_fields=8) as form:
        token, target = str(form.get("token", "")).strip(), local(str(form.get("next", "/")))
    answer = RedirectResponse(target, 303)
    if service.sessions is None or service.tries is None:
        return answer
    status, wrong, headers = 401, "That is not the token.", {}
    try:
        right = service.tries.is_token(token, address_of(request.scope))
    except TooManyTries as error:
        right, status, wrong, headers = False, error.status, str(error), {"retry-after": str(error.wait)}
    if not right:
        context = {"next": target, "wrong": wrong}
        return service.templates.TemplateResponse(request, "login.html", context, status, headers)
    secure = request.url.scheme == "https"
    answer.set_cookie(COOKIE, service.sessions.begin(), DAYS * 86400, httponly=True, samesite="strict", secure=secure)
    return answer


@router.post(LOGOUT)
def log_out(request: Request, service: ServiceDependency) -> Response:
    """End the session, take its cookie away, and lead to where one logs in."""
    answer = RedirectResponse(LOGIN if service.sessions is not None else "/", 303)
    if service.sessions is not None:
        for cookie in cookies(request.headers):
            service.sessions.end(cookie)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=request.url.scheme == "https")
    return answer


def local(target: str) -> str:
    """An address to go on to, if it is one of this site; the first page otherwise."""
    is_path = target.startswith("/") and not target.startswith("//") and "\\" not in target
    return target if is_path and target.isprintable() and not target.startswith(LOGIN) else "/"
