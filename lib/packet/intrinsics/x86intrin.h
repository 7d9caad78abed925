/*
 * In front of gcc's header of this name, for the sake of DPDK's rte_vect.h, which nearly every source of ours comes to by way
 * of rte_mbuf.h. Three quarters of what a source then had compiled were the intrinsics of AVX-512, which nobody calls. DPDK
 * itself calls those of the instruction sets that it is compiled for: up to SSE 4.2, or all of them in a native build.
 */
#ifdef __AVX__
#include_next <x86intrin.h>
#else
#include <nmmintrin.h>
#endif
