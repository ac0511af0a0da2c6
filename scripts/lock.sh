#!/usr/bin/env bash
# Writes the lock files: exact versions and hashes of every package, for every platform and every Python from 3.11 on.
#   build.lock  what builds ron-kms and the packages that come as source only
#   run.lock    what ron-kms needs to run
#   dev.lock    all of that, and what tests, checks, benchmarks and releases need
# They name no package index, so any index or mirror serves. Pass --upgrade to take newer versions.
set -euo pipefail
cd "$(dirname "$0")/.."

compile() {
    local name=$1
    shift
    echo "requirements/$name.lock"
    .venv/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --quiet \
        --custom-compile-command "make lock" --output-file "requirements/$name.lock" "$@"
}

compile build --group pyproject.toml:build "$@"
compile run pyproject.toml --constraints requirements/build.lock "$@"
compile dev pyproject.toml --group pyproject.toml:dev --constraints requirements/run.lock "$@"
