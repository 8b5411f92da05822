#!/usr/bin/env bash
# Lets DVC work without git where git does not know this project (an unpacked archive, also one that lies within another
# repository), and with git where it does. The switch is in .dvc/config.local, which git ignores.
set -eu
cd "$(dirname "$0")/.."

switched_off() {
    grep -qs 'no_scm *= *true' .dvc/config.local
}

if git ls-files --error-unmatch dvc.yaml >/dev/null 2>&1; then
    if switched_off; then
        dvc config --quiet --local --unset core.no_scm
    fi
elif ! switched_off; then
    dvc config --quiet --local core.no_scm true
fi
