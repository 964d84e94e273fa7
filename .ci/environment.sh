#!/bin/sh
# Creates a virtual environment with churnsurv and everything it is tested with; says what is missing on this machine.
# usage: environment.sh FOLDER
set -eu
folder="${1:-.venv}"

# A name on the PATH may be a shim without an interpreter behind it, so each candidate must run.
python=""
for candidate in python3.12 python3.11 python3; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
        python="$candidate"
        break
    fi
done

has_uv() { command -v uv >/dev/null 2>&1; }

if [ -z "$python" ] && ! has_uv; then
    echo "churnsurv needs Python 3.11 or 3.12: none of python3.12, python3.11, python3 is one." >&2
    echo "Install one (Debian, Ubuntu: apt install python3 python3-venv; macOS: brew install python@3.12), or uv." >&2
    exit 1
fi
if ! has_uv && ! "$python" -c 'import venv, ensurepip' >/dev/null 2>&1; then
    echo "$python lacks the modules venv and ensurepip." >&2
    echo "Install them (Debian, Ubuntu: apt install python3-venv), or install uv." >&2
    exit 1
fi
if [ -n "$python" ] && "$python" -c 'import sys; sys.exit(sys.version_info < (3, 13))' 2>/dev/null; then
    echo "Note: on Python 3.13 and later scikit-survival cannot be installed; comparisons with it are skipped." >&2
fi

echo "Creating $folder with ${python:-a Python fetched by uv} (a minute or two) ..."
if has_uv; then
    uv venv --quiet --allow-existing --python "${python:-3.12}" "$folder"
    VIRTUAL_ENV="$folder" uv pip install --quiet --constraint constraints.txt --editable '.[report,notebooks,dev]'
else
    "$python" -m venv "$folder"
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check \
        --constraint constraints.txt --editable '.[report,notebooks,dev]'
fi
