"""The gateway does what its OpenAPI description says, whatever is sent to it; nothing that is sent brings a 500."""

from collections.abc import Callable
from importlib.resources import files
from typing import Any

import pytest
import schemathesis
import yaml
from hypothesis import settings
from schemathesis import Case

from capacity.system.application.endpoints import Endpoints

DESCRIPTION = yaml.safe_load(files("capacity.system.application").joinpath("openapi.yaml").read_bytes())
EXAMPLES = 60

schema = schemathesis.openapi.from_dict(DESCRIPTION)


@pytest.fixture(scope="module")
def gateway(start_gateway: Callable[..., Any]) -> Any:
    return start_gateway()


@schema.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, derandomize=True)
def test_every_answer_is_one_that_the_description_names(gateway: Any, case: Case) -> None:
    case.call_and_validate(base_url=gateway.url)


def test_the_description_is_served(gateway: Any) -> None:
    assert gateway.ask("GET", "/openapi.json", None).json == DESCRIPTION


def test_it_describes_every_path_of_the_gateway(gateway: Any) -> None:
    served = {(route.path, method) for route in Endpoints(gateway).routes() for method in route.methods or ()}
    described = {(path, method.upper()) for path, operations in DESCRIPTION["paths"].items() for method in operations}
    assert described <= served
    assert {path for path, method in served - described if method != "HEAD"} == {"/openapi.json"}
