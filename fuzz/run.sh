#!/bin/sh
# fuzz/run.sh TARGET SECONDS builds fuzz/TARGET.c with the kernels under AddressSanitizer and UBSan,
# and runs it. New inputs are kept in build/fuzz/TARGET; inputs that fail are there as crash-*.
# PYTHON makes the seeds.
set -e
cd "$(dirname "$0")/.."
target=$1 seconds=$2 kernels=src_cython/kernels out=build/fuzz
mkdir -p "$out/$target"
[ -d "$out/seeds" ] || "${PYTHON:-python3}" fuzz/seeds.py "$out/seeds"
sources="fuzz/$target.c"
for name in crc32c decode entropy geometry huffman idct image libjpeg resample scans seek_points \
    sequential span status transcode upsample vectors weights ycc; do
    sources="$sources $kernels/$name.c"
done
flags="-g -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined -iquote $kernels"
if command -v clang > /dev/null; then
    clang $flags -fsanitize=fuzzer $sources -ljpeg -lm -o "$out/fuzz-$target"
    exec "$out/fuzz-$target" -max_len=65536 -max_total_time="$seconds" -print_final_stats=1 \
        -verbosity=0 -artifact_prefix="$out/$target/crash-" "$out/$target" "$out/seeds"
fi
"${CC:-cc}" $flags fuzz/mutate.c $sources -ljpeg -lm -o "$out/fuzz-$target"
cd "$out/$target"
exec "../fuzz-$target" "$seconds" "$(date +%s)" ../seeds/*
