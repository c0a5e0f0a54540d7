"""The addresses of pages, of the runs that they show, and of these runs in TensorBoard."""

from collections.abc import Mapping, Sequence
from urllib.parse import quote, urlencode

from sweep.store import RunRecord, StudyRecord
from sweep.view.cells import number_of
from sweep.view.selection import Selection, parse_states
from sweep.view.tensorboard import links

STATES = ("RUNNING", "COMPLETE", "PRUNED", "FAIL", "PAUSED", "WAITING")
NUMBERS_IN_LINK = 150  # runs that a link to TensorBoard can name one by one


def address(*parts: str, **query: object) -> str:
    """A path of this site, each part escaped, with the values of the query that are not empty."""
    said = {name: text for name, text in query.items() if text not in ("", None)}
    path = "/" + "/".join(quote(part, safe="") for part in parts)
    return f"{path}?{urlencode(said)}" if said else path


def study_address(study: StudyRecord, selection: Selection | None = None, **query: object) -> str:
    """A study's page, showing the selected runs."""
    return address("studies", study.name, **(query_of(selection) if selection else {}), **query)


def query_of(selection: Selection) -> dict[str, str]:
    """A selection of runs as a page's address has it."""
    states = ",".join(state.lower() for state in STATES if state in selection.states)
    return {"filter": selection.filter, "where": selection.where, "state": states, "sort": selection.sort}


def selection_of(query: Mapping[str, str]) -> Selection:
    """The selection in a page's address.

    Raises:
        SweepError: a state is not a trial state.
    """
    return Selection(
        filter=query.get("filter", ""),
        where=query.get("where", ""),
        states=parse_states([query.get("state", "")]),
        sort=query.get("sort", ""),
    )


def tensorboard_base(study: StudyRecord) -> str:
    """Where the service serves a study's TensorBoard."""
    return address("tensorboard", study.name) + "/"


def tensorboard_link(study: StudyRecord, selection: Selection, runs: Sequence[RunRecord]) -> str:
    """TensorBoard's Time Series with the selected runs: by the filter, or by number where more than a name decides."""
    pattern = selection.filter or None
    if (selection.where or selection.states) and 0 < len(runs) <= NUMBERS_IN_LINK:
        pattern = numbers_pattern(runs)
    return links(tensorboard_base(study), pattern).time_series


def numbers_pattern(runs: Sequence[RunRecord]) -> str:
    """A pattern that finds exactly these runs."""
    return f"-({'|'.join(number_of(run) for run in runs)})$"
