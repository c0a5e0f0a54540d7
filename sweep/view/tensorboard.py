"""Links into TensorBoard with the run filter already set, for each of its tabs.

TensorBoard's tabs read the filter from different places, as its sources do it (2.21): Time Series from the query
(`tensorboard/webapp/app_routing/location.ts`), Scalars, Histograms and Distributions from the hash
(`tensorboard/components/tf_storage/storage_utils.ts`), where a raw `=` or `&` ends a value.

Time Series ignores case; Scalars, Histograms and Distributions do not (`tensorboard/components/tf_dashboard_common/
tf-multi-checkbox.ts`). Not every browser knows a flag for that inside a pattern, so each letter is written in both
cases instead, as in `[dD][nN][nN]`, but only where it makes a difference to the runs there are.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

import regress

SELECTS_ALL = 500
"""Above so many runs the Time Series tab selects none by itself."""

_TOKEN = re.compile(
    r"\\(?:c[A-Za-z]|x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|k<[^>]*>|.)"  # an escape
    r"|\(\?<(?![=!])[^>]*>"  # the beginning of a named group
    r"|\[(?:\\.|[^\]\\])*\]"  # a class of characters
    r"|.",
    re.DOTALL,
)
_IN_CLASS = re.compile(r"\\(?:c[A-Za-z]|x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|.)|([A-Za-z])-([A-Za-z])|.", re.DOTALL)


@dataclass(frozen=True)
class Links:
    """The tabs of one TensorBoard with the same runs in each.

    `time_series`, `scalars`, `histograms` and `distributions` have the filter set; `hparams` has none.
    """

    time_series: str
    scalars: str
    histograms: str
    distributions: str
    hparams: str


def links(base: str, pattern: str | None = None, *, sensitive: str | None = None, pins: Sequence[str] = ()) -> Links:
    """The links that show the runs a pattern matches.

    Args:
        base: TensorBoard's address, such as `http://127.0.0.1:6006/`.
        pattern: a regular expression as JavaScript has them; all runs if None.
        sensitive: the pattern for the tabs that do not ignore case, where it must be another (see
            `for_case_sensitive_tabs`); by default `pattern`.
        pins: scalars that Time Series shows on top; it opens the first two groups of tags only, by the alphabet.
    """
    base = base.rstrip("/") + "/"
    query = f"?runFilter={quote(pattern, safe='')}" if pattern else ""
    cards = json.dumps([{"plugin": "scalars", "tag": tag} for tag in pins], separators=(",", ":"))
    pinned = f"{'&' if query else '?'}pinnedCards={quote(cards, safe='')}" if pins else ""
    in_hash = sensitive if sensitive is not None else pattern
    regex = f"&regexInput={quote(in_hash, safe='')}" if in_hash else ""
    return Links(
        time_series=f"{base}{query}{pinned}#timeseries",
        scalars=f"{base}{query}#scalars{regex}",
        histograms=f"{base}{query}#histograms{regex}",
        distributions=f"{base}{query}#distributions{regex}",
        hparams=f"{base}{query}#hparams",
    )


def pins(objectives: Sequence[str]) -> list[str]:
    """The scalars to look at first: each objective, beside one of validation that of training, for their gap."""
    both = [(objective, objective.removeprefix("val_")) for objective in objectives]
    return list(dict.fromkeys(tag for pair in both for tag in pair))


def graph_link(base: str, run: str) -> str:
    """The link to one run's graph; that tab knows exact names only."""
    return f"{base.rstrip('/')}/#graphs&run={quote(run, safe='')}"


def for_case_sensitive_tabs(pattern: str, names: Sequence[str]) -> str:
    """The pattern with which a tab that does not ignore case shows those of `names` that `pattern` matches otherwise.

    Args:
        pattern: a valid regular expression of JavaScript.
        names: the runs there are.
    """
    wanted = _matching(regress.Regex(pattern, "i"), names)
    both = ignoring_case(pattern)
    for candidate in (pattern, both):
        if _matching(regress.Regex(candidate), names) == wanted:
            return candidate
    ends = [name.rpartition("-")[2] for name in wanted]
    by_number = f"-({'|'.join(ends)})$"
    return by_number if ends and _matching(regress.Regex(by_number), names) == wanted else both


def _matching(regex: regress.Regex, names: Sequence[str]) -> list[str]:
    return [name for name in names if regex.find(name) is not None]


def ignoring_case(pattern: str) -> str:
    """A pattern with each letter in both cases, where it stands for itself."""
    return _TOKEN.sub(lambda match: _both_cases(match[0]), pattern)


def _both_cases(token: str) -> str:
    if token.startswith("[") and len(token) > 1:
        return f"[{_IN_CLASS.sub(_class_in_both_cases, token[1:-1])}]"
    return f"[{token}{token.swapcase()}]" if len(token) == 1 and token.isascii() and token.isalpha() else token


def _class_in_both_cases(match: re.Match[str]) -> str:
    token = match[0]
    if match[1] is not None:
        return token + token.swapcase() if match[1].islower() == match[2].islower() else token
    return token + token.swapcase() if len(token) == 1 and token.isascii() and token.isalpha() else token
