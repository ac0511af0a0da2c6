#!/usr/bin/env bash
# Brings this machine and .venv to the state that `make` needs, installing only what is missing:
#   scripts/setup.sh run    to run ron-kms from the source tree
#   scripts/setup.sh dev    to test, check, measure and release it as well
# A second call finds stamps in .venv and returns at once. What it cannot install it names in one sentence.
set -euo pipefail
cd "$(dirname "$0")/.."

stage=${1:?usage: scripts/setup.sh run|dev}
export PATH="$PATH:/usr/sbin:/sbin:$HOME/.cargo/bin"
export PIP_DISABLE_PIP_VERSION_CHECK=1

say() { echo "setup: $*" >&2; }
stop() {
    say "$*"
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# --- stamps: .venv/.<name>.stamp holds a digest of all that the step depends on --------------------------------------

digest() { { python_identity && cat "$@"; } | sha256sum; }
python_identity() { readlink -f .venv/bin/python && uname -m; }
done_already() { [ -f ".venv/.$1.stamp" ] && [ "$(cat ".venv/.$1.stamp")" = "$2" ]; }
stamp() { echo "$2" >".venv/.$1.stamp"; }

# --- system packages -------------------------------------------------------------------------------------------------

has_header() { echo "#include <$1>" | cc -E - >/dev/null 2>&1; }

missing_packages() {
    have cc && has_header stdio.h || echo gcc libc6-dev
    have make || echo make
    have cmake || [ -n "${RON_KMS_LIBOQS_PREFIX:-}" ] || echo cmake
    have curl || echo curl
    ldconfig -p 2>/dev/null | grep 'libsodium\.so' >/dev/null || echo libsodium23
    # pysqlite3 has no wheel for other machines, and is compiled there
    [ "$(uname -m)" = x86_64 ] || has_header sqlite3.h || echo libsqlite3-dev
    if [ "$stage" = dev ]; then
        have cc && has_header sodium.h || echo libsodium-dev
        have h2load || echo nghttp2-client
        have hyperfine || echo hyperfine
        have ip || echo iproute2
        have strace || echo strace
    fi
}

install_packages() {
    local sudo=""
    [ $# -gt 0 ] || return 0
    have apt-get || stop "install $*, by these or your system's own names, and try again."
    if [ "$(id -u)" -ne 0 ]; then
        have sudo && sudo -n true 2>/dev/null || stop "without root nothing can be installed here; run: apt-get install $*"
        sudo="sudo -n"
    fi
    say "installing $*"
    { $sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $sudo apt-get install -qq -y --no-install-recommends "$@"; } \
        >&2 || stop "apt-get could not install them; run: apt-get install $*"
}

# --- Python ----------------------------------------------------------------------------------------------------------

# Accepts a Python from 3.11 to 3.14 that can make a virtual environment and compile extensions for itself.
SUITABLE='
import sys, sysconfig, os.path
import ensurepip, venv
assert (3, 11) <= sys.version_info[:2] <= (3, 14) and sys.implementation.name == "cpython"
assert os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h"))
'

suitable_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if "$candidate" -c "$SUITABLE" >/dev/null 2>&1; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

make_environment() {
    local python
    if ! python=$(suitable_python) && [ -z "${PYTHON:-}" ]; then
        install_packages python3 python3-venv python3-dev
        python=$(suitable_python) || true
    fi
    [ -n "$python" ] || stop "install Python 3.11 to 3.14 with its venv module and headers, or name one: make PYTHON=/path/to/python3.12"
    say "making .venv with $("$python" --version)"
    "$python" -m venv --clear .venv
}

install_locked() {
    .venv/bin/python -m pip install --quiet --require-hashes --no-deps "$@"
}

# Checks the alert rules in deploy/. Only the program: its package would start a Prometheus server on this machine.
fetch_promtool() {
    local folder
    have apt-get && have dpkg-deb || return 1
    folder=$(mktemp -d)
    (
        cd "$folder" && chmod 0755 . && { apt-get download -qq prometheus || { apt-get update -qq && apt-get download -qq prometheus; }; } &&
            dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool
    ) >/dev/null 2>&1 && mv "$folder/usr/bin/promtool" .venv/bin/
    rm -rf "$folder"
    [ -x .venv/bin/promtool ]
}

# --- the steps -------------------------------------------------------------------------------------------------------

.venv/bin/python -c "$SUITABLE" 2>/dev/null || rm -f .venv/.*.stamp

packages=$(digest requirements/*.lock scripts/setup.sh 2>/dev/null || true)
if ! done_already dev "$packages" && ! done_already "$stage" "$packages"; then
    # shellcheck disable=SC2046  # one word a package
    install_packages $(missing_packages)
    .venv/bin/python -c "$SUITABLE" 2>/dev/null || make_environment
    packages=$(digest requirements/*.lock scripts/setup.sh)
    say "installing Python packages into .venv"
    install_locked -r requirements/build.lock
    install_locked --use-pep517 --no-build-isolation -r "requirements/$stage.lock"
    if [ "$stage" = dev ] && ! have promtool && ! [ -x .venv/bin/promtool ]; then
        fetch_promtool || say "promtool could not be had; the tests of the alert rules will be skipped"
    fi
    stamp "$stage" "$packages"
fi

native=$(digest pyproject.toml setup.py requirements/build.lock wheels/build_liboqs.py wheels/liboqs/Cargo.* \
    src/ron_kms/_oqs_build.py src/ron_kms/_core.pyx src/ron_kms/core/*)
if ! done_already native "$native" || ! [ -e src/ron_kms/_core.abi3.so ] || ! [ -e src/ron_kms/_oqs.abi3.so ]; then
    .venv/bin/python wheels/build_liboqs.py >/dev/null
    say "building the native modules"
    .venv/bin/python -m pip install --quiet --no-build-isolation --no-deps --editable .
    stamp native "$native"
fi
