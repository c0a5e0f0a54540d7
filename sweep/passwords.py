"""Passwords in the URLs of databases, which nobody is shown."""

import re

HIDDEN = "***"

# PostgreSQL takes any character in a password, encoded or not, so there it ends at the last @ of the word.
_IN_URL = re.compile(
    r"(?P<before>\bpostgres[\w+]*://[^\s:/@]*:)\S*(?=@)|(?P<other>\b\w[\w+.-]*://[^\s:/@]*:)[^\s/@]*(?=@)",
    re.IGNORECASE,
)
_PASSWORD = re.compile(r"^(\w[\w+.-]*://[^:/@]*:).*(?=@)", re.DOTALL)
_PARAMETER = re.compile(r"([?&]\w*password\s*=)[^&]*", re.IGNORECASE)
_NAMED = re.compile(r"(?P<name>(?:^|[?&\s'\"])\w*password\s*=)\s*[^&\s'\"]+", re.IGNORECASE)


def masked(text: str) -> str:
    """A text with the password of each URL in it hidden, and what follows `password=`."""
    return _NAMED.sub(rf"\g<name>{HIDDEN}", _IN_URL.sub(_without, text)) if "://" in text or "=" in text else text


def _without(found: re.Match[str]) -> str:
    return f"{found['before'] or found['other']}{HIDDEN}"


def masked_url(text: str) -> str:
    """A database's URL, as it was typed, with its password hidden, whatever characters that holds."""
    return _PARAMETER.sub(rf"\g<1>{HIDDEN}", _PASSWORD.sub(rf"\g<1>{HIDDEN}", text))


def has_password(storage: str) -> bool:
    """Whether the URL of a database holds a password."""
    return masked(storage) != storage


def masked_arguments(arguments: list[str]) -> list[str]:
    """A command line's arguments with passwords and the service's token as asterisks, each as long as before."""
    found, after_token = [], False
    for argument in arguments:
        found.append("*" * len(argument) if after_token else _as_long(argument))
        after_token = argument == "--token"
    return found


def _as_long(argument: str) -> str:
    name, is_set, value = argument.partition("=")
    if is_set and name == "--token":
        return f"{name}={'*' * len(value)}"
    shown = masked(argument.replace(" ", "_"))  # an argument is one word
    if shown == argument.replace(" ", "_"):
        return argument
    before, _, after = shown.partition(HIDDEN)
    return f"{before}{'*' * (len(argument) - len(before) - len(after))}{after}"
