"""Lists: pages in the order of names, of those keys only which a caller may use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from msgspec import UNSET

from ron_kms.errors import BadRequest
from ron_kms.model import Caller, Kid, new_uuid
from ron_kms.service.local import LocalKms
from tests.service.place import Place, act, caller, counting

NAMES = [("acme", "audit"), ("acme", "audit-2"), ("acme", "release"), ("acme-prod", "audit"), ("zulu", "audit")]


@pytest.fixture(scope="module")
def kms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKms]:
    with Place(tmp_path_factory.mktemp("list")).open() as kms:
        for tenant, purpose in NAMES * 3:
            kms.create(tenant=tenant, purpose=purpose, suite="ed25519", labels={"n": purpose})
        yield kms


def names(kms: LocalKms, prefix: str = "", by: Caller | None = None) -> list[str]:
    answer = act(kms, by or caller(), "list", prefix=prefix, limit=1000)
    assert answer.next is UNSET
    return [key.kid for key in answer.keys]


def test_all_keys_in_the_order_of_their_names(kms: LocalKms) -> None:
    found = names(kms)
    assert len(found) == 15
    assert [Kid.parse(kid)[:3] for kid in found] == sorted(Kid.parse(kid)[:3] for kid in found)
    first = kms.list_keys(limit=1).keys[0]
    assert (first.use, first.newest, first.raw_messages, first.labels) == ("sign", 1, False, {"n": "audit"})


@pytest.mark.parametrize(("prefix", "count"), [("acme", 9), ("acme/audit", 3), ("acme/aud", 0), ("ac", 0), ("none", 0)])
def test_prefixes_are_whole_segments(kms: LocalKms, prefix: str, count: int) -> None:
    found = names(kms, prefix)
    assert len(found) == count
    assert all(kid.startswith(prefix + "/") for kid in found)


def test_a_prefix_may_name_one_key(kms: LocalKms) -> None:
    kid = names(kms)[4]
    assert names(kms, kid) == [kid]
    assert names(kms, str(Kid.parse(kid)._replace(uuid=new_uuid()))) == []


@pytest.mark.parametrize("limit", [1, 2, 4, 5, 14, 15, 16])
@pytest.mark.parametrize("prefix", ["", "acme"])
def test_pages_join_to_the_whole(kms: LocalKms, prefix: str, limit: int) -> None:
    found: list[str] = []
    after = None
    for _ in range(20):
        page = kms.list_keys(prefix, after=after, limit=limit)
        assert len(page.keys) <= limit
        found += [key.kid for key in page.keys]
        if page.next is UNSET:
            break
        after = page.next
    assert found == names(kms, prefix)


@pytest.mark.parametrize("prefix", ["/", "acme/", "/acme", "acme//audit", "a/b/c/d", "x" * 171])
def test_prefixes_that_cannot_be(kms: LocalKms, prefix: str) -> None:
    with pytest.raises(BadRequest):
        kms.list_keys(prefix)


def test_pages_that_cannot_be(kms: LocalKms) -> None:
    kid = names(kms, "acme")[0]
    for wrong in (
        {"limit": 0},
        {"limit": 1001},
        {"limit": -1},
        {"limit": "5"},
        {"after": "x" * 50},
        {"after": "short"},
    ):
        with pytest.raises(BadRequest):
            kms.list_keys(**wrong)  # type: ignore[arg-type]
    with pytest.raises(BadRequest, match="outside"):
        kms.list_keys("zulu", after=kid)


@pytest.mark.parametrize(
    ("by", "prefix", "count"),
    [
        (caller("acme"), "", 9),
        (caller("acme"), "acme/audit", 3),
        (caller("acme"), "acme-prod", 0),
        (caller("acme"), "zulu/audit", 0),
        (caller(None, "acme/audit"), "", 3),
        (caller(None, "acme/audit"), "acme", 3),
        (caller(None, "acme/audit"), "acme/release", 0),
        (caller("acme", "acme", "acme/release"), "", 3),
        (caller("zulu", "acme"), "", 0),
        (caller(None, "acme", "zulu"), "", 0),
    ],
)
def test_a_caller_lists_what_it_may_use(kms: LocalKms, by: Caller, prefix: str, count: int) -> None:
    found = names(kms, prefix, by)
    assert len(found) == count
    everything = names(kms, prefix)
    assert found == [kid for kid in everything if by.may_use(Kid.parse(kid))]


def test_lists_of_others_ask_no_store(kms: LocalKms) -> None:
    with counting(kms) as counted:
        assert names(kms, "zulu", caller("acme")) == []
    assert counted.reads == 0
