"""Logging in: the token is given once and answered with a cookie that scripts cannot read."""

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from sweep.serve.auth import COOKIE, LOGIN, is_token, session
from sweep.serve.context import ServiceDependency

DAYS = 30
LOGOUT = "/logout"

router = APIRouter(include_in_schema=False)


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
