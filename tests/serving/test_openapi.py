"""The API's description: complete, and the reviewed file is what the service says."""

import re
from collections.abc import Iterator
from typing import Any

import orjson

from serving.openapi import FILE, document

DOCUMENT = orjson.loads(document())


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, verbs in DOCUMENT["paths"].items():
        for verb, operation in verbs.items():
            yield f"{verb.upper()} {path}", operation


def test_the_reviewed_file_is_up_to_date() -> None:
    assert FILE.read_text(encoding="utf-8") == document(), "run: python -m serving.openapi, and review the difference"


def test_it_is_openapi_3_1() -> None:
    assert DOCUMENT["openapi"].startswith("3.1.")


def test_every_operation_has_summary_example_failures_and_a_stable_id() -> None:
    ids = []
    for name, operation in operations():
        ids.append(operation["operationId"])
        assert re.fullmatch(r"[a-z][a-z_]+", operation["operationId"]), name
        assert operation["summary"], name
        succeeded = {status: answer for status, answer in operation["responses"].items() if status.startswith("2")}
        shown = [media for answer in succeeded.values() for media in answer.get("content", {}).values()]
        assert any("example" in media or "examples" in media for media in shown) or set(succeeded) == {"204"}, name
        refused = {status: answer for status, answer in operation["responses"].items() if status[0] in "45"}
        assert refused, name
        for answer in refused.values():
            assert answer["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Failure"}, name
    assert len(ids) == len(set(ids))


def test_every_operation_that_takes_input_documents_its_refusal() -> None:
    for name, operation in operations():
        if operation.get("parameters") or "requestBody" in operation:
            assert "422" in operation["responses"], name
        if "requestBody" in operation:
            assert {"400", "413", "415"} <= set(operation["responses"]), name
        if operation.get("security"):
            assert "401" in operation["responses"], name


def test_nothing_of_the_framework_s_own_error_shape_is_left() -> None:
    assert "HTTPValidationError" not in DOCUMENT["components"]["schemas"]
