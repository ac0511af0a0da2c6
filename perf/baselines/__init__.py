"""What results are compared with: a folder of records for each kind of machine, kept in the repository.

``python -m perf.baselines`` takes them anew on this machine; docs/performance/gates.md says when.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent
