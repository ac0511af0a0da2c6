"""What a client may keep: ETag, Cache-Control, and 304 where it is still so (RFC 9110 13.1.2, RFC 9111)."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from ron_kms.api.http.headers import gather, unchanged
from tests.api.drive import ALL, Edge

PATH = "/v1/kms/changes/acme/3/shown"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_is_read_may_be_kept_and_is_asked_for_again(edge: Edge, method: str) -> None:
    answer = edge.call(method, PATH, b"", ALL)
    kept = {"cache-control": "private, no-cache", "vary": "accept", "etag": '"r-7"'}
    assert answer.status == 200
    assert kept.items() <= answer.headers.items()
    again = edge.call(method, PATH, b"", ALL, ("if-none-match", answer.headers["etag"]), ("x-corr-id", "mine"))
    assert (again.status, again.content) == (304, b"")
    assert again.headers == kept | {"x-corr-id": "mine"}


def test_other_answers_are_not_kept(edge: Edge) -> None:
    for answer in (
        edge.call("GET", "/v1/kms/things", b"", ALL),
        edge.call("DELETE", "/v1/kms/changes/acme/3", b"", ALL, ("if-none-match", '"r-7"')),
        edge.call("GET", PATH.replace("3", "0"), b"", ALL, ("if-none-match", '"r-7"')),
        edge.call("GET", PATH, b"", ("if-none-match", "*")),
    ):
        assert answer.status != 304
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "value",
    ['"r-7"', 'W/"r-7"', "*", '"a", "r-7"', '"a" ,W/"r-7",', ', "a,b" ,, "r-7"', '"a,", W/"", "r-7"', ' "r-7"\t'],
)
def test_tags_that_match(edge: Edge, value: str) -> None:
    assert edge.call("GET", PATH, b"", ALL, ("if-none-match", value)).status == 304


@pytest.mark.parametrize(
    "value",
    [
        "",
        "r-7",
        '"r-8"',
        '"r-7',
        'w/"r-7"',
        '"a" "r-7"',
        '"a,"r-7""',
        "*, *",
        '*, "r-7"',
        '"R-7"',
        'W/ "r-7"',
        '"x"r-7"',
    ],
)
def test_tags_that_do_not(edge: Edge, value: str) -> None:
    assert edge.call("GET", PATH, b"", ALL, ("if-none-match", value)).status == 200


def test_a_list_over_several_headers(edge: Edge) -> None:
    lines = [("if-none-match", '"a"'), ("if-none-match", '"r-7"')]
    assert edge.call("GET", PATH, b"", ALL, *lines).status == 304


@given(
    st.lists(st.tuples(st.booleans(), st.text("ab,*/W", max_size=4)), min_size=1, max_size=5),
    st.text("ab,*/W", min_size=1),
)
def test_any_list(tags: list[tuple[bool, str]], etag: str) -> None:
    value = ", ".join(f'{"W/" * weak}"{tag}"' for weak, tag in tags).encode()
    assert unchanged(gather([(b"if-none-match", value)]), etag) == (etag in [tag for _, tag in tags])


def test_long_nonsense_takes_no_time() -> None:
    for value in (b'"a"' + b", \t" * 20_000 + b"x", b'"' * 60_000, b'"a",' * 20_000 + b"x", b", " * 30_000):
        assert not unchanged({b"if-none-match": value}, "zz")


def test_the_document_tells_of_it(edge: Edge) -> None:
    spec = edge.call("GET", "/openapi.json").data
    described = spec["paths"]["/v1/kms/changes/{tenant}/{number}/shown"]["get"]
    assert described["responses"]["304"] == {"$ref": "#/components/responses/NotModified"}
    assert {"$ref": "#/components/parameters/IfNoneMatch"} in described["parameters"]
    assert {"ETag", "Cache-Control", "Vary"} <= described["responses"]["200"]["headers"].keys()
    assert "304" not in spec["paths"]["/v1/kms/things"]["get"]["responses"]
