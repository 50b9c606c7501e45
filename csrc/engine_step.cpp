// Streaming. With its arrays in place, a pass of one step asks the same of the kernels every time. So it is run once
// against kernels that only write down what they are asked; a step asks it again, past all that led there.
#include "engine_step.h"

#include <omp.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "engine_plan.h"
#include "team.h"

namespace {

// Floats of matrices, or multiply-adds, above which products are cut into units and shared out over the threads.
constexpr int64_t kSharedFloats = 192 * 1024, kSharedWork = 1000 * 1000;
// Panels of a unit: few rows take two side by side.
constexpr int64_t kUnitPanels = 2;
// A thread whose core another program holds keeps the others waiting for a slice of time, many steps long. After a wait
// as long as this, in seconds, steps run on one thread for some times its length, so that waiting costs a small part of
// all time; and for twice as long as before if the next wait comes soon after that.
constexpr double kLongWait = 500e-6, kAlone = 4, kMostAlone = 0.5;

struct Product {
  int64_t m, n, k;
  const float *a;
  int64_t lda;
  const float *packed, *init;
  int64_t ldi;
  float *c;
  int64_t ldc;

  int64_t weight() const { return k * round_up(n, RC_LANE); }
};

struct Tape {
  std::vector<rc_instruction> code;
  std::vector<rc_operand> operands;
  int32_t rows;
};

// Products of the same columns, in their order.
using Unit = std::vector<Product>;

// Products that need not wait for each other, then tapes one after another.
struct Phase {
  std::vector<Product> products;
  std::vector<std::vector<Unit>> shares;   // by thread, the products cut into units; empty: too small for that
  std::vector<Tape> tapes;
};

struct Span {
  const float *begin, *end;

  bool meets(const Span &other) const { return begin < other.end && other.begin < end; }
};

Span read(const Product &p) { return {p.a, p.a + (p.m - 1) * p.lda + p.k}; }
Span started(const Product &p) {
  return p.init ? Span{p.init, p.init + (p.m - 1) * p.ldi + round_up(p.n, RC_LANE)} : Span{nullptr, nullptr};
}
Span written(const Product &p) { return {p.c, p.c + (p.m - 1) * p.ldc + round_up(p.n, RC_LANE)}; }

// Whether columns that two products share can be cut in both at one place, so that units of columns keep their order.
bool cut_alike(const Product &p, const Product &q, int64_t panel) {
  const int64_t apart = std::abs(p.c - q.c);
  return p.ldc == q.ldc && apart % panel == 0 && (p.m == 1 || apart < p.ldc);
}

bool waits(const Product &later, const Product &earlier, int64_t panel) {
  if (read(later).meets(written(earlier)) || written(later).meets(read(earlier))) return true;
  if (later.init != later.c && started(later).meets(written(earlier))) return true;
  if (earlier.init != earlier.c && written(later).meets(started(earlier))) return true;
  return written(later).meets(written(earlier)) && !cut_alike(later, earlier, panel);
}

// What is written down on this thread.
thread_local std::vector<Phase> *phases = nullptr;
thread_local int64_t panel = 0;

void write_product(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *packed, const float *init,
                   int64_t ldi, float *c, int64_t ldc) {
  const Product p = {m, n, k, a, lda, packed, init, ldi, c, ldc};
  bool later = !phases->back().tapes.empty();
  for (const auto &q : phases->back().products) later |= waits(p, q, panel);
  if (later) phases->emplace_back();
  phases->back().products.push_back(p);
}

void write_tape(const rc_instruction *code, int32_t count, const rc_operand *operands, int32_t rows) {
  int32_t last = -1;
  for (const auto *i = code; i < code + count; i++) last = std::max({last, i->dst, i->a, i->b, i->c});
  phases->back().tapes.push_back({{code, code + count}, {operands, operands + last + 1}, rows});
}

void write_total(const rc_layer &layer) {
  const rc_instruction add = {RC_ADD, static_cast<int32_t>(layer.floats), 0, 1, 2, -1, 0};
  float *output = const_cast<float *>(layer.output);
  const rc_operand operands[3] = {{layer.total, 0, 0, 1}, {output, 0, 0, 1}, {layer.input, 0, 0, 1}};
  write_tape(&add, 1, operands, 1);
}

// All products that write to one stretch of columns with `first`, as indices in their order.
std::vector<size_t> group_of(const std::vector<Product> &products, size_t first) {
  std::vector<size_t> group = {first};
  for (size_t g = 0; g < group.size(); g++)
    for (size_t q = first + 1; q < products.size(); q++)
      if (std::find(group.begin(), group.end(), q) == group.end() &&
          written(products[group[g]]).meets(written(products[q])))
        group.push_back(q);
  std::sort(group.begin(), group.end());
  return group;
}

std::vector<Unit> cut(const std::vector<Product> &products) {
  const int64_t width = round_up(kUnitPanels * panel, RC_LANE);
  std::vector<Unit> units;
  std::vector<bool> taken(products.size(), false);
  for (size_t first = 0; first < products.size(); first++) {
    if (taken[first]) continue;
    const auto group = group_of(products, first);
    float *low = products[first].c, *high = low;
    for (size_t g : group) {
      taken[g] = true;
      low = std::min(low, products[g].c);
      high = std::max(high, products[g].c + products[g].n);
    }
    for (float *from = low; from < high; from += width) {
      Unit unit;
      for (size_t g : group) {
        Product p = products[g];
        const int64_t begin = std::max<int64_t>(from - p.c, 0), end = std::min<int64_t>(from + width - p.c, p.n);
        if (begin >= end) continue;
        p.packed += begin * p.k, p.c += begin, p.n = end - begin;
        if (p.init) p.init += begin;
        unit.push_back(p);
      }
      units.push_back(unit);
    }
  }
  return units;
}

// Units shared out by the size of their matrices.
void share_out(Phase &phase, int32_t threads) {
  int64_t total = 0, rows = 0;
  for (const auto &p : phase.products) total += p.weight(), rows = p.m;
  if (total < kSharedFloats && total * rows < kSharedWork) return;
  phase.shares.resize(static_cast<size_t>(threads));
  int64_t before = 0;
  for (const auto &unit : cut(phase.products)) {
    int64_t own = 0;
    for (const auto &p : unit) own += p.weight();
    phase.shares[static_cast<size_t>((2 * before + own) * threads / (2 * total))].push_back(unit);
    before += own;
  }
}

}  // namespace

struct rc_stepper {
  std::vector<std::unique_ptr<rc_plan>> plans;   // of our own, for the constants that tapes point to
  const rc_kernels *kernels;
  std::vector<Phase> phases;
  float *input;
  size_t input_bytes;
  bool backwards;   // the order of the units in the next step
  double alone;     // on one thread until this time
  double pause;     // for so long, at the last long wait

  void multiply(const std::vector<Product> &products) const {
    for (const auto &p : products) kernels->gemm(p.m, p.n, p.k, p.a, p.lda, p.packed, p.init, p.ldi, p.c, p.ldc);
  }

  // What the last step read last is still in the cache, so it comes first in the next.
  void multiply(const std::vector<Unit> &units) const {
    for (size_t i = 0; i < units.size(); i++) multiply(units[backwards ? units.size() - 1 - i : i]);
  }

  void multiply_together(const std::vector<std::vector<Unit>> &shares) {
    const int32_t count = static_cast<int32_t>(shares.size());
    double own = 0;
    const double start = omp_get_wtime();
#pragma omp parallel num_threads(rc_team(count))
    {
      const double begin = omp_get_wtime();
      const int32_t team = omp_get_num_threads(), self = omp_get_thread_num();
      for (int32_t s = self; s < count; s += team) multiply(shares[static_cast<size_t>(s)]);
      if (self == 0) own = omp_get_wtime() - begin;
    }
    const double now = omp_get_wtime(), wait = now - start - own;
    if (wait < kLongWait) return;
    pause = std::min(now - alone < pause ? 2 * pause : kAlone * wait, kMostAlone);
    alone = now + pause;
  }

  void run(Phase &phase) {
    if (phase.shares.empty())
      multiply(phase.products);
    else if (phase.shares.size() > 1 && omp_get_wtime() >= alone)
      multiply_together(phase.shares);
    else
      for (size_t i = 0; i < phase.shares.size(); i++)
        multiply(phase.shares[backwards ? phase.shares.size() - 1 - i : i]);
    for (const auto &t : phase.tapes)
      kernels->tape(t.code.data(), static_cast<int32_t>(t.code.size()), t.operands.data(), t.rows);
  }
};

extern "C" {

rc_stepper *rc_stepper_new(const rc_layer *layers, int32_t count, int64_t rows, int32_t threads) {
  auto stepper = std::make_unique<rc_stepper>();
  stepper->kernels = layers[0].plan->kernels;
  stepper->input = layers[0].input;
  stepper->input_bytes = sizeof(float) * static_cast<size_t>(layers[0].floats);
  stepper->phases.emplace_back();
  rc_kernels writer = *stepper->kernels;
  writer.gemm = write_product;
  writer.tape = write_tape;
  phases = &stepper->phases;
  panel = writer.panel;
  bool served = true;
  for (int32_t i = 0; i < count && served; i++) {
    auto plan = std::make_unique<rc_plan>(*layers[i].plan);
    plan->kernels = &writer;
    const rc_call call = {sizeof(rc_call), 1, 1, rows, layers[i].externals, layers[i].packed, layers[i].kept,
                          layers[i].work, nullptr, 0, 0, nullptr, nullptr};
    served = rc_run(plan.get(), 0, &call) == 0;
    plan->kernels = stepper->kernels;
    stepper->plans.push_back(std::move(plan));
    if (layers[i].total) write_total(layers[i]);
  }
  for (auto &phase : stepper->phases) share_out(phase, std::max(threads, 1));
  return served ? stepper.release() : nullptr;
}

void rc_stepper_free(rc_stepper *stepper) { delete stepper; }

void rc_step(rc_stepper *stepper, const float *x) {
  memcpy(stepper->input, x, stepper->input_bytes);
  for (auto &phase : stepper->phases) stepper->run(phase);
  stepper->backwards = !stepper->backwards;
}

}  // extern "C"
