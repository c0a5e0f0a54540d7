"""Writing many rows: inserted, or over those that have the same keys."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from typing import Any

import sqlalchemy as sa

PARAMETERS = 900
"""At most so many values go in one statement; every SQLite takes 999."""

Row = Mapping[str, Any]


def upsert(connection: sa.Connection, table: Any, keys: Sequence[str], rows: Sequence[Row]) -> None:
    """Insert rows, or overwrite those with the same `keys`; writing the same rows twice leaves them once.

    A statement holds many rows. SQLAlchemy would prepare each row's values one by one, which takes several times as
    long, and SQLite would run a statement for each, with a chance for another thread to take over before the next.

    Args:
        table: of Optuna or of ours.
        rows: all with the same columns; of those with the same keys the last counts.
    """
    if not rows:
        return
    columns = tuple(rows[0])
    write, converters = _prepared(connection.dialect, table, tuple(keys), columns)
    single = dict(zip(map(itemgetter(*keys), rows), map(itemgetter(*columns), rows), strict=True))
    by_column: list[Sequence[Any]] = list(zip(*single.values(), strict=True))
    for place, convert in converters:
        by_column[place] = [convert(value) for value in by_column[place]]
    values, size = list(zip(*by_column, strict=True)), PARAMETERS // len(columns)
    for begin in range(0, len(values), size):
        some = values[begin : begin + size]
        connection.exec_driver_sql(write(len(some)), tuple(chain.from_iterable(some)))


@lru_cache(maxsize=64)
def _prepared(
    dialect: Any, table: Any, keys: tuple[str, ...], columns: tuple[str, ...]
) -> tuple[Callable[[int], str], list[tuple[int, Callable[[Any], Any]]]]:
    """What gives the statement for so many rows, and how to convert the values of some columns, by their places."""
    names = {name: dialect.identifier_preparer.quote(name) for name in columns}
    table_name = dialect.identifier_preparer.format_table(table)
    mark = "?" if dialect.paramstyle == "qmark" else "%s"
    one = f"({', '.join([mark] * len(columns))})"
    rest = ", ".join(f"{names[name]} = excluded.{names[name]}" for name in columns if name not in keys)
    conflict = f"ON CONFLICT ({', '.join(names[key] for key in keys)}) DO UPDATE SET {rest}"
    insert = f"INSERT INTO {table_name} ({', '.join(names.values())}) VALUES "
    converters = [
        (place, convert)
        for place, name in enumerate(columns)
        if (convert := table.c[name].type.dialect_impl(dialect).bind_processor(dialect)) is not None
    ]
    return lambda count: f"{insert}{', '.join([one] * count)} {conflict}", converters
