#include "vectors.h"

static int widest = 512;

void fp_allow_vectors(int allowed) { widest = allowed; }

int fp_may_use_avx2(void) {
#if FP_HAS_AVX2
    return widest >= 256 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
           __builtin_cpu_supports("bmi2");
#else
    return 0;
#endif
}

int fp_may_use_avx512(void) {
#if FP_HAS_AVX2
    return widest >= 512 && fp_may_use_avx2() && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
#else
    return 0;
#endif
}
