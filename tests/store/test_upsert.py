"""Rows are written over those with the same keys, however many come at a time, over every database."""

import pytest
import sqlalchemy as sa

from sweep.store import Store
from sweep.store.database import writing
from sweep.store.tables import metrics
from sweep.store.upsert import PARAMETERS, upsert

KEYS = ["study_id", "number", "epoch", "metric"]


@pytest.fixture
def store(storage_url):
    store = Store(storage_url)
    yield store
    store.close()


def row(epoch, value, metric="loss"):
    return {"study_id": 1, "number": 0, "epoch": epoch, "metric": metric, "value": value, "kind": None}


def write(store, *batches):
    with writing(store.engine) as connection:
        for rows in batches:
            upsert(connection, metrics, KEYS, rows)


def there(store):
    with store.engine.connect() as connection:
        rows = connection.execute(sa.select(metrics).order_by(metrics.c.epoch))
        return {found.epoch: found.value for found in rows}


def test_rows_that_no_one_statement_holds_are_all_written(store):
    expected = {epoch: epoch / 7 for epoch in range(PARAMETERS + 1)}
    write(store, [row(epoch, value) for epoch, value in expected.items()])
    assert there(store) == expected


def test_a_row_is_written_over_the_one_with_its_keys(store):
    write(store, [row(0, 0.5), row(1, 0.25)], [row(1, None), row(2, 2.0)])
    assert there(store) == {0: 0.5, 1: None, 2: 2.0}


def test_of_rows_with_the_same_keys_the_last_counts(store):
    write(store, [row(0, 0.5), row(1, 0.25), row(0, 0.125)])
    assert there(store) == {0: 0.125, 1: 0.25}


def test_no_rows_are_no_statement(store):
    write(store, [])
    assert there(store) == {}


def test_text_is_written_as_it_is(store):
    write(store, [row(0, 1.0, metric="100 %s of 'ä' ?")])
    with store.engine.connect() as connection:
        assert connection.execute(sa.select(metrics.c.metric)).scalars().all() == ["100 %s of 'ä' ?"]
