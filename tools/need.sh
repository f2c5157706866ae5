#!/usr/bin/env bash
# tools/need.sh rust wasm cc node curl python   checks that each is installed, and lists what is missing with the
# command that installs it
set -uo pipefail
cd "$(dirname "$0")/.."
missing=''

lack() { missing+="  $1"$'\n'"      $2"$'\n'; }
has() { type -P "$1" >/dev/null; }
# Is version $2 at least $1?
at_least() { [ "$(printf '%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }
# The command that installs a package, by its name for Debian and for Homebrew.
install() {
    if has apt-get; then echo "sudo apt-get install $1"; elif has brew; then echo "brew install $2"; else echo "install $2"; fi
}

rustup="curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"
rust() {
    local version wanted
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    has cargo && has rustc || { lack "Rust $wanted or newer" "$rustup"; return; }
    version=$(rustc --version | cut -d ' ' -f 2) && [ -n "$version" ] || { lack "a Rust toolchain" "rustup toolchain install stable"; return; }
    at_least "$wanted" "$version" || lack "Rust $wanted or newer (this is $version)" "rustup update stable"
}
wasm() {
    has rustc || return
    [ ! -d "$(rustc --print target-libdir --target wasm32-unknown-unknown 2>/dev/null)" ] || return
    if ! has rustup; then
        lack "Rust's target wasm32-unknown-unknown, by rustup" "$rustup"
    elif ! rustup target add wasm32-unknown-unknown; then
        lack "Rust's target wasm32-unknown-unknown" "rustup target add wasm32-unknown-unknown"
    fi
}
cc() { has cc || lack "a C compiler" "$(if [ "$(uname)" = Darwin ]; then echo xcode-select --install; else install build-essential gcc; fi)"; }
node() {
    local version
    version=$(command node --version 2>/dev/null | tr -d v) || version=''
    at_least 20 "${version:-0}" || lack "Node 20 or newer${version:+ (this is $version)}" "https://nodejs.org/en/download"
    has npm || lack "npm" "$(install npm node)"
}
curl() { has curl || lack curl "$(install curl curl)"; }
python() {
    python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null ||
        lack "Python 3.10 or newer, with its module venv" "$(install 'python3 python3-venv' python)"
}

for what in "$@"; do "$what"; done
[ -z "$missing" ] || { printf 'Missing; install these and try again:\n\n%s' "$missing" >&2; exit 1; }
