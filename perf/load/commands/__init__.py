"""What ``python -m perf.load`` can be asked for."""
