"""Writing many rows: inserted, or over those that have the same keys."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
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
    single = list({tuple(row[key] for key in keys): row for row in rows}.values())
    for column, convert in converters:
        single = [{**row, column: convert(row[column])} for row in single]
    size = PARAMETERS // len(columns)
    for begin in range(0, len(single), size):
        some = single[begin : begin + size]
        connection.exec_driver_sql(write(len(some)), tuple(row[name] for row in some for name in columns))


@lru_cache(maxsize=64)
def _prepared(
    dialect: Any, table: Any, keys: tuple[str, ...], columns: tuple[str, ...]
) -> tuple[Callable[[int], str], list[tuple[str, Callable[[Any], Any]]]]:
    """What gives the statement for so many rows, and how to convert the values of some columns for the database."""
    names = {name: dialect.identifier_preparer.quote(name) for name in columns}
    table_name = dialect.identifier_preparer.format_table(table)
    mark = "?" if dialect.paramstyle == "qmark" else "%s"
    one = f"({', '.join([mark] * len(columns))})"
    rest = ", ".join(f"{names[name]} = excluded.{names[name]}" for name in columns if name not in keys)
    conflict = f"ON CONFLICT ({', '.join(names[key] for key in keys)}) DO UPDATE SET {rest}"
    insert = f"INSERT INTO {table_name} ({', '.join(names.values())}) VALUES "
    converters = [
        (name, convert)
        for name in columns
        if (convert := table.c[name].type.dialect_impl(dialect).bind_processor(dialect)) is not None
    ]
    return lambda count: f"{insert}{', '.join([one] * count)} {conflict}", converters
