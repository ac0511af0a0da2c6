#!/usr/bin/env bash
# python -m perf.load run, from any folder: scripts/perf/load.sh TRANSPORT --mix NAME ...
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
python=$root/.venv/bin/python
[ -x "$python" ] || python=python3
transport=$1
shift
PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH} exec "$python" -m perf.load run --transport "$transport" "$@"
