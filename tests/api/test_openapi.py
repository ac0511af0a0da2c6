"""The OpenAPI document is valid and true, and the page that shows it loads nothing else."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from ron_kms.api.http.openapi import describe
from ron_kms.service.pipeline import OPERATIONS
from tests.api import sample
from tests.api.drive import ALL, JSON, Edge


@pytest.fixture
def spec(edge: Edge) -> dict[str, Any]:
    answer = edge.call("GET", "/openapi.json")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    spec: dict[str, Any] = answer.data
    return spec


def validate(spec: dict[str, Any], reference: dict[str, Any], instance: Any) -> None:
    Draft202012Validator({**reference, "components": spec["components"]}).validate(instance)


def test_the_document_is_valid(spec: dict[str, Any]) -> None:
    OpenAPIV31SpecValidator(spec).validate()


def test_the_services_own_document_is_valid_and_complete() -> None:
    spec = describe(OPERATIONS, 1 << 20)
    OpenAPIV31SpecValidator(spec).validate()
    listed = {(path, method) for path, methods in spec["paths"].items() for method in methods}
    assert listed == {(operation.path, operation.method.lower()) for operation in OPERATIONS}


def test_the_services_examples_fit_their_schemas() -> None:
    spec = describe(OPERATIONS, 1 << 20)
    for methods in spec["paths"].values():
        for operation in methods.values():
            for content in (operation.get("requestBody", {}).get("content", {}), operation["responses"].get("200", {})):
                for media in content.get("content", content).values():
                    if isinstance(media, dict) and "example" in media:
                        validate(spec, media["schema"], media["example"])


def test_every_field_of_a_request_says_what_it_means() -> None:
    spec = describe(OPERATIONS, 1 << 20)
    silent = [
        f"{name}.{field}"
        for name, schema in spec["components"]["schemas"].items()
        if name.endswith(("Request", "Item"))
        for field, described in schema["properties"].items()
        if "description" not in described and "$ref" not in described and "items" not in described
    ]
    assert silent == []


def test_answers_fit_the_document(edge: Edge, spec: dict[str, Any]) -> None:
    calls = [
        ("make", edge.post("/v1/kms/things", {"name": "a"})),
        ("find", edge.get("/v1/kms/things")),
        ("read", edge.get("/v1/kms/things/acme/one")),
        ("make:batch", edge.post("/v1/kms/things:batch", {"items": []})),
        ("make", edge.call("POST", "/v1/kms/things", b"{")),
        ("make", edge.call("POST", "/v1/kms/things", b"{", ALL, JSON)),
        *(("fail", edge.post("/v1/kms/fail", {"how": code})) for code in sample.WIRE_CODES),
    ]
    operations = {
        operation["operationId"]: operation for methods in spec["paths"].values() for operation in methods.values()
    }
    for name, answer in calls:
        response = operations[name]["responses"][str(answer.status)]
        if "$ref" in response:
            response = spec["components"]["responses"][response["$ref"].rpartition("/")[2]]
            assert answer.code in response["x-codes"]
        validate(spec, response["content"]["application/json"]["schema"], answer.data)
        for header in response["headers"]:
            assert header.lower() in answer.headers or header == "X-KMS-Cache-Age"


def test_parameters_scopes_and_limits_are_told(spec: dict[str, Any]) -> None:
    read = spec["paths"]["/v1/kms/things/{tenant}/{name}"]["get"]
    assert read["x-scope"] == "kms:read"
    told = {parameter["name"]: (parameter["in"], parameter["required"]) for parameter in read["parameters"][1:]}
    assert told == {"tenant": ("path", True), "name": ("path", True), "version": ("query", False)}
    assert spec["components"]["schemas"]["Things"]["properties"]["items"]["maxItems"] == 1024
    assert "1,048,576 bytes" in spec["info"]["description"]
    assert "Query" not in spec["components"]["schemas"]


def test_an_entity_tag_spares_the_second_reading(edge: Edge) -> None:
    for path in ("/openapi.json", "/docs"):
        first = edge.call("GET", path)
        for tag in (first.headers["etag"], f"W/{first.headers['etag']}", f'"x", {first.headers["etag"]}', "*"):
            again = edge.call("GET", path, b"", ("if-none-match", tag))
            assert (again.status, again.content) == (304, b"")
        assert edge.call("GET", path, b"", ("if-none-match", '"x"')).content == first.content


def test_the_page_loads_nothing_but_the_document(edge: Edge) -> None:
    answer = edge.call("GET", "/docs")
    html = answer.content.decode()
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert re.findall(r"https?://|src=|@import|\burl\(|innerHTML|<link", html) == []
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    for element in ("style", "script"):
        text = re.search(rf"<{element}>(.*?)</{element}>", html, re.DOTALL)
        assert text is not None
        digest = base64.b64encode(hashlib.sha256(text[1].encode()).digest()).decode()
        assert f"{element}-src 'sha256-{digest}'" in policy


def test_the_document_is_the_same_each_time() -> None:
    assert msgspec.json.encode(describe(OPERATIONS, 1)) == msgspec.json.encode(describe(OPERATIONS, 1))
