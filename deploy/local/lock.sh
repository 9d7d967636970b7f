#!/bin/sh
# Resolves pyproject.toml into requirements.lock (what `events up` installs) and requirements-dev.lock (that and the
# test tools).  The format is pip's own with hashes, so that any installer and any index can use it.
set -eu
uv=$1
compile() {
    "$uv" pip compile --quiet --universal --generate-hashes --python-version 3.11 \
        --custom-compile-command "make lock" pyproject.toml --extra local "$@"
}
compile --output-file requirements.lock
compile --group dev --constraint requirements.lock --output-file requirements-dev.lock
