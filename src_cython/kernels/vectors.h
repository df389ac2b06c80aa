/* May the vector paths of the kernels for pixels be taken? They give the same pixels as the plain ones. */
#ifndef FASTPACK_VECTORS_H
#define FASTPACK_VECTORS_H

#if defined(__x86_64__)
#define FP_HAS_AVX2 1
/* What every processor with AVX2 has; variable shifts of BMI2 are what Huffman decoding lives on. */
#define FP_AVX2 __attribute__((target("avx2,bmi,bmi2")))
/* From Intel's Ice Lake and AMD's Zen 4 on. */
#define FP_AVX512 __attribute__((target("avx2,bmi,bmi2,avx512f,avx512bw,avx512vl,avx512vnni")))
#else
#define FP_HAS_AVX2 0
#endif

#define FP_INLINE static inline __attribute__((always_inline))

int fp_may_use_avx2(void);
int fp_may_use_avx512(void);

/* For tests: how many bits a vector may have at most: 0, 256 or 512. */
void fp_allow_vectors(int allowed);
#endif
