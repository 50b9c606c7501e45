// Streaming: a stack of layers run one step at a time, with all that stays the same from step to step worked out once.
#pragma once
#include "engine.h"

#ifdef __cplusplus
extern "C" {
#endif

// A layer: the forward pass of its plan, and where its arrays stay for as long as the stepper lives. The state's `given`
// and `out` arrays are one, and a layer reads what the layer below gives: its total, or else its output.
typedef struct {
  const rc_plan *plan;
  const rc_external *externals;   // by slot, for one step of `rows` rows
  const float *packed;            // what rc_pack wrote; may be packed anew between two steps
  float *kept, *work;             // as rc_call wants them, for one step and one thread
  float *input;                   // [rows, I] and [rows, W]: what the layer reads and writes, among the externals too
  const float *output;
  float *total;                   // receives the sum of both; NULL: not wanted
  int64_t floats;                 // of the input
} rc_layer;

typedef struct rc_stepper rc_stepper;

// The plans may be freed, the arrays may not. NULL if a plan is not one that a step can run.
rc_stepper *rc_stepper_new(const rc_layer *layers, int32_t count, int64_t rows, int32_t threads);
void rc_stepper_free(rc_stepper *stepper);
// One step of all layers with the input x. Not for two threads at once.
void rc_step(rc_stepper *stepper, const float *x);

#ifdef __cplusplus
}
#endif
