// The arithmetic of the engine: one table of functions for each instruction set, chosen once at load.
//
// Conventions. Matrices are row-major float32. Every row of an engine-owned array starts on a 64-byte boundary and is
// padded to a multiple of RC_LANE floats; the padding may be read and written and its content means nothing. Arrays of
// the caller have exact widths: only functions that say "exact" may touch them.
//
// Reproducibility. Every element of a product is accumulated over k in one order with one rounding a step, so its bits
// depend neither on how many rows are computed together nor on the thread that computes them.
#pragma once
#include <stdint.h>

#define RC_LANE 16
#define RC_KERNELS_VERSION 5   // raised whenever a struct or a function below changes

#ifdef __cplusplus
extern "C" {
#endif

// An operand of a tape instruction: the row r of the tile lies at p + r * stride.
typedef struct {
  float *p;
  int64_t stride;   // floats from one row to the next; 0: the same row for all (a parameter, a constant)
  int32_t scalar;   // 1: one float a row, broadcast over the columns
  int32_t exact;    // 1: the row may not be touched beyond its width (an array of the caller, or other values lie there)
} rc_operand;

// dst = op(a, b, c) over `width` columns. -1 stands for an operand that the operation does not take.
typedef struct {
  int32_t op;
  int32_t width;
  int32_t dst, a, b, c;   // indices into the operand table of the call
  int32_t over;           // the engine's: 1: the rows of the tile are the sources of one row of the call
} rc_instruction;

enum rc_op {
  RC_COPY,       // a
  RC_ADD,        // a + b
  RC_SUB,        // a - b
  RC_MUL,        // a * b
  RC_DIV,        // a / b
  RC_FMA,        // a * b + c
  RC_FNMA,       // c - a * b
  RC_SIGMOID,    // of a, or of a + b where b is given
  RC_TANH,       // likewise
  RC_RELU,
  RC_EXP,
  RC_LOG,
  RC_SQRT,
  RC_SOFTPLUS,
  RC_ABS,
  RC_MAXIMUM,
  RC_MINIMUM,
  RC_GREATER,    // a > b ? 1 : 0
  RC_SELECT,     // a != 0 ? b : c
  RC_DSIGMOID,   // a * b * (1 - b)     a: adjoint, or a * c where c is given; b: the sigmoid's value
  RC_DTANH,      // a * (1 - b * b)     likewise with the tanh's value
  RC_ROWSUM,     // dst (scalar) = sum over the columns of a   (+ c where given)
  RC_ROWDOT,     // dst (scalar) = sum over the columns of a * b (+ c where given)
  // Over all rows of the tile; dst is one row.
  RC_SOURCEMAX,  // dst = the largest a
  RC_SOURCESUM,  // dst = the sum of a
  RC_SOURCEDOT,  // dst = the sum of a * b
  RC_OP_COUNT
};

typedef struct {
  const char *name;   // "baseline", "v3", "v4"
  int32_t panel;      // columns of a packed panel

  // A packed matrix [K, N] holds round_up(N, RC_LANE) columns; `packed_size` floats of 64-byte aligned memory.
  int64_t (*packed_size)(int64_t k, int64_t n);
  // Write the block src [k, n] (element (i, j) at src[i * sk + j * sn]) at row k0, column n0 of a packed [K, N].
  // Columns from n0 + n up to the next multiple of RC_LANE become zero. n0 is a multiple of RC_LANE.
  void (*pack)(int64_t k, int64_t n, const float *src, int64_t sk, int64_t sn, float *packed, int64_t K, int64_t N,
               int64_t k0, int64_t n0);
  // c[m, 0:N] = (init ? init[m] : 0) + a[m, 0:K] * packed[K, N].  N columns rounded up to RC_LANE are written.
  // `init` may be c itself (accumulate), or a row with ldi = 0 (a bias); it is read over as many columns as c is
  // written. a is read exactly, K floats a row.
  void (*gemm)(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *packed, const float *init,
               int64_t ldi, float *c, int64_t ldc);
  // c[0:M, 0:N] (+)= sum over outer o, inner i of a[o * ao + i * ai, 0:M]^T * b[o * bo + i * bi, 0:N], all exact. Of
  // each o there are `inner` rows, or counts[o] where `counts` is given. Blocks of rows are summed in registers, then
  // added to c, so a long sum keeps its precision; the blocks do not depend on the caller's split of M or N over threads.
  // `column_sums` (may be NULL) receives (+)= the sums of a's columns 0:M. `accumulate` = 0 overwrites c and the sums.
  void (*gemm_tn)(int64_t m, int64_t n, int64_t outer, int64_t inner, const int64_t *counts, const float *a,
                  int64_t ao, int64_t ai, const float *b, int64_t bo, int64_t bi, float *c, int64_t ldc,
                  float *column_sums, int32_t accumulate, float *scratch);
  int64_t (*gemm_tn_scratch)(int64_t m, int64_t n);   // floats, 64-byte aligned
  // Run the instructions in order over a tile of `rows` rows.
  void (*tape)(const rc_instruction *code, int32_t count, const rc_operand *operands, int32_t rows);
  // FMA rate of this core: runs about `iterations` * 1000 fused multiply-adds on full vectors; returns the count of
  // floating-point operations done (so that the caller can divide by its clock).
  double (*burn)(int64_t iterations, float *sink);
  // For every column r of x[rows, columns] + bias[rows] (bias may be NULL): its maximum over the rows; x becomes
  // exp(x + bias - maximum); the sum of that; and the total of x + bias - maximum. A maximum of -inf counts as 0 here.
  // x's rows, and the three results, are padded to RC_LANE.
  void (*softmax)(int64_t rows, int64_t columns, float *x, int64_t ldx, const float *bias, float *maximum, float *sum,
                  float *total);
  // x[v, r] = x[v, r] * scale[r] - offset[r]. row_sums (may be NULL) receives (+)= the sums of the rows over exactly
  // `columns`. All but row_sums are padded.
  void (*softmax_gradient)(int64_t rows, int64_t columns, float *x, int64_t ldx, const float *scale,
                           const float *offset, float *row_sums, int32_t accumulate);
  // c[0:M, 0:N] = sum over the rows v (at least one) of a[v, 0:M]^T * b[v, 0:N], all exact: gemm_tn for an `a` that is
  // read where it lies, which is faster if its rows do not start on few of the cache sets (powers of two apart).
  void (*rank_update)(int64_t m, int64_t n, int64_t rows, const float *a, int64_t lda, const float *b, int64_t ldb,
                      float *c, int64_t ldc, float *scratch);
  int64_t (*rank_update_scratch)(int64_t n);   // floats, 64-byte aligned
} rc_kernels;

// The table "baseline", "v3" or "v4", NULL if unknown or not supported by this processor; "" for the best one it can
// run. `forced` = NULL asks the environment variable RECURRA_ISA.
const rc_kernels *rc_choose_kernels(const char *forced);
// RC_KERNELS_VERSION as it was when the library was built.
int32_t rc_kernels_version(void);

#ifdef __cplusplus
}
#endif
