// A linear layer, and a linear layer with the cross-entropy of its outputs.
//
// N rows (places), H inputs, V outputs (classes). All matrices are row-major float32 and exact. Every result has the
// same bits whatever the number of threads.
#pragma once
#include <stdint.h>

#include "kernels.h"

#define RC_LINEAR_VERSION 2

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  uint32_t size;      // of this struct
  int32_t threads;    // at most
  const rc_kernels *kernels;
  int64_t rows, inputs, outputs;   // N, H, V
  const float *x;        // [N, H]
  const float *weight;   // [V, H]
  const float *bias;     // [V], or NULL
  float *y;              // [N, V]: rc_linear writes it
  const float *dy;       // [N, V]: the gradient of y, for rc_linear_gradient
  float *dx;             // [N, H]: rc_linear_gradient writes it; NULL: not wanted
  float *dweight;        // [V, H], likewise
  float *dbias;          // [V], likewise, together with dweight only
  float *work;           // on a 64-byte boundary, as many floats as the functions below say
  float *packed;         // on a 64-byte boundary: the weight as rc_linear_pack left it; NULL: rc_linear packs it
} rc_linear_call;

typedef struct {
  uint32_t size;      // of this struct
  int32_t threads;    // at most
  const rc_kernels *kernels;
  int64_t rows, inputs, outputs;   // N, H, V
  const float *x;           // [N, H]
  const float *weight;      // [V, H]
  const float *bias;        // [V], or NULL
  const int64_t *targets;   // [N]: the class of each row
  int64_t ignored;          // a row with this target is left out: its loss and its gradient are zero
  double smoothing;         // this share of each target is spread evenly over all classes
  int64_t mean;             // 1: gradients are those of the mean over the rows that count, 0: of the sum
  const float *row_scale;   // [N]: a factor for the gradient of each row's loss; NULL: 1
  float *loss;              // [N]: the loss of each row, in nats
  float *dx, *dweight, *dbias;   // [N, H], [V, H], [V]; NULL: not wanted
  float *work;              // on a 64-byte boundary
  // Results:
  int64_t counted;          // rows that are not left out
  double total;             // the sum of their losses
} rc_linear_loss_call;

// N may be 0, H and V are at least 1.
int32_t rc_linear_version(void);
// 1 on the processors that the library behind torch's products is written for.
int32_t rc_processor_is_intel(void);

int64_t rc_linear_floats(const rc_linear_call *call);
int64_t rc_linear_gradient_floats(const rc_linear_call *call);
// Floats of `packed`.
int64_t rc_linear_packed_floats(const rc_linear_call *call);
// 0, or -1 if the struct has another size.
int32_t rc_linear_pack(const rc_linear_call *call);
int32_t rc_linear(const rc_linear_call *call);
int32_t rc_linear_gradient(const rc_linear_call *call);

int64_t rc_linear_loss_floats(const rc_linear_loss_call *call);
// -1; or -2 if the struct has another size; or the first row whose target is neither a class nor `ignored`: then nothing
// is computed.
int64_t rc_linear_loss(rc_linear_loss_call *call);

#ifdef __cplusplus
}
#endif
