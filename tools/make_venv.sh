#!/usr/bin/env bash
# Makes .venv, with exactly the versions of requirements.lock, or leaves it alone where it is up to date.
#
#   tools/make_venv.sh          what the pipeline needs
#   tools/make_venv.sh test     that, and the tools of `make test`
#
# PYTHON=python3.12 chooses the Python; default: the first of those below that is 3.11 or newer. Needs no root.
set -eu
cd "$(dirname "$0")/.."

extra=${1:-run}
venv=.venv
stamp=$venv/installed

# What .venv was made from, in a word: it is up to date as long as this does not change. The folder counts because a
# virtual environment that was moved does not work.
fingerprint() {
    { pwd && cat pyproject.toml requirements.lock tools/make_venv.sh; } | cksum | tr ' ' -
}

fail() {
    printf 'make: %s\n' "$1" >&2
    exit 1
}

is_new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        is_new_enough "$PYTHON" || fail "PYTHON=$PYTHON is no Python 3.11 or newer"
        echo "$PYTHON"
        return
    fi
    for candidate in python3.11 python3 python3.12 python3.13 python3.14; do
        if is_new_enough "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    fail "no Python 3.11 or newer found. Install one (Debian: apt-get install python3), or name it: make PYTHON=/path/to/python3"
}

is_usable() {
    [ -x $venv/bin/python ] && [ "$(head -n 1 $stamp 2>/dev/null)" != unfinished ] &&
        [ "$(cat $venv/made-in 2>/dev/null)" = "$PWD" ] &&
        { [ -z "${PYTHON:-}" ] || [ "$($venv/bin/python -V)" = "$("$PYTHON" -V 2>/dev/null)" ]; }
}

create() {
    python=$(find_python)
    echo "Making $venv with $("$python" -V)"
    rm -rf $venv
    if ! complaint=$("$python" -m venv $venv 2>&1); then
        # Debian without python3-venv: the module is there, the pip that it copies is not.
        rm -rf $venv
        "$python" -m venv --without-pip $venv || fail "$python cannot make a virtual environment: $complaint"
        command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null ||
            fail "$python cannot put pip into a virtual environment: $complaint"
        install_pip_of_debian
    fi
    pwd >$venv/made-in
}

# Debian's own pip, without root: package lists and downloads go to a scratch folder.
install_pip_of_debian() {
    echo "This Python comes without pip; fetching it from Debian's package python3-pip-whl"
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    mkdir -p "$scratch/lists/partial" "$scratch/cache/archives/partial"
    own_state=(-o "Dir::State::Lists=$scratch/lists" -o "Dir::Cache=$scratch/cache" -o "APT::Sandbox::User=$(id -un)")
    {
        apt-get "${own_state[@]}" update && (cd "$scratch" && apt-get "${own_state[@]}" download python3-pip-whl)
    } >"$scratch/log" 2>&1 || {
        cat "$scratch/log" >&2
        fail "pip could not be fetched. As root, this does the same: apt-get install python3-venv"
    }
    dpkg-deb -x "$scratch"/python3-pip-whl_*.deb "$scratch"
    wheel=$(echo "$scratch"/usr/share/python-wheels/pip-*.whl)
    PYTHONPATH=$wheel $venv/bin/python -m pip install --quiet --no-index "$wheel"
}

pip_install() {
    $venv/bin/python -m pip install --disable-pip-version-check --no-input --constraint requirements.lock "$@"
}

install_project() {
    project=.
    [ "$extra" = run ] || project=".[$extra]"
    echo "Installing the versions of requirements.lock into $venv"
    # Setuptools first, and no build isolation: what has to be built is built with a pinned version, too.
    pip_install --quiet setuptools && pip_install --no-build-isolation --use-pep517 --editable "$project"
}

# What every Python of .venv does as it starts.
# - DVC's reports are turned off in .dvc/config; MLflow listens to environment variables only.
# - A queued experiment runs in DVC's temporary copy of the project, and must run the code of that copy.
set_up_start() {
    cat >"$($venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/thumbnet_start.pth" <<'PTH'
import os; os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true"); os.environ.setdefault("DO_NOT_TRACK", "true")
import os, sys; os.path.isdir("src/thumbnet") and sys.path.insert(0, os.path.abspath("src"))
PTH
}

wanted="$(fingerprint)"
if is_usable; then
    case "$(cat $stamp 2>/dev/null)" in
        "$wanted $extra" | "$wanted test") exit 0 ;;
    esac
else
    create
fi

# Ctrl-C can leave half a package behind, so an interrupted .venv is made anew. After an error of pip's (no network,
# say) the old one still stands, as pip installs nothing before it has everything.
before=$(cat $stamp 2>/dev/null || true)
echo unfinished >$stamp
trap 'exit 130' INT TERM
if ! install_project; then
    echo "$before" >$stamp
    fail "the install failed, see above. To try again: the same command; from scratch: rm -r $venv first"
fi
set_up_start
echo "$wanted $extra" >$stamp
$venv/bin/python tools/compile_kernels.py || true # the first training tries again
