"""What a process knows of changes to keys."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ron_kms.store.horizon import Horizon


def test_older_than_its_keys_last_change_is_outdated() -> None:
    horizon = Horizon()
    assert not horizon.outdated("a", 0)
    horizon.note("a", 5)
    assert horizon.outdated("a", 4)
    assert not horizon.outdated("a", 5)
    assert not horizon.outdated("b", 0)


def test_an_older_change_that_is_heard_of_later_takes_nothing_back() -> None:
    horizon = Horizon()
    horizon.note("a", 5)
    horizon.note("a", 3)
    assert horizon.outdated("a", 4)


@given(st.integers(1, 4), st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 40)), max_size=40))
def test_what_is_given_up_is_outdated_rather_than_believed(bound: int, heard: list[tuple[str, int]]) -> None:
    horizon = Horizon(bound)
    last: dict[str, int] = {}
    for uuid, n in heard:
        horizon.note(uuid, n)
        last[uuid] = max(n, last.get(uuid, 0))
    for uuid in "abcdef":
        for seen in range(last.get(uuid, 0)):
            assert horizon.outdated(uuid, seen)
        assert not horizon.outdated(uuid, 40)
    assert len(horizon) <= bound
