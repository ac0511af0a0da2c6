"""The settings of a key: what may be set to what, and only by whom has read the key as it is."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from msgspec.structs import asdict

from ron_kms.errors import BadRequest, Conflict, KmsError, NotFound, PreconditionFailed
from ron_kms.service.local import LocalKms
from tests.life.place import Place, make


def settings(kms: LocalKms, key: str) -> dict[str, Any]:
    return {name: value for name, value in asdict(kms.get(key)).items() if name != "versions"}


def test_a_new_key(kms: LocalKms) -> None:
    kid = kms.create(tenant="acme", purpose="audit", labels={"a": "b"}, policy_hints={"c": "d"})
    found = settings(kms, kid)
    expected = {
        "state": "enabled",
        "labels": {"a": "b"},
        "policy_hints": {"c": "d"},
        "min_verify_version": 1,
        "min_open_version": 1,
        "deletion_protection": False,
        "etag": "1",
    }
    assert found | expected == found


CHANGES: list[dict[str, Any]] = [
    {"min_verify_version": 2},
    {"min_open_version": 3},
    {"deletion_protection": True},
    {"rotation_period": 3600},
    {"labels": {"team": "blue"}},
    {"policy_hints": {"team": "blue"}},
    {"min_verify_version": 3, "labels": {}, "deletion_protection": True},
]


@pytest.mark.parametrize("changes", CHANGES)
def test_what_is_named_changes_and_nothing_else_also_after_a_restart(place: Place, changes: dict[str, Any]) -> None:
    with place.open() as kms:
        key = make(kms, versions=3)
        kms.update(key, labels={"old": "label"})
        before = settings(kms, key)
        answer = kms.update(key, **changes)
        after = settings(kms, key)
        assert asdict(answer) == after
    due = {"next_rotation"} if "rotation_period" in changes else set()
    assert {name for name in after if after[name] != before[name]} == {*changes, *due, "etag"}
    assert after | changes == after
    with place.open() as kms:
        assert settings(kms, key) == after


@pytest.mark.parametrize("name", ["min_verify_version", "min_open_version"])
def test_minimum_versions_only_rise_to_the_newest(kms: LocalKms, name: str) -> None:
    key = make(kms, versions=3)
    kms.update(key, **{name: 2})  # type: ignore[arg-type]
    for number in (1, 4):
        with pytest.raises(Conflict):
            kms.update(key, **{name: number})  # type: ignore[arg-type]
    kms.update(key, **{name: 3})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"min_verify_version": 0},
        {"rotation_period": 59},
        {"rotation_period": 10**9},
        {"rotation_period": "1h"},
        {"labels": {"": "x"}},
        {"labels": {str(n): "x" for n in range(33)}},
        {"policy_hints": {str(n): "x" for n in range(17)}},
        {"deletion_protection": None},
        {"labels": None},
    ],
)
def test_what_cannot_be(kms: LocalKms, changes: dict[str, Any]) -> None:
    key = make(kms)
    with pytest.raises(BadRequest):
        kms.update(key, **changes)
    assert kms.get(key).etag == "1"


def test_nothing_new_changes_nothing(kms: LocalKms) -> None:
    key = make(kms)
    assert kms.update(key, labels={}, min_verify_version=1).etag == "1"
    assert kms.set_state(f"{key}#v1", "enabled").etag == "1"


def test_what_is_not_there(kms: LocalKms) -> None:
    key = make(kms)
    with pytest.raises(NotFound):
        kms.update(f"{key[:-4]}0000", labels={})
    with pytest.raises(NotFound):
        kms.set_state(f"{key}#v2", "disabled")


def test_every_change_of_a_key_or_a_version_changes_the_tag(kms: LocalKms) -> None:
    key = make(kms)
    seen = [kms.get(key).etag]
    for change in (
        lambda: kms.rotate(key),
        lambda: kms.update(key, labels={"a": "b"}),
        lambda: kms.set_state(f"{key}#v1", "disabled"),
        lambda: kms.destroy(f"{key}#v1"),
        lambda: kms.restore(f"{key}#v1"),
        lambda: kms.destroy(key),
        lambda: kms.restore(key),
    ):
        change()
        seen.append(kms.get(key).etag)
    assert len(set(seen)) == len(seen)


def test_an_old_tag_changes_nothing(kms: LocalKms) -> None:
    key = make(kms)
    old = kms.get(key).etag
    kms.update(key, labels={"a": "b"}, if_match=old)
    before = kms.get(key)
    for tag in (old, "", "0", "x"):
        with pytest.raises(PreconditionFailed):
            kms.update(key, labels={}, if_match=tag)
        with pytest.raises(PreconditionFailed):
            kms.set_state(f"{key}#v1", "disabled", if_match=tag)
    assert kms.get(key) == before


def test_of_changes_that_race_with_one_tag_one_wins(kms: LocalKms) -> None:
    key = make(kms)
    for _ in range(5):
        tag = kms.get(key).etag

        def change(n: int, tag: str = tag) -> str:
            try:
                return str(kms.update(key, labels={"n": f"{tag}-{n}"}, if_match=tag).labels["n"])
            except KmsError as error:
                return error.code

        with ThreadPoolExecutor(8) as pool:
            told = list(pool.map(change, range(8)))
        assert told.count("PreconditionFailed") == 7
        [won] = set(told) - {"PreconditionFailed"}
        assert kms.get(key).labels == {"n": won}
