"""A run name cut into its parts, each as it stands there, for those who show names and tell the parts apart."""

from typing import Literal, NamedTuple

from sweep.errors import RunNameError
from sweep.names.codec import decode
from sweep.names.values import format_number, format_value

Kind = Literal["family", "architecture", "parameter", "digest", "number"]


class Part(NamedTuple):
    """A part of a run name; with a `-` between them, the parts are the name.

    Attributes:
        kind: `family`, `architecture`, `parameter`, `digest` or `number`.
        text: the part as the name has it, such as `lr=0.00118`.
    """

    kind: Kind
    text: str


def parts(name: str) -> list[Part]:
    """The parts of a run name, in their order: `-`.join of their texts is the name.

    Raises:
        RunNameError: the text is no run name.
    """
    run = decode(name)
    fields = [Part("parameter", f"{key}={format_value(value)}") for key, value in run.params.items()]
    behind = [
        *([Part("architecture", run.architecture)] if run.architecture else []),
        *fields,
        *([Part("digest", f"~{run.digest}")] if run.digest else []),
        Part("number", format_number(run.number) + (f"r{run.repeat}" if run.repeat else "")),
    ]
    end = "".join(f"-{part.text}" for part in behind)
    if not name.endswith(end):
        raise RunNameError(f"A value in run name {name!r} is not written the way sweep writes it.")
    return [Part("family", name.removesuffix(end)), *behind]
