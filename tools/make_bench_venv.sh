#!/usr/bin/env bash
# Makes .venv-bench, where `make bench` runs the tools that thumbnet is compared with, or leaves it alone where it is up to
# date. It lies on top of .venv: torch and all else that .venv has is used from there, so that every variant runs on the
# same build of torch; benchmarks/requirements.txt has only what is missing: so it is made anew when .venv is, or gets more.
# Needs .venv (tools/make_venv.sh).
set -eu
cd "$(dirname "$0")/.."

venv=.venv-bench
stamp=$venv/installed

wanted=$({ pwd && .venv/bin/python -V && cat .venv/installed benchmarks/requirements.txt tools/make_bench_venv.sh; } |
    cksum | tr ' ' -)
[ "$(cat $stamp 2>/dev/null)" != "$wanted" ] || exit 0

echo "Making $venv with the versions of benchmarks/requirements.txt"
rm -rf $venv
.venv/bin/python -m venv --without-pip $venv
packages() {
    "$1" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'
}
packages "$PWD/.venv/bin/python" >"$(packages $venv/bin/python)/venv.pth"
if ! $venv/bin/python -m pip install --disable-pip-version-check --no-input --quiet \
    --constraint requirements.lock --requirement benchmarks/requirements.txt; then
    echo "make: the install failed, see above; nothing but $venv is concerned" >&2
    exit 1
fi
echo "$wanted" >$stamp
