/* Chooses between the vector paths and the plain paths of the pixel kernels. Both give the same
   pixels. */
#ifndef FASTPACK_VECTORS_H
#define FASTPACK_VECTORS_H

#if defined(__x86_64__)
#define FP_HAS_AVX2 1
/* All processors with AVX2 have BMI2, too. Entropy decoding needs its variable shifts. */
#define FP_AVX2 __attribute__((target("avx2,bmi,bmi2")))
/* From Intel's Ice Lake and AMD's Zen 4 on. */
#define FP_AVX512 __attribute__((target("avx2,bmi,bmi2,avx512f,avx512bw,avx512vl,avx512vnni")))
#else
#define FP_HAS_AVX2 0
#endif

#define FP_INLINE static inline __attribute__((always_inline))

int fp_may_use_avx2(void);
int fp_may_use_avx512(void);

/* For tests: sets the maximum width of vectors in bits: 0, 256 or 512. */
void fp_allow_vectors(int allowed);
#endif
