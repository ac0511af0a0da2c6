"""The gates: whether results are worse than their baselines, and by more than noise.

``scripts/perf/check_drift.py`` is the command, docs/performance/gates.md says how is judged.
"""
