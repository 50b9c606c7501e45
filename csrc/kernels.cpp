// One instruction set's table of functions. CMakeLists.txt compiles this file once for each of them, so everything here
// is static except the table itself: the linker merges inline functions of several objects into one copy, perhaps the
// one that an older processor cannot run.
#include "kernels.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define UNROLL _Pragma("GCC unroll 16")

// Floats of a vector register, vectors of a packed panel, rows of the largest register tile. The tile is as high as the
// registers allow and the panel narrow: a panel of 32 columns stays in the L1 cache up to K = 256 or so.
#if defined(__AVX512F__)
enum { VW = 16, NV = 2, MR = 14, REGISTERS = 32 };
#elif defined(__AVX2__)
enum { VW = 8, NV = 2, MR = 6, REGISTERS = 16 };
#elif defined(__aarch64__)
enum { VW = 4, NV = 4, MR = 6, REGISTERS = 32 };
#else
enum { VW = 4, NV = 2, MR = 6, REGISTERS = 16 };
#endif
enum { PANEL = NV * VW };

typedef float vec __attribute__((vector_size(VW * 4)));
typedef int32_t ivec __attribute__((vector_size(VW * 4)));
typedef float vec_unaligned __attribute__((vector_size(VW * 4), aligned(4), may_alias));

// The compiler would rather repeat a load inside every multiply-add than keep its value.
#if defined(__AVX512F__)
#define IN_REGISTER(v) __asm__("" : "+v"(v))
#elif defined(__x86_64__)
#define IN_REGISTER(v) __asm__("" : "+x"(v))
#elif defined(__aarch64__)
#define IN_REGISTER(v) __asm__("" : "+w"(v))
#else
#define IN_REGISTER(v)
#endif

static inline vec load(const float *p) { return *(const vec_unaligned *)p; }
static inline void store(float *p, vec v) { *(vec_unaligned *)p = v; }
static inline vec all(float x) { return x - (vec){}; }
// The first n floats of a vector, n at most VW.
static inline vec load_part(const float *p, int64_t n) {
#if defined(__AVX512F__)
  return (vec)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
#else
  vec v = {};
  for (int64_t i = 0; i < n; i++) v[i] = p[i];
  return v;
#endif
}

static inline void store_part(float *p, vec v, int64_t n) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v);
#else
  for (int64_t i = 0; i < n; i++) p[i] = v[i];
#endif
}

static inline int64_t round_up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }
static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

#include "kernels_gemm.inc"
#include "kernels_gemm_tn.inc"
#include "kernels_rank_update.inc"
#include "kernels_math.inc"
#include "kernels_tape.inc"
#include "kernels_softmax.inc"

// Twelve independent chains hide the latency of the multiply-add on every processor known to us.
static double burn(int64_t iterations, float *sink) {
  enum { CHAINS = 12, STEPS = 84 };
  vec x[CHAINS];
  UNROLL for (int j = 0; j < CHAINS; j++) x[j] = all(0.1f * (float)j);
  // Read at run time, so that the compiler cannot fold the loop; x settles at a finite value.
  const vec factor = all(sink[0]), addend = all(sink[1]);
  for (int64_t i = 0; i < iterations * STEPS; i++) {
    UNROLL for (int j = 0; j < CHAINS; j++) x[j] = x[j] * factor + addend;
  }
  vec sum = {};
  UNROLL for (int j = 0; j < CHAINS; j++) sum += x[j];
  for (int j = 0; j < VW; j++) sink[0] += 0 * sum[j];
  return 2.0 * VW * CHAINS * STEPS * (double)iterations;
}

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define TEXT_(a) #a
#define TEXT(a) TEXT_(a)

extern "C" {
extern const rc_kernels JOIN(rc_kernels_, RC_ISA);
const rc_kernels JOIN(rc_kernels_, RC_ISA) = {
    TEXT(RC_ISA), PANEL, packed_size, pack, gemm, gemm_tn, gemm_tn_scratch, tape, burn, softmax,
    softmax_gradient, rank_update, rank_update_scratch,
};
}
