#!/usr/bin/env bash
# Installs what the tests need beside Rust, Node and Python: the Python checkers in .venv
# and, for the browser tests, Chromium. Does nothing where everything is there.
#
#   tests/setup.sh [python]      with `python`: only what is in .venv
set -euo pipefail
cd "$(dirname "$0")/.."

have() { command -v "$1" >/dev/null 2>&1; }

# Debian's packages, where there are any and we may install them.
apt_install() {
  have apt-get || return 1
  local sudo=()
  if [ "$(id -u)" -ne 0 ]; then
    have sudo || return 1
    sudo=(sudo)
  fi
  echo "setup: installing $* with apt-get"
  "${sudo[@]}" apt-get update -qq
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >/dev/null
}

give_up() {
  echo "setup: $1" >&2
  exit 1
}

python_checkers() {
  if [ .venv/.installed -nt tests/requirements.txt ]; then return; fi
  # Debian ships Python without what `venv` needs.
  if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    apt_install python3-venv || give_up "install Python 3 with its venv module, then run this again"
  fi
  echo "setup: installing tests/requirements.txt into .venv"
  python3 -m venv .venv
  .venv/bin/pip install --quiet --disable-pip-version-check -r tests/requirements.txt
  touch .venv/.installed
}

browser() {
  # Without browser tests nobody needs a browser.
  [ -d tests/browser ] || return 0
  local name
  for name in chromium chromium-browser google-chrome; do
    if have "$name"; then return; fi
  done
  apt_install chromium || give_up "install Chromium or Google Chrome, then run this again"
}

# The lock file that npm keeps in node_modules tells what is installed.
npm_packages() {
  [ -f "$1/package-lock.json" ] || return 0
  if [ "$1/node_modules/.package-lock.json" -nt "$1/package-lock.json" ]; then return; fi
  echo "setup: installing the packages of $1"
  # The system's Chromium is used, so Playwright's own is not downloaded.
  (cd "$1" && PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --no-audit --no-fund --loglevel=error)
}

python_checkers
if [ "${1:-}" = python ]; then exit; fi
browser
npm_packages tests/browser
npm_packages client
npm_packages docs/examples/typescript
