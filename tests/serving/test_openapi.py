"""Requests made up from the OpenAPI document, right and wrong: none crashes the server, every answer is described."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from palate.model.reward_model import RewardModel
from palate.serving.app import create_app
from palate.serving.engine import Engine
from palate.serving.server import bind
from palate.serving.settings import Settings

CHECKS = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)


@pytest.fixture(scope="module")
def made_up(model: RewardModel) -> Iterator[Any]:
    app = create_app(Engine(model), Settings())
    listener = bind("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while app.state.service.state == "checking":
        time.sleep(0.01)
    yield schemathesis.openapi.from_url(f"http://127.0.0.1:{listener.getsockname()[1]}/openapi.json")
    server.should_exit = True
    thread.join()


@pytest.mark.slow
@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
def test_no_request_crashes_the_server(made_up: Any, mode: schemathesis.GenerationMode) -> None:
    operations = [found.ok() for found in made_up.get_all_operations()]
    assert {operation.path for operation in operations} >= {"/v1/reward", "/v1/contract", "/readyz", "/metrics"}
    for operation in operations:
        examples = 80 if operation.method == "post" else 5

        @settings(max_examples=examples, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(generation_mode=mode))
        def requests(case: schemathesis.Case) -> None:
            case.call_and_validate(checks=CHECKS)

        try:
            requests()
        except Unsatisfiable:  # without parameters there is nothing to get wrong
            assert mode.is_negative
            assert operation.method == "get"
