"""The API keeps its description: requests that schemathesis makes of it, valid ones and others."""

import contextlib

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from sweep.serve.app import create_app
from sweep.serve.settings import ServeSettings
from sweep.store.lease import new_owner
from tests.serve.serving import served
from tests.store_builder import add_example, build_store

EXAMPLES = 10
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def operations(tmp_path_factory):
    """The operations of a running service, whose study this process runs, so that commands are taken."""
    folder = tmp_path_factory.mktemp("described")
    store = build_store(folder)
    add_example(store, owner=new_owner())
    with served(create_app(ServeSettings(str(store.url), folder / "runs", folder), store)) as url:
        schema = schemathesis.openapi.from_dict(with_names(httpx.get(f"{url}/api/openapi.json").json()))
        schema.config.update(base_url=url)
        endless = schema.exclude(path_regex="/events$")  # a stream does not end
        yield [found.ok() for found in endless.get_all_operations()]


def with_names(description):
    """The description with the names that there are, which few texts drawn at random would hit."""
    names = {"study": ["diabetes"], "run": ["3", "t0004", "17"], "sort": ["lr", "-val_loss"], "where": ["lr < 0.01"]}
    for methods in description["paths"].values():
        for operation in methods.values():
            for parameter in operation.get("parameters", ()):
                if parameter["name"] in names:
                    parameter["schema"] = {"type": "string", "enum": names[parameter["name"]]}
    return description


@pytest.mark.slow
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_the_api_answers_as_it_is_described(operations, mode):
    assert len(operations) >= 20
    for operation in operations:
        ask(operation, mode)


def ask(operation, mode):
    """Make some requests of an operation, that are as it is described or are not."""

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def made(case):
        case.call_and_validate(checks=CHECKS)

    with contextlib.suppress(Unsatisfiable):  # nothing can be wrong with a request that takes nothing
        made()
