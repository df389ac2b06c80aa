#!/bin/sh
# Installs missing system packages for the build; does nothing if all are installed.
# Usage: tools/system-packages.sh PYTHON
set -eu

python=$1

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "$python is older than Python 3.11; install a newer Python and pass its name to make," \
        "such as: make PYTHON=python3.12" >&2
    exit 1
fi

# Such as python3.11: Debian names the packages of a Python after it.
python_package=$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
python_headers=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')

missing=""
"$python" -c 'import ensurepip, venv' 2>/dev/null || missing="$missing $python_package-venv"
test -e "$python_headers/Python.h" || missing="$missing $python_package-dev"
echo '#include <stdlib.h>' | cc -E - >/dev/null 2>&1 || missing="$missing gcc libc6-dev"
pkg-config --version >/dev/null 2>&1 || missing="$missing pkg-config"
# The libraries of setup.py; Debian's packages have the same names.
for library in libjpeg libdeflate liblz4 libzstd; do
    pkg-config --exists "$library" 2>/dev/null || missing="$missing $library-dev"
done

if [ -z "$missing" ]; then
    exit 0
fi
if ! command -v apt-get >/dev/null; then
    echo "packages are missing, by their Debian names:$missing;" \
        "install them with your system's package manager" >&2
    exit 1
fi

echo "Installing$missing"
if [ "$(id -u)" != 0 ]; then
    exec sudo "$0" "$python"
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086 # the list is split into one argument per package
apt-get install -qq --no-install-recommends $missing >/dev/null
