"""The drill: twenty tenants go from classical to post-quantum keys while clients sign and verify all the time."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple, TypeVar

import pytest

from ron_kms.errors import StoreUnavailable
from ron_kms.service.local import LocalKms
from ron_kms.service.schema import TrackSignature
from tests.counts import count

T = TypeVar("T")

TENANTS = [f"tenant{n:02}" for n in range(20)]
KEYS = count(80, 2000) // len(TENANTS)
CLIENTS = 2
SHARES = (40, 100)
PROVOKED = TENANTS[7]


class Signed(NamedTuple):
    """A signature that has to verify for as long as no plan names its version."""

    kid: str
    digest: bytes
    sigs: list[TrackSignature]

    @property
    def key(self) -> str:
        return self.kid.partition("#")[0]

    @property
    def tenant(self) -> str:
        return self.kid.partition("/")[0]


def patient(call: Callable[[], T]) -> T:
    """Try again where the service says that it may succeed later, as it does on a machine too busy to be fresh."""
    for _ in range(100):
        try:
            return call()
        except StoreUnavailable:
            time.sleep(0.1)
    return call()


class World:
    """What clients and operator know, and what went wrong."""

    def __init__(self, kms: LocalKms) -> None:
        self.kms = kms
        self.archive: list[Signed] = []
        self.named: set[str] = set()
        self.phase = dict.fromkeys(TENANTS, 0)
        """Of each tenant, the least that holds for all its keys at this moment or later."""
        self.wrong: list[str] = []
        self.verified = 0
        self.stripped = 0
        self.stop = threading.Event()

    def sign(self, keys: list[str], rng: random.Random) -> list[Signed]:
        items = [{"kid": key, "digest": rng.randbytes(32)} for key in keys]
        found = []
        for item, result in zip(items, patient(lambda: self.kms.sign_batch(items)), strict=True):
            if result.error and result.error.retryable:
                found += self.sign([str(item["kid"])], rng)
            elif result.error:
                self.wrong.append(f"{item['kid']} did not sign: {result.error.code}")
            else:
                found.append(Signed(str(result.kid), item["digest"], list(result.sigs or ())))
        return found

    def verify(self, signed: list[Signed]) -> list[Any]:
        return self.kms.verify_batch([{"kid": one.kid, "digest": one.digest, "sigs": one.sigs} for one in signed])

    def client(self, seed: int) -> None:
        """Sign, verify it and older ones, and try forged and stripped ones."""
        rng = random.Random(seed)
        try:
            while not self.stop.wait(0.01):  # the operator needs the GIL, too
                fresh = self.sign([one.key for one in rng.sample(self.archive, 8)], rng)
                self._honest([*fresh, *rng.sample(self.archive, 8)])
                self._forged(fresh[:3])
                self._stripped(fresh)
        except BaseException as error:
            self.wrong.append(f"a client ended: {error!r}")
            raise

    def _honest(self, signed: list[Signed]) -> None:
        for one, result in zip(signed, self.verify(signed), strict=True):
            self.verified += 1
            if result.ok:
                continue
            reason = result.error.code if result.error else result.details.reason
            if reason != "pq_policy" or one.kid not in self.named:
                self.wrong.append(f"{one.kid} was refused: {reason}")

    def _forged(self, signed: list[Signed]) -> None:
        forged = [one._replace(digest=bytes(32)) for one in signed]
        for one, result in zip(forged, self.verify(forged), strict=True):
            if result.ok or result.details.reason != "bad_signature":
                self.wrong.append(f"a forgery of {one.kid} was answered with {result.details.reason}")

    def _stripped(self, signed: list[Signed]) -> None:
        """The post-quantum track taken off; that is refused from phase 2 on."""
        strict = [one for one in signed if len(one.sigs) == 2 and self.phase[one.tenant] >= 2]
        for one, result in zip(strict, self.verify([one._replace(sigs=one.sigs[:1]) for one in strict]), strict=True):
            self.stripped += 1
            if self.phase[one.tenant] >= 2 and (result.ok or result.details.reason != "pq_stripped"):
                self.wrong.append(f"a stripped {one.kid} was answered with {result.details.reason}")

    @contextmanager
    def clients(self) -> Iterator[None]:
        threads = [threading.Thread(target=self.client, args=(seed,)) for seed in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.stop.set()
            for thread in threads:
                thread.join()

    def advance(self, tenant: str, percent: int) -> None:
        """One step as ``ron-kms pq advance`` does it, after what the plan names was signed anew."""
        etag = self.kms.policy(tenant).etag
        plan = self.kms.plan_policy(tenant, rollout_percent=percent, limit=1000)
        assert not plan.next
        named = {kid for change in plan.changes for kid in change.refused or ()}
        self.named |= named
        for change in plan.changes:
            if change.becomes:
                suite = str(change.becomes)
                patient(partial(self.kms.rotate, change.kid, suite=suite))
        for i, one in enumerate(self.archive):
            if one.kid in named:
                [self.archive[i]] = self.sign([one.key], random.Random(i))
        done = self.kms.set_policy(
            tenant, phase=plan.step.phase, rollout_percent=plan.step.rollout_percent, if_match=etag
        )
        if done.rollout_percent == 100:
            self.phase[tenant] = done.phase

    def all_to(self, phase: int) -> None:
        for percent in SHARES:
            for tenant in TENANTS:
                self.advance(tenant, percent)
        assert {(found.phase, found.rollout_percent) for found in map(self.kms.policy, TENANTS)} == {(phase, 100)}

    def provoke(self, tenant: str) -> None:
        """A client that still makes classical keys, after the plan: this one tenant is taken back."""
        self.phase[tenant] = 1
        kid = self.kms.create(tenant=tenant, purpose="late", suite="ed25519").partition("#")[0]
        [late] = self.sign([kid], random.Random(0))
        [refused] = self.verify([late])
        assert refused.details.reason == "pq_policy"
        for other in TENANTS:
            policy = self.kms.policy(other)
            assert bool(policy.rolled_back) == (other == tenant)
            assert policy.phase == (1 if other == tenant else 2)
        [accepted] = self.verify([late])
        assert accepted.ok
        self.archive.append(late)


@pytest.mark.timeout(count(120, 1800))
def test_the_drill(kms: LocalKms) -> None:
    world = World(kms)
    for tenant in TENANTS:
        kms.set_policy(tenant, phase=0)
        keys = [kms.create(tenant=tenant, purpose="drill") for _ in range(KEYS)]
        world.archive += world.sign(keys, random.Random(tenant))
    assert {len(one.sigs) for one in world.archive} == {1}
    with world.clients():
        world.all_to(1)
        world.all_to(2)
        world.provoke(PROVOKED)
        world.advance(PROVOKED, 100)
        world.all_to(3)
    assert world.wrong == []
    assert world.verified > 100
    assert world.stripped > 10
    assert len(world.archive) == len(TENANTS) * KEYS + 1
    everything = [
        result for at in range(0, len(world.archive), 500) for result in world.verify(world.archive[at : at + 500])
    ]
    assert all(result.ok for result in everything)
    suites = {kms.get(one.key).versions[-1].suite for one in world.archive[:: count(1, 7)]}
    assert suites == {"ml-dsa-65"}
    registry = kms._kms.metrics.registry
    assert registry.get_sample_value("kms_pq_rollbacks_total") == 1
    assert not any(kms.policy(tenant).rolled_back for tenant in TENANTS)
