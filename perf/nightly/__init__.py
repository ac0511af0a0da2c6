"""Everything that is measured, one after the other: the nightly run, and the baselines it is judged by.

``python -m perf.nightly`` (``make bench-nightly``); docs/performance/gates.md says how long it takes.
"""
