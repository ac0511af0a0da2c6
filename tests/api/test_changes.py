"""Calls that change something: fields of the path and of the body together, If-Match, ETag."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.api.drive import ALL, JSON, MSGPACK, Answer, Edge

PATH = "/v1/kms/changes/acme/3"
IF_MATCH = ("if-match", '"r-6"')


def patch(edge: Edge, data: Any, path: str = PATH, *headers: tuple[str, str]) -> Answer:
    return edge.call("PATCH", path, msgspec.json.encode(data), ALL, JSON, *headers)


def test_path_and_body_make_one_request_in_both_formats(edge: Edge) -> None:
    expected = {"tenant": "acme", "number": 3, "size": 5, "data": b"x"}
    answer = patch(edge, {"size": 5, "data": b"x"}, PATH, IF_MATCH)
    assert (answer.status, answer.data["fields"]) == (200, expected | {"data": "eA=="})
    packed = edge.call("PATCH", PATH, msgspec.msgpack.encode({"size": 5, "data": b"x"}), ALL, MSGPACK, IF_MATCH)
    assert packed.data["fields"] == expected


def test_null_and_absent_are_told_apart(edge: Edge) -> None:
    assert "size" not in patch(edge, {"data": b""}).data["fields"]
    assert patch(edge, {"data": b"", "size": None}).data["fields"]["size"] is None


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("/v1/kms/changes/ACME/3", {"data": ""}),
        ("/v1/kms/changes/acme/0", {"data": ""}),
        ("/v1/kms/changes/acme/x", {"data": ""}),
        ("/v1/kms/changes/acme/3", {"data": "", "tenant": "acme"}),
        ("/v1/kms/changes/acme/3", {"data": "", "number": 4}),
        ("/v1/kms/changes/acme/3", {"data": "", "more": 1}),
        ("/v1/kms/changes/acme/3", {"data": "", "size": 1001}),
        ("/v1/kms/changes/acme/3", {"size": 1}),
        ("/v1/kms/changes/acme/3?size=1", {"data": ""}),
    ],
)
def test_both_are_strict(edge: Edge, path: str, data: dict[str, Any]) -> None:
    answer = patch(edge, data, path)
    assert (answer.status, answer.code) == (400, "BadRequest")
    assert edge.kms.acted == 0


def test_a_body_that_needs_nothing_may_be_left_away(edge: Edge) -> None:
    expected = {"tenant": "acme", "number": 3, "seconds": 30, "notes": {}}
    assert edge.call("DELETE", PATH, b"", ALL).data["fields"] == expected
    assert edge.call("DELETE", PATH, b"{}", ALL, JSON).data["fields"] == expected
    told = edge.call("DELETE", PATH, b'{"seconds":7,"notes":{"a":"b"}}', ALL, JSON).data["fields"]
    assert told == expected | {"seconds": 7, "notes": {"a": "b"}}
    assert edge.call("DELETE", PATH, b"{}", ALL).code == "Unsupported"
    assert edge.call("DELETE", PATH, b"", ALL, JSON).code == "BadRequest"
    assert edge.call("DELETE", "/v1/kms/changes/acme/0", b"", ALL).code == "BadRequest"
    assert edge.call("DELETE", f"{PATH}?seconds=7", b"", ALL).code == "BadRequest"


def test_a_call_whose_path_says_everything_takes_no_body(edge: Edge) -> None:
    assert edge.call("POST", f"{PATH}/restore", b"", ALL).data["fields"] == {"tenant": "acme", "number": 3}
    assert edge.call("POST", f"{PATH}/restore", b"{}", ALL, JSON).code == "BadRequest"
    assert edge.call("POST", f"{PATH}/restore?x=1", b"", ALL).code == "BadRequest"


@pytest.mark.parametrize(("value", "understood"), [('"r-6"', "r-6"), ("*", "*"), (' "1" ', "1"), ('"!#[]~"', "!#[]~")])
def test_if_match_reaches_the_operation(edge: Edge, value: str, understood: str) -> None:
    assert patch(edge, {"data": ""}, PATH, ("if-match", value)).data["if_match"] == understood


def test_without_if_match_the_operation_decides(edge: Edge) -> None:
    assert patch(edge, {"data": ""}).data["if_match"] is None
    assert edge.call("DELETE", PATH, b"", ALL, IF_MATCH).data["if_match"] is None


@pytest.mark.parametrize("value", ["", "r-6", 'W/"r-6"', '"a", "b"', '"a" "b"', '"', '""', '"\xe9"', '"a\tb"', "**"])
def test_anything_else_is_refused_before_the_body_counts(edge: Edge, value: str) -> None:
    answer = patch(edge, {"nonsense": 1}, PATH, ("if-match", value))
    assert (answer.status, answer.code) == (400, "BadRequest")
    assert "If-Match" in answer.message


def test_two_if_match_are_refused(edge: Edge) -> None:
    assert "If-Match" in patch(edge, {"data": ""}, PATH, IF_MATCH, IF_MATCH).message


def test_the_answer_carries_its_entity_tag(edge: Edge) -> None:
    answer = edge.call("DELETE", PATH, b"", ALL)
    assert (answer.headers["etag"], answer.data["etag"]) == ('"r-7"', "r-7")


def test_the_document_tells_where_each_field_goes(edge: Edge) -> None:
    spec = edge.call("GET", "/openapi.json").data
    methods = spec["paths"]["/v1/kms/changes/{tenant}/{number}"]
    told = {
        method: [parameter.get("name", parameter.get("$ref")) for parameter in operation["parameters"]][1:]
        for method, operation in methods.items()
    }
    assert told == {"patch": ["tenant", "number", "#/components/parameters/IfMatch"], "delete": ["tenant", "number"]}
    assert [methods[method]["requestBody"]["required"] for method in ("patch", "delete")] == [True, False]
    assert list(spec["components"]["schemas"]["Change"]["properties"]) == ["size", "data"]
    assert "requestBody" not in spec["paths"]["/v1/kms/changes/{tenant}/{number}/restore"]["post"]
    assert "ETag" in methods["delete"]["responses"]["200"]["headers"]
