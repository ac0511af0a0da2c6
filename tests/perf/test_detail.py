"""Distributions and series come out of a record as they went in; what few values cannot tell is left out."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

if not (Path(__file__).parents[2] / "perf" / "detail.py").is_file():
    pytest.skip("the suites are not beside the tests", allow_module_level=True)

from perf import record
from perf.detail import Series, command, distribution, distributions, series


def _record(detail: object) -> record.Record:
    host = record.Host("box", "CPU", 2, 1 << 30, "6.1", "unknown", 0.1)
    made = record.Record(
        role="result",
        suite="load",
        name="sign",
        run="1",
        at=record.now(),
        seconds=1.0,
        setting={},
        host=host,
        code=record.Code("0" * 40, False, {}),
        measures=(),
        detail=detail,
    )
    return msgspec.json.decode(msgspec.json.encode(made), type=record.Record)


def test_a_distribution_tells_what_its_values_can() -> None:
    many = distribution("sign", [float(value) for value in range(1000, 0, -1)])
    assert dict(many.points)[0.5] == 500
    assert dict(many.points)[0.999] == 999
    assert 0.9999 not in dict(many.points)
    assert many.points[-1] == (1.0, 1000.0)
    assert [share for share, _ in distribution("sign", [1.0, 2.0]).points] == [0.5, 1.0]
    assert distribution("sign", []).points == ()


def test_both_come_back_from_a_file() -> None:
    one, other = Series("resident", "MiB", (0.0, 1.0), (60.0, None), "1"), distribution("sign", [1.0, 3.0])
    kept = _record({"series": [one], "distributions": [other], "command": "python -m perf.load sign"})
    assert (series(kept), distributions(kept)) == ([one], [other])
    assert command(kept) == "python -m perf.load sign"


@pytest.mark.parametrize("detail", [None, [], {}, {"series": None}])
def test_a_record_may_have_neither(detail: object) -> None:
    kept = _record(detail)
    assert (series(kept), distributions(kept), command(kept)) == ([], [], "python -m perf.load")


def test_something_else_under_the_name_is_told() -> None:
    with pytest.raises(msgspec.ValidationError):
        series(_record({"series": [{"name": "p95"}]}))
