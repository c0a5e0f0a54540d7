"""The API's description as a page for people: what OpenAPI says of each route, in words."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from markupsafe import Markup, escape

from sweep.serve.pages.layout import show

router = APIRouter(include_in_schema=False)


@router.get("/api/docs")
def docs(request: Request) -> HTMLResponse:
    """The API's description as a page, without scripts; programs read /api/openapi.json."""
    return show(request, "docs.html", routes=routes_of(request.app.openapi()))


@dataclass(frozen=True)
class Given:
    """What a route takes: a parameter of its path or query, or a member of its body; `default` is empty if needed."""

    name: str
    where: str
    kind: str
    default: str
    about: Markup


@dataclass(frozen=True)
class Route:
    """A route."""

    method: str
    path: str
    about: Markup
    given: list[Given]


def routes_of(document: Mapping[str, Any]) -> dict[str, list[Route]]:
    """The routes of an OpenAPI document by their tags."""
    found: dict[str, list[Route]] = {}
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            given = [_parameter(item) for item in route.get("parameters", [])]
            for content in route.get("requestBody", {}).get("content", {}).values():
                given += _members(document, content["schema"])
            about = prose(route.get("description") or route.get("summary") or "")
            tag = (route.get("tags") or ["service"])[0]
            found.setdefault(tag, []).append(Route(method.upper(), path, about, given))
    return found


def prose(text: str) -> Markup:
    """A docstring as HTML: what stands in backticks is code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _parameter(item: Mapping[str, Any]) -> Given:
    schema = item.get("schema", {})
    default = "" if item.get("required") else _value(schema.get("default"))
    return Given(item["name"], item["in"], kind(schema), default, prose(item.get("description") or ""))


def _members(document: Mapping[str, Any], schema: Mapping[str, Any]) -> list[Given]:
    """The members of a body, which is a reference to a schema with properties, or that or null."""
    for option in schema.get("anyOf", [schema]):
        if "$ref" in option:
            body = document["components"]["schemas"][option["$ref"].rpartition("/")[2]]
            needed = body.get("required", [])
            return [
                Given(
                    name,
                    "body",
                    kind(about),
                    "" if name in needed else _value(about.get("default")),
                    prose(about.get("description") or ""),
                )
                for name, about in body.get("properties", {}).items()
            ]
    return []


def kind(schema: Mapping[str, Any]) -> str:
    """What values a schema takes, in words."""
    if options := schema.get("anyOf"):
        return " or ".join(dict.fromkeys(kind(option) for option in options if option.get("type") != "null"))
    if choices := schema.get("enum") or ([schema["const"]] if "const" in schema else None):
        return " or ".join(_value(choice) for choice in choices)
    return _of_type(schema)


def _of_type(schema: Mapping[str, Any]) -> str:
    of = schema.get("type")
    if of == "array":
        most = f"at most {schema['maxItems']:,} of: " if "maxItems" in schema else "list of: "
        return most + kind(schema.get("items", {}))
    if of == "string":
        return f"text of at most {schema['maxLength']} characters" if "maxLength" in schema else "text"
    word = {"integer": "whole number", "number": "number", "boolean": "true or false", "object": "object"}.get(of or "")
    low = f" from {schema['minimum']}" if "minimum" in schema else ""
    low = f" above {schema['exclusiveMinimum']}" if "exclusiveMinimum" in schema else low
    high = f" to {schema['maximum']:,}" if "maximum" in schema else ""
    high = f" below {schema['exclusiveMaximum']:,}" if "exclusiveMaximum" in schema else high
    return f"{word}{low}{high}" if word else "any value"


def _value(value: Any) -> str:
    if value is None or value == "":
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)
