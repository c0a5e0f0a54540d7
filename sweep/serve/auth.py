"""Who may ask, and logging in.

Every request is refused unless it shows the token, names this host, and comes from this site. The gate is in front of
the whole application as ASGI middleware, so that nothing (a page, a static file, the documentation, a stream,
TensorBoard) can be forgotten. Only the login page answers without a token: it takes the token once and answers with a
cookie that scripts cannot read.
"""

import hashlib
import hmac
import http.cookies
from urllib.parse import quote, urlsplit

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sweep.serve import problems
from sweep.serve.context import ServiceDependency
from sweep.serve.settings import ServeSettings

COOKIE = "sweep_session"
LOGIN, LOGOUT = "/login", "/logout"
DAYS = 30  # that a login lasts
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


def session(token: str) -> str:
    """What the cookie of somebody who has logged in holds: a digest, so that the cookie is not the token."""
    return hmac.new(token.encode(), b"sweep session", hashlib.sha256).hexdigest()


def is_token(settings: ServeSettings, text: str) -> bool:
    """Whether a text is the service's token, in constant time."""
    return settings.token is not None and hmac.compare_digest(text.encode("utf-8", "replace"), settings.token.encode())


class Gate:
    """Refuses what may not be asked, limits bodies, and adds the security headers to every answer."""

    def __init__(self, app: ASGIApp, settings: ServeSettings) -> None:
        self._app = app
        self._settings = settings

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
            body = await _read(receive)
            if body is not None:
                await self._app(scope, _replay(body, receive), send)
                return
            problem = problems.document(
                413,
                f"The request is larger than {LARGEST_BODY} bytes, which is the most that is accepted.",
                "Send less.",
            )
        headers = {"www-authenticate": "Bearer"} if problem["status"] == 401 else None
        if problem["status"] == 401 and _is_page(scope):
            await _redirect(scope, receive, send)
            return
        await problems.answer(problem, headers)(scope, receive, send)

    def _refusal(self, scope: Scope) -> dict[str, object] | None:
        """Why a request may not be asked; None if it may."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if len(headers.getlist("host")) != 1 or host_name(host) not in self._settings.hosts:
            return problems.document(
                403,
                f"This service does not answer under the name {host!r}.",
                "Allow the name with: sweep serve --allow-host NAME",
            )
        if scope["method"] not in SAFE_METHODS and not _same_site(headers, host):
            return problems.document(
                403, f"This request changes something and comes from another site, {headers.get('origin')}."
            )
        if not self._may(scope, headers):
            return problems.document(
                401, "This service needs a token.", f"Log in at {LOGIN}, or send Authorization: Bearer TOKEN."
            )
        return None

    def _may(self, scope: Scope, headers: Headers) -> bool:
        token = self._settings.token
        if token is None or scope["path"] == LOGIN:
            return True
        kind, _, shown = headers.get("authorization", "").partition(" ")
        if kind:
            return kind.lower() == "bearer" and is_token(self._settings, shown.strip())
        return hmac.compare_digest(_cookie(headers).encode("utf-8", "replace"), session(token).encode())


def host_name(host: str) -> str:
    """The name in a Host header, without its port, in lower case; empty if it is none."""
    try:
        return (urlsplit(f"//{host}").hostname or "") if not set(host) & set("/?#@\\ \t") else ""
    except ValueError:
        return ""


def _same_site(headers: Headers, host: str) -> bool:
    """Whether a request comes from our own pages, or from no page at all.

    Browsers send Origin with every request but GET. Sec-Fetch-Site is checked as well, for browsers that leave it out.
    """
    origins = headers.getlist("origin")
    if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        return False
    return not origins or (len(origins) == 1 and urlsplit_host(origins[0]) == host.lower())


def urlsplit_host(origin: str) -> str | None:
    """The host and port of an Origin header; None if it is none of the web's."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return None
    return parts.netloc.lower() if parts.scheme in ("http", "https") else None


def _cookie(headers: Headers) -> str:
    cookies: http.cookies.SimpleCookie = http.cookies.SimpleCookie()
    try:
        cookies.load(headers.get("cookie", ""))
    except http.cookies.CookieError:
        return ""
    return cookies[COOKIE].value if COOKIE in cookies else ""


def _is_page(scope: Scope) -> bool:
    """Whether somebody looks at a page, who is sent to the login rather than given a problem."""
    wants_page = "text/html" in Headers(scope=scope).get("accept", "")
    return scope["method"] == "GET" and wants_page and not scope["path"].startswith(("/api/", "/static/"))


async def _redirect(scope: Scope, receive: Receive, send: Send) -> None:
    query = scope["query_string"].decode("latin-1")
    wanted = quote(scope["path"] + (f"?{query}" if query else ""), safe="")
    await RedirectResponse(f"{LOGIN}?next={wanted}", 303)(scope, receive, send)


async def _read(receive: Receive) -> bytes | None:
    """A request's body, or None if it is too large."""
    parts, size = [], 0
    while True:
        message = await receive()
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
    return service.templates.TemplateResponse(request, "login.html", {"next": local(next), "wrong": False})


@router.post(LOGIN)
async def log_in(request: Request, service: ServiceDependency) -> Response:
    """Take the token and lead to the page that was asked for."""
    async with request.form(max_files=0, max_fields=8) as form:
        token, target = str(form.get("token", "")).strip(), local(str(form.get("next", "/")))
    if service.settings.token is not None and not is_token(service.settings, token):
        context = {"next": target, "wrong": True}
        return service.templates.TemplateResponse(request, "login.html", context, status_code=401)
    answer = RedirectResponse(target, 303)
    if service.settings.token is not None:
        secure = request.url.scheme == "https"
        answer.set_cookie(
            COOKIE, session(service.settings.token), DAYS * 86400, httponly=True, samesite="strict", secure=secure
        )
    return answer


@router.post(LOGOUT)
def log_out(request: Request, service: ServiceDependency) -> Response:
    """Take the cookie away, and lead to where one logs in."""
    answer = RedirectResponse(LOGIN if service.settings.token is not None else "/", 303)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=request.url.scheme == "https")
    return answer


def local(target: str) -> str:
    """An address to go on to, if it is one of this site; the first page otherwise."""
    is_path = target.startswith("/") and not target.startswith("//") and "\\" not in target
    return target if is_path and target.isprintable() and not target.startswith(LOGIN) else "/"
