// A linear layer, y = x W^T + b, and its gradients.
#include "linear.h"

#include <omp.h>

#include <algorithm>
#include <cstring>

#include "team.h"

namespace {

constexpr int64_t kRows = 126;           // of a unit: whole register tiles
constexpr int64_t kColumns = 512;        // of a unit: whole panels
constexpr int64_t kDepth = 256;          // of a packed block of W: a panel of it stays in the L1 cache
constexpr int64_t kLeastWork = 100000;   // multiply-adds that are worth a second thread

int64_t divide_up(int64_t n, int64_t parts) { return (n + parts - 1) / parts; }
int64_t padded(int64_t n) { return divide_up(n, RC_LANE) * RC_LANE; }

int32_t team(const rc_linear_call &c) {
  return c.rows * c.inputs * c.outputs < kLeastWork ? 1 : rc_team(c.threads);
}

void copy_rows(const float *src, int64_t from, float *dst, int64_t to, int64_t rows, int64_t columns) {
  for (int64_t r = 0; r < rows; r++) std::memcpy(dst + r * to, src + r * from, columns * sizeof(float));
}

// Columns that a product may leave to another: whole panels and whole vectors.
int64_t step(const rc_linear_call &c) { return padded(c.kernels->panel); }

int64_t product_floats(const rc_linear_call &c) { return (kRows + 1) * step(c); }

// Some columns of y: the rows of W that they are products of.
void pack_block(const rc_linear_call &c, float *packed, int64_t block) {
  const int64_t from = block * kColumns, count = std::min(kColumns, c.outputs - from);
  c.kernels->pack(c.inputs, count, c.weight + from * c.inputs, 1, c.inputs, packed, c.inputs, c.outputs, 0, from);
}

// Some rows and some columns of y. The product is written in whole vectors, so the last columns, if they do not fill
// one, are computed beside y.
void product(const rc_linear_call &c, const float *packed, float *own, int64_t row, int64_t column) {
  const int64_t rows = std::min(kRows, c.rows - row), columns = std::min(kColumns, c.outputs - column), H = c.inputs;
  const int64_t whole = columns % RC_LANE ? columns / step(c) * step(c) : columns;
  const int64_t rest = columns - whole, width = padded(rest);
  const float *x = c.x + row * H, *bias = c.bias ? c.bias + column : nullptr;
  float *y = c.y + row * c.outputs + column;
  packed += column * H;
  if (whole) c.kernels->gemm(rows, whole, H, x, H, packed, bias, 0, y, c.outputs);
  if (!rest) return;
  float *rest_of_bias = own + rows * width;
  if (bias) std::memcpy(rest_of_bias, bias + whole, rest * sizeof(float));
  c.kernels->gemm(rows, rest, H, x, H, packed + whole * H, bias ? rest_of_bias : nullptr, 0, own, width);
  copy_rows(own, width, y + whole, c.outputs, rows, rest);
}

// Some rows of dx = dy W. W is packed in blocks of kDepth of its rows, one after another; each block is summed up by
// itself, so that a long sum keeps its precision.
void input_gradient(const rc_linear_call &c, const float *packed, float *own, int64_t row) {
  const int64_t rows = std::min(kRows, c.rows - row), width = padded(c.inputs);
  float *sum = own, *block = own + rows * width;
  const rc_operand operands[] = {{sum, width, 0, 0}, {block, width, 0, 0}};
  const rc_instruction add = {RC_ADD, static_cast<int32_t>(width), 0, 0, 1, -1, 0};
  for (int64_t v = 0; v < c.outputs; v += kDepth) {
    c.kernels->gemm(rows, c.inputs, std::min(kDepth, c.outputs - v), c.dy + row * c.outputs + v, c.outputs,
                    packed + v * width, nullptr, 0, v ? block : sum, width);
    if (v) c.kernels->tape(&add, 1, operands, static_cast<int32_t>(rows));
  }
  copy_rows(sum, width, c.dx + row * c.inputs, c.inputs, rows, c.inputs);
}

int64_t packed_floats(const rc_linear_call &c) { return c.kernels->packed_size(c.inputs, c.outputs); }
int64_t packed_rows_floats(const rc_linear_call &c) { return c.dx ? c.outputs * padded(c.inputs) : 0; }

// Outputs of a unit of the weight's gradient: each unit copies x anew, so no more units than the threads need.
int64_t outputs_of_unit(const rc_linear_call &c) { return divide_up(c.outputs, 4 * std::max(c.threads, 1)); }

int64_t gradient_floats(const rc_linear_call &c) {
  const int64_t sums = c.dweight ? padded(c.kernels->gemm_tn_scratch(outputs_of_unit(c), c.inputs)) : 0;
  return std::max(c.dx ? 2 * kRows * padded(c.inputs) : 0, sums);
}

}  // namespace

extern "C" {

int32_t rc_linear_version(void) { return RC_LINEAR_VERSION; }

int32_t rc_processor_is_intel(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  return __builtin_cpu_is("intel") != 0;
#else
  return 0;
#endif
}

int64_t rc_linear_floats(const rc_linear_call *call) {
  return (call->packed ? 0 : packed_floats(*call)) + std::max(call->threads, 1) * product_floats(*call);
}

int64_t rc_linear_packed_floats(const rc_linear_call *call) { return packed_floats(*call); }

int64_t rc_linear_gradient_floats(const rc_linear_call *call) {
  return packed_rows_floats(*call) + std::max(call->threads, 1) * gradient_floats(*call);
}

int32_t rc_linear_pack(const rc_linear_call *call) {
  const rc_linear_call &c = *call;
  if (c.size != sizeof(rc_linear_call)) return -1;
  const int64_t blocks = divide_up(c.outputs, kColumns);
#pragma omp parallel for schedule(dynamic) num_threads(team(c))
  for (int64_t b = 0; b < blocks; b++) pack_block(c, c.packed, b);
  return 0;
}

int32_t rc_linear(const rc_linear_call *call) {
  const rc_linear_call &c = *call;
  if (c.size != sizeof(rc_linear_call)) return -1;
  const int64_t blocks = divide_up(c.outputs, kColumns), units = divide_up(c.rows, kRows) * blocks;
  float *packed = c.packed ? c.packed : c.work, *own = c.packed ? c.work : packed + packed_floats(c);
#pragma omp parallel num_threads(team(c))
  {
    float *mine = own + omp_get_thread_num() * product_floats(c);
    if (!c.packed) {
#pragma omp for schedule(dynamic)
      for (int64_t b = 0; b < blocks; b++) pack_block(c, packed, b);
    }
#pragma omp for schedule(dynamic)
    for (int64_t u = 0; u < units; u++) product(c, packed, mine, u / blocks * kRows, u % blocks * kColumns);
  }
  return 0;
}

int32_t rc_linear_gradient(const rc_linear_call *call) {
  const rc_linear_call &c = *call;
  if (c.size != sizeof(rc_linear_call)) return -1;
  const int64_t H = c.inputs, V = c.outputs, share = outputs_of_unit(c);
  float *packed = c.work, *own = packed + packed_rows_floats(c);
#pragma omp parallel num_threads(team(c))
  {
    float *mine = own + omp_get_thread_num() * gradient_floats(c);
    if (c.dx) {
#pragma omp for schedule(dynamic)
      for (int64_t v = 0; v < V; v += kDepth) {
        const int64_t count = std::min(kDepth, V - v);
        c.kernels->pack(count, H, c.weight + v * H, H, 1, packed + v * padded(H), count, H, 0, 0);
      }
#pragma omp for schedule(dynamic)
      for (int64_t row = 0; row < c.rows; row += kRows) input_gradient(c, packed, mine, row);
    }
    if (c.dweight) {
#pragma omp for schedule(dynamic)
      for (int64_t v = 0; v < V; v += share)
        c.kernels->gemm_tn(std::min(share, V - v), H, 1, c.rows, nullptr, c.dy + v, 0, V, c.x, 0, H,
                           c.dweight + v * H, H, c.dbias ? c.dbias + v : nullptr, 0, mine);
    }
  }
  return 0;
}

}  // extern "C"
