/*
 * As x86intrin.h here: the one of the two that DPDK includes where the compiler is clang. Who calls what a later CPU has, in a
 * function of its own for that, says before this that it does: #define INTRINSICS_OF_LATER_CPUS.
 */
#if defined(__AVX__) || defined(INTRINSICS_OF_LATER_CPUS)
#include_next <immintrin.h>
#else
#include <nmmintrin.h>
#endif
