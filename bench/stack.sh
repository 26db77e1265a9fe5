#!/usr/bin/env bash
# The port table and the stack in figures, and the same of smoltcp, in one run. Needs no root. See bench/README.md.
#
#   bench/stack.sh [--quick] [--json FILE] [--only look-up,flows,connections,throughput,round-trips,receive,matrix]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
target=${CARGO_TARGET_DIR:-$here/../target}/stack

cargo build --quiet --release --manifest-path "$here/stack/Cargo.toml" --target-dir "$target"
echo "bench: $(uname -r), $(nproc) cpus, load $(cut -d' ' -f1 /proc/loadavg)" >&2
exec "$target/release/stack" "$@"
