#!/bin/sh
# Installs missing system packages that the build needs. Usage: tools/system-packages.sh PYTHON
set -eu

python=$1

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "fastpack needs Python 3.11 or newer; install it and run: make PYTHON=python3.12" >&2
    exit 1
fi

# Debian's name of the Python, such as python3.11.
python_package=$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
python_headers=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')

missing=""
"$python" -c 'import ensurepip, venv' 2>/dev/null || missing="$missing $python_package-venv"
test -e "$python_headers/Python.h" || missing="$missing $python_package-dev"
echo '#include <stdlib.h>' | cc -E - >/dev/null 2>&1 || missing="$missing gcc libc6-dev"
pkg-config --version >/dev/null 2>&1 || missing="$missing pkg-config"
# The libraries of setup.py; Debian adds -dev.
for library in libjpeg libdeflate liblz4 libzstd; do
    pkg-config --exists "$library" 2>/dev/null || missing="$missing $library-dev"
done

if [ -z "$missing" ]; then
    exit 0
fi
if ! command -v apt-get >/dev/null; then
    echo "fastpack needs these packages (Debian's names):$missing; install them" >&2
    exit 1
fi

echo "Installing$missing"
if [ "$(id -u)" != 0 ]; then
    exec sudo "$0" "$python"
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086 # one argument for each package
apt-get install -qq --no-install-recommends $missing >/dev/null
