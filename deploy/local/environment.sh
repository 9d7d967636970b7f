#!/bin/sh
# Makes the environment VENV and installs exactly what LOCK names, each file checked by its SHA-256.
# PYTHON names another interpreter than the first fitting one on the PATH.
set -eu
venv=$1 lock=$2
uv_version=0.13.9
fits='import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))'

fail() {
    printf '%s\n' "$@" >&2
    exit 1
}

if [ ! -x "$venv/bin/python" ]; then
    for python in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if "$python" -c "$fits" 2>/dev/null; then break; fi
        python=
    done
    [ -n "$python" ] || fail "Events API needs Python 3.11, 3.12 or 3.13 with its venv module, and found none." \
        "Install one (on Debian: apt-get install python3 python3-venv) or name it: make up PYTHON=/path/to/python3.12"
    "$python" -m venv "$venv"
fi

started=$(date +%s)
[ -t 1 ] && printf '  … environment        installing %s\r' "$lock"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check "uv==$uv_version" ||
    fail "The installer could not be fetched.  Is a package registry reachable?  Behind a proxy: set PIP_INDEX_URL."
"$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --require-hashes --requirement "$lock" ||
    fail "The packages of $lock could not be installed; the lines above say which."
"$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --no-deps --editable . ||
    fail "The project itself could not be installed; the lines above say why."
printf '  ✓ environment        installed %26s s   first time only\n' "$(($(date +%s) - started))"
