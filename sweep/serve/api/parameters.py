"""What several routes take: names in paths, and the query that chooses runs."""

from typing import Annotated

from fastapi import Depends, Path, Query

from sweep.conditions import LONGEST as LONGEST_WHERE
from sweep.view.filters import LONGEST as LONGEST_FILTER
from sweep.view.selection import Selection, parse_states

StudyName = Annotated[str, Path(max_length=255, description="A study's name.")]
RunName = Annotated[str, Path(max_length=255, description="A run: 17, t0017 or its full name.")]
FileName = Annotated[str, Path(max_length=255, description="A study file's name in the service's folder.")]


def selection(
    filter: Annotated[
        str,
        Query(
            max_length=LONGEST_FILTER,
            description="A JavaScript regular expression, found anywhere in the run name in either case, "
            "as TensorBoard's Time Series tab takes it.",
        ),
    ] = "",
    where: Annotated[
        str, Query(max_length=LONGEST_WHERE, description="A condition, such as lr < 0.01 and val_mae < 0.6.")
    ] = "",
    state: Annotated[
        list[Annotated[str, Query(max_length=100)]] | None,
        Query(
            max_length=10,
            description="waiting, running, paused, complete, pruned or fail; several by commas or repeated.",
        ),
    ] = None,
    sort: Annotated[
        str, Query(max_length=255, description="A metric, a parameter or a property; - in front turns it round.")
    ] = "",
) -> Selection:
    """The runs that a query asks for."""
    return Selection(filter=filter, where=where, states=parse_states(state or []), sort=sort)


SelectionQuery = Annotated[Selection, Depends(selection)]
