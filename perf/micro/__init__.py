"""The native core beside the same calls in a plain C loop and beside pyca/cryptography, all in one run.

``python -m perf.micro`` (``make bench``) prints the table; docs/performance/micro.md says how it is measured.
"""
