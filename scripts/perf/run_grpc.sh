#!/usr/bin/env bash
# The same over gRPC, which has not come yet: scripts/perf/run_grpc.sh --mix burst --burst-mult 10 --interval 300
exec "$(dirname "$0")/load.sh" grpc "$@"
