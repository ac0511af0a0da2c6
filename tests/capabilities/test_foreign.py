"""Keys that are not the caller's: nothing in the answer, and nothing in its time, tells whether they exist."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterator

import pytest

from ron_kms.model import Kid, new_uuid
from tests.api.drive import Answer
from tests.capabilities.ranks import score
from tests.capabilities.test_verbs import REACHES
from tests.capabilities.world import Asked, World
from tests.counts import count

FOREIGN = ("tenant = core", "prefix = acme/log", "prefix = core/audit")
KEYED = [name for name, reaches in REACHES.items() if reaches == "key"]

BOUND = 6.0
"""Standard deviations. Without a difference they are exceeded once in 500 million runs."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("foreign"))
    yield world
    world.close()


def instead(asked: Asked, uuid: str) -> Asked:
    """The same request about a key with another uuid."""
    known = Kid.parse(asked.key).uuid

    def renamed(value: object) -> object:
        return value.replace(known, uuid) if isinstance(value, str) else value

    body = None if asked.body is None else {name: renamed(value) for name, value in asked.body.items()}
    return asked._replace(path=asked.path.replace(known, uuid), body=body)


def without_names(answer: Answer) -> tuple[int, str, dict[str, str]]:
    """All that is not of this one request."""
    text = re.sub(r'"(ts|request_id)":"[^"]*"', "", answer.content.decode())
    return answer.status, text, {name: text for name, text in answer.headers.items() if name != "x-corr-id"}


@pytest.mark.parametrize("name", KEYED)
def test_existing_and_absent_keys_have_equal_answers(world: World, name: str) -> None:
    existing = world.ask(name)
    absent = instead(existing, new_uuid())
    for caveat in FOREIGN:
        token = world.token(caveat)
        first, second = world.call(existing, token), world.call(absent, token)
        assert without_names(first) == without_names(second)
        assert len(first.content) == len(second.content)
        assert b"NotFound" in first.content


def test_existing_and_absent_foreign_tokens_have_equal_answers(world: World) -> None:
    token = world.token("tenant = core")
    first, second = (
        world.call(Asked("DELETE", f"tokens/{token_id}"), token) for token_id in (world.listed_token(), new_uuid())
    )
    assert without_names(first) == without_names(second)
    assert first.status == 404


def times(world: World, token: str, first: Asked, second: Asked, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds of both requests, one after the other in an order that is drawn anew for every pair."""
    taken: tuple[list[float], list[float]] = [], []
    draw = random.Random(1)
    for _ in range(rounds):
        pair = [(first, taken[0]), (second, taken[1])]
        if draw.random() < 0.5:
            pair.reverse()
        for asked, into in pair:
            begun = time.perf_counter()
            world.call(asked, token)
            into.append(time.perf_counter() - begun)
    return taken


@pytest.mark.parametrize("name", ["sign", "verify:batch", "get", "rotate"])
def test_existing_and_absent_foreign_keys_take_equal_time(world: World, name: str) -> None:
    existing = world.ask(name)
    token = world.token("tenant = core")
    first, second = times(world, token, existing, instead(existing, new_uuid()), count(300, 20_000))
    assert abs(score(first, second)) < BOUND


def test_what_does_differ_is_noticed(world: World) -> None:
    """The test of equal times would see a look-up: that of a key of one's own which does not exist."""
    own = world.ask("get")
    absent = instead(own, new_uuid())
    foreign = absent._replace(path=absent.path.replace("acme", "core"))
    first, second = times(world, world.token("tenant = acme"), foreign, absent, count(300, 3000))
    assert score(second, first) > 2 * BOUND


def test_the_score_is_that_of_the_textbook() -> None:
    assert score([1, 2, 3], [1, 2, 3]) == 0
    assert score(range(100), range(100, 200)) == pytest.approx(-12.217, abs=0.001)
    shifted = [value + 30 for value in range(200)]
    assert score(shifted, range(200)) > 4
    draw = random.Random(2)
    same = [[draw.gauss(100, 15) for _ in range(300)] for _ in range(2)]
    assert abs(score(*same)) < 4


def test_the_uuid_of_a_foreign_key_under_an_own_name_has_the_answer_of_none(world: World) -> None:
    foreign, own = world.key(tenant="core"), world.ask("get")
    token = world.token("tenant = acme")
    known, unknown = instead(own, foreign.uuid), instead(own, new_uuid())
    assert without_names(world.call(known, token)) == without_names(world.call(unknown, token))
