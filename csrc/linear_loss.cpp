// A linear layer with the cross-entropy of its outputs, and the gradients of both in the same pass.
//
// Logits are made transposed, [V, R] for a chunk of R rows: the weight is read as it lies, only the rows are packed, and
// the weight's gradient is a plain product again. As many chunks as fit into a memory of fixed size make a group. A
// group passes through stages, with a barrier after each; within a stage the units may run in any order.
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "linear.h"
#include "team.h"

namespace {

constexpr int64_t kMemory = 1 << 23;     // floats of a group, if more than one chunk
// Multiples of 14 and of 6 fill whole register tiles.
constexpr int64_t kMostRows = 252;       // of a chunk: the depth of the weight gradient's products
constexpr int64_t kLeastRows = 126;      // of a chunk: below, adding up the weight's gradient would take the time
constexpr int64_t kTile = 126;           // classes of a unit of the first stage; the order of sums depends on it
constexpr int64_t kSegment = 64;         // rows of a unit of the second stage
constexpr int64_t kLeastWork = 100000;   // multiply-adds that are worth a second thread

int64_t divide_up(int64_t n, int64_t parts) { return (n + parts - 1) / parts; }
int64_t padded(int64_t n) { return divide_up(n, RC_LANE) * RC_LANE; }

void clear(float *p, int64_t count) {
  if (p) std::memset(p, 0, count * sizeof(float));
}

// Rows that count, side by side in memory as far as the kernels are concerned.
struct Chunk {
  int64_t first, rows;             // among the rows that count
  float *x_transposed;             // packed [H, rows]
  float *x;                        // packed [rows, H]
  float *staging;                  // [rows, H], for rows that do not lie side by side
  float *logits;                   // [V, R], rows `stride_` apart; then exp(logit - maximum of the tile); then gradients
  float *maxima, *sums, *totals;   // of the logits of each tile of classes, [tiles, R]
  float *scales;                   // [tiles, R]: gradient of a logit = exp * scale - offset - (target ? hit : 0)
  float *of_target;                // [R], as all that follow: the target's logit
  float *offset, *hit;
};

class Loss {
 public:
  explicit Loss(const rc_linear_loss_call &call)
      : call_(call),
        kernels_(*call.kernels),
        H_(call.inputs),
        V_(call.outputs),
        width_(padded(call.inputs)),
        tiles_(divide_up(call.outputs, kTile)),
        threads_(std::max(call.threads, 1)) {
    const int64_t all = std::max<int64_t>(call.rows, 1);
    most_rows_ = std::min({kMostRows, kMemory / V_ < kMostRows ? kLeastRows : kMostRows, all});
    R_ = padded(most_rows_);
    stride_ = R_ + RC_LANE;   // not a power of two: neighbouring rows keep to different cache sets
    chunk_floats_ = H_ * R_ + R_ * width_ + R_ * H_ + V_ * stride_ + 4 * tiles_ * R_ + 3 * R_;
    group_ = std::clamp<int64_t>(kMemory / chunk_floats_, 1, divide_up(all, most_rows_));
    parts_ = std::clamp<int64_t>(divide_up(4 * threads_, tiles_), 1, kTile);
    own_floats_ = std::max(divide_up(kTile, parts_) * width_, padded(kernels_.rank_update_scratch(H_)));
  }

  int64_t floats() const { return group_ * chunk_floats_ + threads_ * own_floats_; }

  // Finds the rows that count. -1, or the first row whose target is no class.
  int64_t list() {
    kept_.reserve(static_cast<size_t>(call_.rows));
    for (int64_t row = 0; row < call_.rows; row++) {
      const int64_t target = call_.targets[row];
      if (target == call_.ignored) continue;
      if (target < 0 || target >= V_) return row;
      kept_.push_back(row);
    }
    return -1;
  }

  void run() {
    if (counted() < call_.rows) clear(call_.loss, call_.rows), clear(call_.dx, call_.rows * H_);
    if (counted() == 0) clear(call_.dweight, V_ * H_), clear(call_.dbias, V_);
    const int32_t team = counted() * H_ * V_ < kLeastWork ? 1 : rc_team(threads_);
#pragma omp parallel num_threads(team)
    for (int64_t first = 0; first < counted(); first += group_ * most_rows_) group(first);
  }

  int64_t counted() const { return static_cast<int64_t>(kept_.size()); }

  double total() const {
    double sum = 0;
    for (int64_t row : kept_) sum += call_.loss[row];
    return sum;
  }

 private:
  // The chunks from the row `first` on. Every thread comes here; they share the units of each stage.
  void group(int64_t first) {
    const int64_t rows = std::min(group_ * most_rows_, counted() - first), chunks = divide_up(rows, most_rows_);
    const bool gradient = call_.dx || call_.dweight || call_.dbias;
#pragma omp for schedule(dynamic)
    for (int64_t c = 0; c < chunks; c++) pack(chunk(first, c));
#pragma omp for schedule(dynamic)
    for (int64_t unit = 0; unit < chunks * tiles_; unit++) logits(chunk(first, unit / tiles_), unit % tiles_);
    const int64_t segments = divide_up(R_, kSegment);
#pragma omp for schedule(dynamic)
    for (int64_t unit = 0; unit < chunks * segments; unit++)
      losses(chunk(first, unit / segments), unit % segments * kSegment);
    if (!gradient) return;
#pragma omp for schedule(dynamic)
    for (int64_t unit = 0; unit < tiles_ * parts_; unit++)
      weight_gradient(first, chunks, unit / parts_, unit % parts_ * divide_up(kTile, parts_));
    if (!call_.dx) return;
    // A share copies the weight anew: no more of them than an even distribution needs.
    const int64_t shares = chunks >= 4 * threads_ || chunks % threads_ == 0 ? 1 : threads_;
    const int64_t share = divide_up(most_rows_, shares);
#pragma omp for schedule(dynamic)
    for (int64_t unit = 0; unit < chunks * shares; unit++)
      input_gradient(chunk(first, unit / shares), unit % shares * share, share);
  }

  Chunk chunk(int64_t first_of_group, int64_t number) const {
    Chunk c;
    c.first = first_of_group + number * most_rows_;
    c.rows = std::min(most_rows_, counted() - c.first);
    float *p = call_.work + number * chunk_floats_;
    const auto take = [&p](int64_t floats) { return (p += floats) - floats; };   // multiples of RC_LANE, as R_ is one
    c.x_transposed = take(H_ * R_), c.x = take(R_ * width_), c.staging = take(R_ * H_), c.logits = take(V_ * stride_);
    for (float **sums : {&c.maxima, &c.sums, &c.totals, &c.scales}) *sums = take(tiles_ * R_);
    for (float **row : {&c.of_target, &c.offset, &c.hit}) *row = take(R_);
    return c;
  }

  float *own() const { return call_.work + group_ * chunk_floats_ + omp_get_thread_num() * own_floats_; }

  int64_t row(const Chunk &c, int64_t r) const { return kept_[static_cast<size_t>(c.first + r)]; }
  bool side_by_side(const Chunk &c) const { return row(c, c.rows - 1) - row(c, 0) == c.rows - 1; }

  void pack(const Chunk &c) const {
    const float *x = call_.x + row(c, 0) * H_;
    if (!side_by_side(c)) {
      for (int64_t r = 0; r < c.rows; r++) std::memcpy(c.staging + r * H_, call_.x + row(c, r) * H_, H_ * sizeof(float));
      x = c.staging;
    }
    kernels_.pack(H_, c.rows, x, 1, H_, c.x_transposed, H_, c.rows, 0, 0);
    if (call_.dweight) kernels_.pack(c.rows, H_, x, H_, 1, c.x, c.rows, H_, 0, 0);
  }

  void logits(const Chunk &c, int64_t tile) const {
    const int64_t from = tile * kTile, count = std::min(kTile, V_ - from), sums = tile * R_;
    float *logits = c.logits + from * stride_;
    const float *bias = call_.bias ? call_.bias + from : nullptr;
    kernels_.gemm(count, c.rows, H_, call_.weight + from * H_, H_, c.x_transposed, nullptr, 0, logits, stride_);
    for (int64_t r = 0; r < c.rows; r++) {
      const int64_t target = call_.targets[row(c, r)] - from;
      if (target >= 0 && target < count) c.of_target[r] = logits[target * stride_ + r] + (bias ? bias[target] : 0);
    }
    kernels_.softmax(count, c.rows, logits, stride_, bias, c.maxima + sums, c.sums + sums, c.totals + sums);
  }

  // The losses of some rows from the sums of all tiles, and what their gradients need.
  void losses(const Chunk &c, int64_t begin) const {
    const double even = call_.smoothing / static_cast<double>(V_);
    for (int64_t r = begin; r < std::min(begin + kSegment, c.rows); r++) {
      float maximum = c.maxima[r];
      for (int64_t t = 1; t < tiles_; t++) maximum = std::max(maximum, c.maxima[t * R_ + r]);
      double sum = 0, total = 0;   // of exp(logit - maximum), of logit - maximum
      for (int64_t t = 0; t < tiles_; t++) {
        const float lower = c.maxima[t * R_ + r] - maximum;
        c.scales[t * R_ + r] = std::exp(lower);
        sum += c.scales[t * R_ + r] * c.sums[t * R_ + r];
        total += c.totals[t * R_ + r] + static_cast<double>(std::min(kTile, V_ - t * kTile)) * lower;
      }
      double loss = std::log(sum) + (static_cast<double>(maximum) - c.of_target[r]);
      if (even > 0) loss = (1 - call_.smoothing) * loss + even * (static_cast<double>(V_) * std::log(sum) - total);
      call_.loss[row(c, r)] = static_cast<float>(loss);
      const double scale = (call_.row_scale ? call_.row_scale[row(c, r)] : 1) / (call_.mean ? counted() : 1.0);
      for (int64_t t = 0; t < tiles_; t++) c.scales[t * R_ + r] *= static_cast<float>(scale / sum);
      c.offset[r] = static_cast<float>(scale * even);
      c.hit[r] = static_cast<float>(scale * (1 - call_.smoothing));
    }
  }

  // The gradient of the logits of some classes, for all chunks of the group, and from it that of their weights and biases.
  void weight_gradient(int64_t first, int64_t chunks, int64_t tile, int64_t begin) const {
    const int64_t from = tile * kTile + begin;
    const int64_t count = std::min({divide_up(kTile, parts_), kTile - begin, V_ - from});
    if (count <= 0) return;
    float *product = own(), *dbias = call_.dbias ? call_.dbias + from : nullptr;
    for (int64_t number = 0; number < chunks; number++) {
      const Chunk c = chunk(first, number);
      float *gradient = c.logits + from * stride_;
      kernels_.softmax_gradient(count, c.rows, gradient, stride_, c.scales + tile * R_, c.offset, dbias, c.first > 0);
      for (int64_t r = 0; r < c.rows; r++) {
        const int64_t target = call_.targets[row(c, r)] - from;
        if (target < 0 || target >= count) continue;
        gradient[target * stride_ + r] -= c.hit[r];
        if (dbias) dbias[target] -= c.hit[r];
      }
      if (call_.dweight)
        kernels_.gemm(count, H_, c.rows, gradient, stride_, c.x, number ? product : nullptr, width_, product, width_);
    }
    if (!call_.dweight) return;
    float *dweight = call_.dweight + from * H_;
    const rc_operand operands[] = {{dweight, H_, 0, 1}, {product, width_, 0, 0}};
    const rc_instruction copy = {RC_COPY, static_cast<int32_t>(H_), 0, 1, -1, -1, 0}, add = {RC_ADD, copy.width, 0, 1, 0, -1, 0};
    kernels_.tape(first == 0 ? &copy : &add, 1, operands, static_cast<int32_t>(count));
  }

  void input_gradient(const Chunk &c, int64_t begin, int64_t share) const {
    const int64_t count = std::min(share, c.rows - begin);
    if (count <= 0) return;
    const bool direct = side_by_side(c);
    float *dst = (direct ? call_.dx + row(c, 0) * H_ : c.staging) + begin * H_;
    kernels_.rank_update(count, H_, V_, c.logits + begin, stride_, call_.weight, H_, dst, H_, own());
    for (int64_t r = 0; r < count && !direct; r++)
      std::memcpy(call_.dx + row(c, begin + r) * H_, dst + r * H_, H_ * sizeof(float));
  }

  const rc_linear_loss_call &call_;
  const rc_kernels &kernels_;
  const int64_t H_, V_, width_, tiles_;
  const int32_t threads_;
  int64_t most_rows_, R_, stride_;       // of a chunk; padded; floats between the logits of one class and the next
  int64_t group_;                        // chunks of a group
  int64_t parts_;                        // of a tile, units of the third stage
  int64_t chunk_floats_, own_floats_;    // of a chunk, of a thread
  std::vector<int64_t> kept_;            // the rows that count
};

}  // namespace

extern "C" {

int64_t rc_linear_loss_floats(const rc_linear_loss_call *call) { return Loss(*call).floats(); }

int64_t rc_linear_loss(rc_linear_loss_call *call) {
  if (call->size != sizeof(rc_linear_loss_call)) return -2;
  Loss loss(*call);
  const int64_t wrong = loss.list();
  if (wrong >= 0) return wrong;
  loss.run();
  call->counted = loss.counted();
  call->total = loss.total();
  return -1;
}

}  // extern "C"
