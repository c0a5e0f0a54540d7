"""Links into TensorBoard with the run filter already set.

TensorBoard's tabs read the filter from different places, as its sources do it (2.21): Time Series from the query
(`tensorboard/webapp/app_routing/location.ts`), Scalars, Histograms and Distributions from the hash
(`tensorboard/components/tf_storage/storage_utils.ts`), where a raw `=` or `&` ends a value.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

SELECTS_ALL = 500
"""Above so many runs the Time Series tab selects none by itself."""


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
            `sweep.view.casing`); by default `pattern`.
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
