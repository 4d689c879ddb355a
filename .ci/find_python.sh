#!/bin/sh
# Prints a Python that mxemu runs on and that can make virtual environments: the one named, else the first found.
# Usage: sh .ci/find_python.sh [python]
in_range='import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))'
bare=
for python in ${1:-python3 python3.14 python3.13 python3.12 python3.11 python}; do
  "$python" -c "$in_range" >/dev/null 2>&1 || continue
  if "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
    echo "$python"
    exit 0
  fi
  bare=${bare:-$python}
done
if [ -n "$bare" ]; then
  version=$("$bare" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  echo "$bare cannot make virtual environments; on Debian or Ubuntu: apt install python$version-venv" >&2
elif [ -n "${1:-}" ]; then
  echo "$1 is not a Python 3.11 to 3.14" >&2
else
  echo "no Python 3.11 to 3.14 found; name one: make check PYTHON=/path/to/python3" >&2
fi
exit 1
