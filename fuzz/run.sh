#!/bin/sh
# Builds fuzz/TARGET.c with kernels under ASan and UBSan, and runs it: fuzz/run.sh TARGET SECONDS
#
# build/fuzz/TARGET has the inputs that libFuzzer keeps, and crash-* for failing inputs.
# PYTHON makes the seeds.
set -e
cd "$(dirname "$0")/.."
target=$1 seconds=$2 kernels=src_cython/kernels out=build/fuzz
mkdir -p "$out/$target"
[ -d "$out/seeds" ] || "${PYTHON:-python3}" fuzz/seeds.py "$out/seeds"
sources="fuzz/$target.c"
kernel_names="crc32c decode entropy geometry huffman idct image libjpeg resample scans
    seek_points sequential span status transcode upsample vectors weights ycc"
for name in $kernel_names; do
    sources="$sources $kernels/$name.c"
done
flags="-g -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined -iquote $kernels"
if command -v clang > /dev/null; then
    clang $flags -fsanitize=fuzzer $sources -ljpeg -lm -o "$out/fuzz-$target"
    exec "$out/fuzz-$target" -max_len=65536 -max_total_time="$seconds" \
        -print_final_stats=1 -verbosity=0 \
        -artifact_prefix="$out/$target/crash-" "$out/$target" "$out/seeds"
fi
"${CC:-cc}" $flags fuzz/mutate.c $sources -ljpeg -lm -o "$out/fuzz-$target"
cd "$out/$target"
exec "../fuzz-$target" "$seconds" "$(date +%s)" ../seeds/*
