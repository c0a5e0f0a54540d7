"""The URL of a database as a person typed it, for whatever is shown to people."""

import sqlalchemy as sa

from sweep.passwords import masked_url


class TypedURL(sa.URL):
    """A URL that remembers how it was typed.

    Attributes:
        typed: its text; empty in a URL that was made from this one.
    """

    typed = ""

    @classmethod
    def of(cls, url: sa.URL, typed: str) -> "TypedURL":
        """A URL that was typed so."""
        made = cls._make(url)
        made.typed = typed
        return made


def shown(url: sa.URL) -> str:
    """A database's URL as it was typed, without its password; else as one could type it."""
    if typed := getattr(url, "typed", ""):
        return masked_url(typed)
    if url.get_backend_name() == "postgresql":
        url = url.set(drivername="postgresql")
    return url.render_as_string(hide_password=True)
