#include "vectors.h"

static int vectors_allowed = 1;

void fp_allow_vectors(int allowed) { vectors_allowed = allowed; }

int fp_may_use_avx2(void) {
#if FP_HAS_AVX2
    return vectors_allowed && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
#else
    return 0;
#endif
}
