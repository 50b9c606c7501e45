// The engine: runs a plan, which is a cell's passes laid out as tables. It knows no cell and no framework.
//
// A plan has two passes: 0 goes through the steps upwards, 1 downwards (the derivative). A pass is a list of stages; a
// stage is a few products side by side, then a tape. Values live in arrays; where an array lives, and for how long, is
// its kind. Tables hold int32 fields only, so that any language can write them.
//
// The address of a value for row r of step t is  base + r * rs + (t + shift) * ts + column. A value of a memory has a row
// for every source s of r, another s * ms on. What has a source axis is computed row by row over the row's own sources.
#pragma once
#include <stdint.h>

#include "kernels.h"

#define RC_ENGINE_VERSION 7

#ifdef __cplusplus
extern "C" {
#endif

enum rc_kind {
  RC_EXTERNAL,   // the caller's; `slot` numbers it in rc_call.externals. A NULL pointer reads as zeros.
  RC_CONSTANT,   // one number; `slot` numbers it in rc_plan_spec.constants
  RC_ONCE,       // [width]
  RC_ROWS,       // [B, width]
  RC_TIMED,      // [T + 1, B, width]
  RC_CHUNK,      // [steps of a chunk, B, width]: lasts until the sums over rows and steps have taken it in
  RC_BLOCK,      // [steps of a block, rows of a thread, width]
  RC_THREAD,     // [rows of a thread, width]
  RC_LOCAL       // [rows of a tile, width]
};

enum rc_region { RC_REGION_ONCE, RC_REGION_SEQUENCE, RC_REGION_BEFORE, RC_REGION_LOOP, RC_REGION_AFTER,
                 RC_REGION_SEQUENCE_AFTER, RC_REGION_ONCE_AFTER };

typedef struct {
  int32_t kind;
  int32_t width;   // floats of a row; engine-owned rows are padded to a multiple of RC_LANE
  int32_t slot;
  int32_t pass;    // the pass whose work memory holds it; -1: kept from pass 0 to pass 1
  int32_t zero;    // 1: starts as zeros (a sum over the steps)
  int32_t memory;  // 0: no source axis; else floats from one source to the next (of an external: its `ms`)
} rc_array;

typedef struct { int32_t array, column, shift, width; } rc_value;

// A packed matrix and the blocks of parameters it is packed from. `transposed` = 0 packs the transpose of the stored
// [outputs, inputs] block, so that a row times the packed matrix gives the outputs; 1 packs it as stored. `row` is the
// block's first row in the caller's array.
typedef struct { int32_t pass, k, n; } rc_matrix;
typedef struct { int32_t matrix, slot, row, transposed, k0, n0, k, n; } rc_block;

// target = start + operand * matrix. start -1: zeros; start may be the target itself.
typedef struct { int32_t operand, start, target, matrix; } rc_product;

// See rc_operand.
typedef struct { int32_t value, scalar, exact; } rc_tape_operand;

// Instructions index the stage's own operands.
typedef struct { int32_t pass, region, product_begin, product_end, code_begin, code_end, operand_begin, operand_end; } rc_stage;

// A carried state: `given` (external) is copied to `first` before the first step, `last` to `out` after the last one.
typedef struct { int32_t pass, given, first, last, out; } rc_carried;

// Sums over all steps and rows. kind 0: rows [row, row + M) of the external `slot` = sum of adjoint^T * operand over the
// pairs, and, where `bias_slot` is not -1, the elements [bias_row, bias_row + M) of it = the adjoint's sums. kind 1: only
// the latter. kind 2: the value `target` [W] = the sum over the rows of the pair's adjoint (a value of one row a
// sequence), in the rows' order.
typedef struct { int32_t pass, kind, slot, row, bias_slot, bias_row, target, pair_begin, pair_end; } rc_sum;
// rate: 0 one row, 1 a row a sequence, 2 a row a step, 3 a row a source.
typedef struct { int32_t operand, adjoint, rate; } rc_pair;

typedef struct {
  uint32_t size;      // of this struct
  uint32_t version;   // RC_ENGINE_VERSION
  int32_t arrays, values, matrices, blocks, products, operands, instructions, stages, carried, sums, pairs, constants;
  const rc_array *array;
  const rc_value *value;
  const rc_matrix *matrix;
  const rc_block *block;
  const rc_product *product;
  const rc_tape_operand *operand;
  const rc_instruction *instruction;
  const rc_stage *stage;
  const rc_carried *carry;
  const rc_sum *sum;
  const rc_pair *pair;
  const float *constant;
} rc_plan_spec;

// An array of the caller. Its columns are contiguous; strides are in floats and may be 0 or negative. Of a matrix, `rs`
// is the step from one row (output) to the next. `ms` is the stride over a memory's source axis.
typedef struct { float *p; int64_t rs, ts, ms; } rc_external;

typedef struct {
  uint32_t size;                  // of this struct
  int32_t threads;                // at most; small work takes fewer
  int64_t steps, rows;            // T, B
  const rc_external *externals;   // by slot
  const float *packed;            // what rc_pack wrote for the pass
  float *kept;                    // kept from pass 0 to pass 1
  float *work;                    // of this call alone
  const int64_t *lengths;         // steps of each row, falling; NULL: all of them
  int32_t late;                   // 1: rows begin at different steps and end together; 0: the other way round
  int64_t sources;                // S, sources of the memories; 0 where there are none
  const int64_t *source_counts;   // sources of each row, 1 to S; NULL: S for all
  const int64_t *owners;          // pass 0: the row whose memories each row reads; NULL: its own
} rc_call;

typedef struct rc_plan rc_plan;

int32_t rc_engine_version(void);
// NULL, with the reason in `error`, if the tables contradict themselves.
rc_plan *rc_plan_new(const rc_plan_spec *spec, const rc_kernels *kernels, char *error, int64_t error_size);
void rc_plan_free(rc_plan *plan);
// Floats to provide: packed matrices of a pass; kept and work memory of a call. All on 64-byte boundaries.
int64_t rc_packed_floats(const rc_plan *plan, int32_t pass);
int64_t rc_kept_floats(const rc_plan *plan, int64_t steps, int64_t rows, int64_t sources);
int64_t rc_work_floats(const rc_plan *plan, int32_t pass, int64_t steps, int64_t rows, int64_t sources, int32_t threads);
// Pack a pass's matrices; needed again only when a parameter has changed.
void rc_pack(const rc_plan *plan, int32_t pass, const rc_external *externals, float *packed, int32_t threads);
// Run a pass. 0, or -1 if the call's struct has another size, or there is no row or no step.
int32_t rc_run(const rc_plan *plan, int32_t pass, const rc_call *call);
// The pass of several plans for calls that do not depend on one another, at once where that work is worth a thread each.
int32_t rc_run_together(const rc_plan *const *plans, int32_t pass, const rc_call *const *calls, int32_t count);

#ifdef __cplusplus
}
#endif
