"""Two commits side by side: a baseline's tree and this one, on one core, under the same load in turns.

``python -m perf.ab --baseline COMMIT`` judges by the gates; docs/performance/gates.md says how.
"""
