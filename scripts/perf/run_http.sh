#!/usr/bin/env bash
# A running service under load, over HTTP/2: scripts/perf/run_http.sh --mix steady --duration 300
exec "$(dirname "$0")/load.sh" http2 "$@"
