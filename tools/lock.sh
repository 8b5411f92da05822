#!/usr/bin/env bash
# Writes requirements.lock: every dependency of pyproject.toml and of its test extra, for all platforms and from Python
# 3.11 on. Versions that are in the lock and still fit stay.
#
#   tools/lock.sh                        after a change in pyproject.toml
#   tools/lock.sh --upgrade              everything to its newest version
#   tools/lock.sh --upgrade-package dvc  one package
set -eu
cd "$(dirname "$0")/.."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
.venv/bin/python -m pip install --quiet --disable-pip-version-check --target "$scratch" uv
"$scratch/bin/uv" pip compile pyproject.toml --universal --python-version 3.11 --extra test \
    --output-file requirements.lock --python .venv/bin/python --no-emit-index-url --no-emit-find-links --quiet \
    --custom-compile-command "tools/lock.sh (uv pip compile --universal --python-version 3.11 --extra test)" "$@"
