#!/usr/bin/env bash
# Runs the fuzz targets under libFuzzer, which is guided by coverage: tools/fuzz.sh NAME runs those whose name contains
# it.
#   TIME=60   seconds for each target, or
#   RUNS=N    inputs for each target, or both: whichever ends first
# Interesting inputs are kept in target/fuzz/corpus/TARGET, failing ones in target/fuzz/failures/TARGET.
set -euo pipefail
cd "$(dirname "$0")/.."

# The flags that cargo-bolero sets for this engine, all stable options of rustc. An address sanitizer is not stable, and
# would find nothing here: no crate has unsafe code.
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module --cfg fuzzing_libfuzzer \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-sanitizer-coverage-stack-depth"
export BOLERO_FUZZER=libfuzzer
host=$(rustc -vV | sed -n 's/^host: //p')

# With `--target`, so that no flag reaches build scripts and macros.
build() {
  cargo test --profile fuzz --target "$host" --target-dir target/fuzz --no-run --message-format json-render-diagnostics "$@" |
    sed -n 's/.*"profile":{[^}]*"test":true}.*"executable":"\([^"]*\)".*/\1/p'
}
binaries=$(build --package auth-edge --lib; build --package auth-edge-verify --lib; build --package conformance --bin conformance; build --package fuzz --test readers)

failed=()
for binary in $binaries; do
  crate=$(basename "$binary" | sed 's/-[0-9a-f]*$//')
  for target in $("$binary" --list | sed -nE 's/^((.*::)?fuzz::.*|readers_.*): test$/\1/p' | grep -F -e "${1:-}"); do
    corpus=target/fuzz/corpus/$crate/$target
    failures=target/fuzz/failures/$crate/$target
    mkdir -p "$corpus" "$failures"
    echo "== $crate $target"
    arguments="$corpus -artifact_prefix=$failures/ -timeout=10 -print_final_stats=1"
    [ -z "${RUNS:-}" ] || arguments+=" -runs=$RUNS"
    [ -n "${TIME:-}" ] || [ -n "${RUNS:-}" ] || TIME=60
    [ -z "${TIME:-}" ] || arguments+=" -max_total_time=$TIME"
    BOLERO_LIBFUZZER_ARGS=$arguments "$binary" "$target" --exact --nocapture --quiet --test-threads 1 || failed+=("$target")
  done
done
[ ${#failed[@]} -eq 0 ] || { printf 'failed: %s\n' "${failed[@]}" >&2; exit 1; }
