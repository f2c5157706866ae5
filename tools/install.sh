#!/usr/bin/env bash
# tools/install.sh CRATE VERSION PROGRAM [FLAG…]   puts a crate's program into .tools/bin: a link to the one on PATH if
# it has that version; else a prebuilt one, if cargo-binstall is installed; else one compiled here, without optimisation
set -euo pipefail
cd "$(dirname "$0")/.."
crate=$1 version=$2 program=$3
mkdir -p .tools/bin

if found=$(type -P "$program") && [ "$("$found" --version | cut -d ' ' -f 2)" = "$version" ]; then
    [ "$found" -ef ".tools/bin/$program" ] || ln -sf "$found" .tools/bin/
    exit
fi
if type -P cargo-binstall >/dev/null; then
    cargo binstall "$crate@$version" --no-confirm --disable-strategies compile --root .tools && exit
    echo "cargo-binstall found no prebuilt $crate; compiling it"
fi
export CARGO_PROFILE_DEV_DEBUG=0
cargo install "$crate" --version "$version" --bin "$program" --debug --root .tools --target-dir .tools/target "${@:4}"
