"""Whether the backend is ready is found out by using it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ron_kms import _core
from tests.service.place import Place


def test_it_works_while_there_is_guarded_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Place(tmp_path).open() as kms:
        custodian = kms._kms.custodian
        assert custodian.works()

        def none_left(*_: object) -> None:
            raise _core.GuardedMemoryError("there is none left")

        with monkeypatch.context() as used_up:
            used_up.setattr(_core, "generate", none_left)
            assert not custodian.works()
        assert custodian.works()
