"""Batches equal singles, keep their order, and a bad item spoils no other."""

from __future__ import annotations

import mmap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ron_kms._core import KeySlot, PublicKey, generate, sign, verify
from ron_kms.crypto.suites import SUITES
from tests.counts import count
from tests.crypto.samples import NAMES, flipped, pair, whole

SUITE = st.sampled_from(NAMES)
ITEMS = st.lists(st.tuples(SUITE, st.binary(max_size=80)), max_size=12)


def single(slot: KeySlot, message: Any) -> Any:
    [result] = sign([slot], [message])
    return result


def judge(public: PublicKey, message: Any, signatures: Any) -> Any:
    [mask] = verify([public], [message], [signatures])
    return mask


@settings(max_examples=count(40, 1000))
@given(ITEMS)
def test_what_a_batch_signs_verifies_item_by_item(items: list[tuple[str, bytes]]) -> None:
    pairs = [pair(suite) for suite, _ in items]
    messages = [message for _, message in items]
    results: list[Any] = sign([slot for slot, _ in pairs], messages)
    expected = [whole(SUITES[suite]) for suite, _ in items]
    assert verify([public for _, public in pairs], messages, results) == expected
    for (suite, message), (slot, public), result, mask in zip(items, pairs, results, expected, strict=True):
        assert judge(public, message, result) == mask
        if suite == "ed25519":
            assert single(slot, message) == result


@settings(max_examples=count(60, 2000))
@given(ITEMS.filter(bool), st.data())
def test_a_batch_of_verifications_says_what_singles_say(items: list[tuple[str, bytes]], data: st.DataObject) -> None:
    keys, messages, signatures = [], [], []
    for suite, signed in items:
        slot, public = pair(suite)
        message = signed
        parts: list[Any] = list(single(slot, signed))
        at = data.draw(st.integers(0, len(parts) - 1))
        match data.draw(st.sampled_from(("good", "flip", "missing", "short", "long", "empty", "message", "kind"))):
            case "flip":
                parts[at] = flipped(parts[at], data.draw(st.integers(0, 8 * len(parts[at]) - 1)))
            case "missing":
                parts[at] = None
            case "short":
                parts[at] = parts[at][:-1]
            case "long":
                parts[at] += b"\0"
            case "empty":
                parts[at] = b""
            case "message":
                message += b"!"
            case "kind":
                parts[at] = bytearray(parts[at])
        keys.append(public)
        messages.append(message)
        signatures.append(tuple(parts))
    together = verify(keys, messages, signatures)
    assert together == [judge(*item) for item in zip(keys, messages, signatures, strict=True)]
    assert together[::-1] == verify(keys[::-1], messages[::-1], signatures[::-1])


def released() -> memoryview:
    view = memoryview(b"message")
    view.release()
    return view


def closed() -> mmap.mmap:
    mapped = mmap.mmap(-1, 16)
    mapped.close()
    return mapped


BAD: list[Any] = [None, "text", 7, [b"list"], memoryview(bytes(8))[::2], object(), released(), closed()]


@settings(max_examples=count(40, 1000))
@given(st.data())
def test_a_bad_item_spoils_no_other(data: st.DataObject) -> None:
    suite = data.draw(SUITE)
    slot, public = pair(suite)
    size = data.draw(st.integers(1, 12))
    messages: list[Any] = [b"%d" % number for number in range(size)]
    bad = data.draw(st.sets(st.integers(0, size - 1), min_size=1))
    for at in bad:
        messages[at] = BAD[data.draw(st.integers(0, len(BAD) - 1))]
    results: list[Any] = sign([slot] * size, messages)
    assert {at for at, result in enumerate(results) if isinstance(result, Exception)} == bad
    signatures = [single(slot, b"any") if at in bad else results[at] for at in range(size)]
    masks = verify([public] * size, messages, signatures)
    assert {at for at, mask in enumerate(masks) if isinstance(mask, Exception)} == bad
    assert {mask for at, mask in enumerate(masks) if at not in bad} <= {whole(SUITES[suite])}


class Wrong:
    """A sequence of signatures that raises what no sequence should."""

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> bytes:
        raise ZeroDivisionError


@pytest.mark.parametrize("wrong", [{"ed25519": b""}, Wrong(), [released()], (closed(),), "x", b"x"])
def test_signatures_of_a_bad_kind_spoil_no_others(wrong: Any) -> None:
    slot, public = pair("ed25519")
    good = single(slot, b"m")
    first, bad, last = verify([public] * 3, [b"m"] * 3, [good, wrong, good])
    assert isinstance(bad, Exception)
    assert first == last == 1


@pytest.mark.parametrize("suite", NAMES)
def test_order_is_kept_over_many_keys(suite: str) -> None:
    size = 16
    slots = generate(SUITES[suite].scheme, size)
    keys = [PublicKey(slot.scheme, slot.public_keys) for slot in slots]
    messages = [b"message %d" % number for number in range(size)]
    results: list[Any] = sign(slots, messages)
    valid = whole(SUITES[suite])
    assert verify(keys, messages, results) == [valid] * size
    assert verify(keys, messages, results[1:] + results[:1]) == [0] * size
    assert verify(keys[1:] + keys[:1], messages, results) == [0] * size
    assert len({slot.fingerprint for slot in slots}) == size


@pytest.mark.parametrize("suite", NAMES)
@pytest.mark.parametrize("size", [0, 1, 64 * 1024, 64 * 1024 + 1])
def test_messages_of_any_size(suite: str, size: int) -> None:
    slot, public = pair(suite)
    message = bytes(range(256)) * (size // 256) + bytes(size % 256)
    for view in (message, bytearray(message), memoryview(message), memoryview(bytearray(message))):
        result = single(slot, view)
        assert judge(public, message, result) == judge(public, view, result) == whole(SUITES[suite])
    if message:
        assert judge(public, message[:-1], result) == 0


def test_nothing_is_a_batch() -> None:
    assert sign([], []) == verify([], [], []) == []


@pytest.mark.parametrize("suite", NAMES)
def test_threads_do_not_disturb_each_other(suite: str) -> None:
    slot, public = pair(suite)

    def work(thread: int) -> list[Any]:
        masks: list[Any] = []
        for step in range(count(4, 60)):
            messages = [b"%d %d %d" % (thread, step, item) for item in range(8)]
            results: list[Any] = sign([slot] * 8, messages)
            masks += verify([public] * 8, messages, results)
        return masks

    with ThreadPoolExecutor(2) as pool:
        for masks in pool.map(work, range(2)):
            assert set(masks) == {whole(SUITES[suite])}


def test_other_threads_run_while_a_batch_does() -> None:
    """With the GIL held, the counting thread would stand still for the whole of the batch."""
    slot, public = pair("ml-dsa-87")
    size = 400
    moments: list[float] = []
    done = threading.Event()

    def count_up() -> None:
        while not done.is_set():
            moments.append(time.perf_counter())
            time.sleep(0.001)

    counting = threading.Thread(target=count_up)
    counting.start()
    try:
        results: list[Any] = sign([slot] * size, [b"message"] * size)
        between = time.perf_counter()
        masks = verify([public] * size, [b"message"] * size, results)
        end = time.perf_counter()
    finally:
        done.set()
        counting.join()
    assert masks == [1] * size
    assert sum(moment < between for moment in moments) > 2
    assert sum(between < moment < end for moment in moments) > 2
