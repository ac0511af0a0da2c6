"""What the ASGI application adds to its cryptography, without a server: single requests and batches, in process.

``python -m perf.edge`` prints the table; docs/performance/micro.md says how it is measured.
"""
