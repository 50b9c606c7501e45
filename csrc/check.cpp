// Runs every kernel of every instruction set over arrays that end exactly where they may be touched, for the sanitizers
// to watch; values are compared only roughly here, the tests in Python compare them closely.
#include "kernels.h"
#include "linear.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace {

int failures = 0;

void expect(bool ok, const char *what, const char *set, int64_t m, int64_t n, int64_t k) {
  if (ok) return;
  failures++;
  std::fprintf(stderr, "%s (%s) is wrong at %lld, %lld, %lld\n", what, set, (long long)m, (long long)n, (long long)k);
}

int64_t round_up(int64_t n) { return (n + RC_LANE - 1) / RC_LANE * RC_LANE; }

// Floats in a block of their own, so that one beyond the end is found.
class Floats {
 public:
  explicit Floats(int64_t count, float start = 0.1f) : size_(count) {
    if (posix_memalign((void **)&p_, 64, count ? count * sizeof(float) : 1)) std::abort();
    for (int64_t i = 0; i < count; i++) p_[i] = start == 0 ? 0 : start * (float)(i % 13 - 6);
  }
  ~Floats() { std::free(p_); }
  Floats(const Floats &) = delete;
  Floats &operator=(const Floats &) = delete;
  operator float *() const { return p_; }
  int64_t size() const { return size_; }

 private:
  float *p_;
  int64_t size_;
};

bool near(double found, double expected) { return std::fabs(found - expected) <= 1e-3 * (1 + std::fabs(expected)); }

void check_gemm(const rc_kernels *kernels, int64_t m, int64_t n, int64_t k, bool transposed) {
  Floats b(k * n), packed(kernels->packed_size(k, n)), a(m * k, 0.2f), bias(round_up(n), 0.3f), c(m * round_up(n));
  kernels->pack(k, n, b, transposed ? 1 : n, transposed ? k : 1, packed, k, n, 0, 0);
  kernels->gemm(m, n, k, a, k, packed, bias, 0, c, round_up(n));
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++) {
      double sum = bias[j];
      for (int64_t q = 0; q < k; q++) sum += (double)a[i * k + q] * b[transposed ? j * k + q : q * n + j];
      expect(near(c[i * round_up(n) + j], sum), "gemm", kernels->name, m, n, k);
    }
}

void check_gemm_tn(const rc_kernels *kernels, int64_t m, int64_t n, int64_t rows) {
  Floats a(rows * m), b(rows * n, 0.2f), c(m * n), sums(m), scratch(kernels->gemm_tn_scratch(m, n));
  kernels->gemm_tn(m, n, 1, rows, nullptr, a, 0, m, b, 0, n, c, n, sums, 0, scratch);
  for (int64_t i = 0; i < m; i++) {
    double total = 0;
    for (int64_t r = 0; r < rows; r++) total += a[r * m + i];
    expect(near(sums[i], total), "the column sum of gemm_tn", kernels->name, m, n, rows);
    for (int64_t j = 0; j < n; j++) {
      double sum = 0;
      for (int64_t r = 0; r < rows; r++) sum += (double)a[r * m + i] * b[r * n + j];
      expect(near(c[i * n + j], sum), "gemm_tn", kernels->name, m, n, rows);
    }
  }
}

void check_rank_update(const rc_kernels *kernels, int64_t m, int64_t n, int64_t rows) {
  Floats a(rows * m), b(rows * n, 0.2f), c(m * n), scratch(kernels->rank_update_scratch(n));
  kernels->rank_update(m, n, rows, a, m, b, n, c, n, scratch);
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++) {
      double sum = 0;
      for (int64_t r = 0; r < rows; r++) sum += (double)a[r * m + i] * b[r * n + j];
      expect(near(c[i * n + j], sum), "rank_update", kernels->name, m, n, rows);
    }
}

// A softmax down the columns, then its gradient with the scale that makes it probabilities.
void check_softmax(const rc_kernels *kernels, int64_t rows, int64_t columns) {
  const int64_t width = round_up(columns);
  Floats x(rows * width), bias(rows, 0.2f), maximum(width), sum(width), total(width), scale(width), offset(width, 0),
      row_sums(rows);
  kernels->softmax(rows, columns, x, width, bias, maximum, sum, total);
  for (int64_t r = 0; r < width; r++) scale[r] = 1 / sum[r];
  kernels->softmax_gradient(rows, columns, x, width, scale, offset, row_sums, 0);
  double all = 0;
  for (int64_t v = 0; v < rows; v++) all += row_sums[v];
  expect(near(all, (double)columns), "softmax", kernels->name, rows, columns, 0);
}

// A linear layer with its cross-entropy: the gradients of the logits of a row sum to zero, so those of the biases do.
void check_linear(const rc_kernels *kernels, int64_t rows, int64_t inputs, int64_t outputs, int32_t threads) {
  Floats x(rows * inputs), weight(outputs * inputs, 0.2f), bias(outputs, 0.3f), y(rows * outputs), loss(rows),
      dx(rows * inputs), dweight(outputs * inputs), dbias(outputs);
  std::vector<int64_t> targets(rows);
  for (int64_t r = 0; r < rows; r++) targets[r] = r % 5 == 4 ? -100 : r % outputs;
  rc_linear_loss_call call = {sizeof(call), threads, kernels, rows, inputs, outputs, x, weight, bias, targets.data(),
                              -100, 0.1, 0, nullptr, loss, dx, dweight, dbias, nullptr, 0, 0};
  Floats work(rc_linear_loss_floats(&call));
  call.work = work;
  expect(rc_linear_loss(&call) == -1, "rc_linear_loss", kernels->name, rows, inputs, outputs);
  double total = 0, biases = 0;
  for (int64_t r = 0; r < rows; r++) total += loss[r];
  for (int64_t v = 0; v < outputs; v++) biases += dbias[v];
  expect(near(call.total, total) && near(biases, 0), "the loss", kernels->name, rows, inputs, outputs);
  targets[rows - 1] = outputs;
  expect(rc_linear_loss(&call) == rows - 1, "the check of targets", kernels->name, rows, inputs, outputs);

  rc_linear_call layer = {sizeof(layer), threads, kernels, rows, inputs, outputs, x, weight, bias, y, y, dx, dweight, dbias,
                          nullptr, nullptr};
  Floats forward(rc_linear_floats(&layer)), backward(rc_linear_gradient_floats(&layer));
  layer.work = forward;
  expect(rc_linear(&layer) == 0, "rc_linear", kernels->name, rows, inputs, outputs);

  Floats again(rows * outputs), packed(rc_linear_packed_floats(&layer));
  rc_linear_call prepared = layer;
  prepared.packed = packed;
  expect(rc_linear_pack(&prepared) == 0, "rc_linear_pack", kernels->name, rows, inputs, outputs);
  Floats less(rc_linear_floats(&prepared));
  prepared.work = less;
  prepared.y = again;
  expect(rc_linear(&prepared) == 0, "rc_linear, packed", kernels->name, rows, inputs, outputs);
  expect(!std::memcmp(y, again, rows * outputs * sizeof(float)), "packed before", kernels->name, rows, inputs, outputs);
  layer.work = backward;
  expect(rc_linear_gradient(&layer) == 0, "rc_linear_gradient", kernels->name, rows, inputs, outputs);
  for (int64_t v = 0; v < outputs; v++) {
    double sum = 0, last = bias[v];
    for (int64_t r = 0; r < rows; r++) sum += y[r * outputs + v];
    for (int64_t h = 0; h < inputs; h++) last += (double)x[(rows - 1) * inputs + h] * weight[v * inputs + h];
    expect(near(dbias[v], sum) && near(y[(rows - 1) * outputs + v], last), "linear", kernels->name, rows, inputs, outputs);
  }
}

rc_operand operand(const Floats &floats, int64_t rows, int64_t width, int kind) {
  switch (kind) {
    case 0: return {floats, round_up(width), 0, 0};
    case 1: return {floats, width, 0, 1};
    case 2: return {floats, rows ? 1 : 0, 1, 0};
    default: return {floats, 0, 1, 0};
  }
}

int64_t floats_of(int64_t rows, int64_t width, int kind) {
  const int64_t count[] = {rows * round_up(width), rows * width, rows, 1};
  return count[kind];
}

// Every operation with every mixture of padded, exact and scalar operands.
void check_tape(const rc_kernels *kernels, int32_t op, int64_t rows, int64_t width) {
  const bool reduction = op == RC_ROWSUM || op == RC_ROWDOT, gathers = op >= RC_SOURCEMAX;
  for (int mix = 0; mix < 256; mix++) {
    int kind[4] = {mix & 3, mix >> 2 & 3, mix >> 4 & 3, mix >> 6};
    if (reduction) kind[0] = 2, kind[1] &= 1, kind[2] &= 1, kind[3] = 2;
    if (gathers) kind[0] = 1, kind[3] = 3;
    if (!reduction && kind[0] >= 2 && (width > 1 || kind[0] == 3)) continue;
    const Floats dst(floats_of(gathers ? 1 : rows, width, kind[0]), 0), a(floats_of(rows, width, kind[1])),
        b(floats_of(rows, width, kind[2]), 0.2f), c(floats_of(rows, width, kind[3]), 0.3f);
    const rc_operand operands[] = {operand(dst, rows, width, kind[0]), operand(a, rows, width, kind[1]),
                                   operand(b, rows, width, kind[2]), operand(c, rows, width, kind[3])};
    const rc_instruction code = {op, (int32_t)width, 0, 1, 2, 3, 0};
    kernels->tape(&code, 1, operands, (int32_t)rows);
    if (op != RC_FMA) continue;
    for (int64_t r = 0; r < rows; r++)
      for (int64_t j = 0; j < width; j++) {
        double x[3];
        for (int s = 0; s < 3; s++) {
          const rc_operand &o = operands[s + 1];
          x[s] = o.p[r * o.stride + (o.scalar ? 0 : j)];
        }
        const rc_operand &d = operands[0];
        const double found = d.p[r * d.stride + (d.scalar ? 0 : j)];
        expect(near(found, x[0] * x[1] + x[2]), "the tape", kernels->name, rows, width, mix);
      }
  }
}

}  // namespace

int main() {
  const std::vector<int64_t> sizes = {1, 7, 15, 16, 17, 33, 63, 100};
  for (const char *name : {"baseline", "v3", "v4"}) {
    const rc_kernels *kernels = rc_choose_kernels(name);
    if (!kernels) continue;
    for (int64_t n : sizes)
      for (int64_t k : sizes) {
        for (int64_t m = 1; m <= 30; m += m < 16 ? 1 : 7) check_gemm(kernels, m, n, k, m % 2);
        for (int64_t rows : {1, 5, 256, 259}) check_gemm_tn(kernels, k, n, rows);
      }
    check_gemm_tn(kernels, 130, 520, 70);
    for (int64_t m : sizes)
      for (int64_t n : sizes) {
        for (int64_t rows : {1, 127, 129}) check_rank_update(kernels, m, n, rows);
        check_softmax(kernels, m, n);
      }
    check_rank_update(kernels, 30, 520, 40);
    for (int64_t rows : {1, 5, 130, 300})
      for (int64_t inputs : {1, 17, 64})
        for (int64_t outputs : {1, 7, 33, 300, 530}) check_linear(kernels, rows, inputs, outputs, (int32_t)(1 + rows % 2));
    for (int32_t op = 0; op < RC_OP_COUNT; op++)
      for (int64_t width : {1, 3, 8, 16, 31, 64})
        for (int64_t rows : {1, 3}) check_tape(kernels, op, rows, width);
    Floats sink(RC_LANE);
    expect(kernels->burn(1, sink) > 0, "burn", kernels->name, 0, 0, 0);
    std::printf("%s: checked\n", kernels->name);
  }
  return failures ? 1 : 0;
}
