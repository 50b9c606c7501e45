// Running a pass. Each thread takes its rows through the whole sequence; nothing waits inside the loop.
#include <omp.h>

#include <algorithm>
#include <atomic>
#include <cstring>

#include "engine_plan.h"

namespace {

// Where an array lies for one thread.
struct Place {
  float *base;
  int64_t rs, ts;
  int64_t row0, step0;   // the row and the step at `base`
};

// Columns of an adjoint that one unit of a weight gradient takes; the other threads take the others.
constexpr int64_t kSumColumns = 256;

// Panels of a matrix that several steps share while they are in the cache.
constexpr int64_t kPanelsTogether = 4;

class Worker {
 public:
  Worker(const rc_plan &plan, int32_t pass, const rc_call &call, const rc_split &split, int32_t thread)
      : plan_(plan), kernels_(*plan.kernels), pass_(pass), call_(call), split_(split) {
    const int64_t shares = split.row_threads, share = std::min<int64_t>(thread, shares);
    row0_ = call.rows * share / shares;
    row1_ = thread < shares ? call.rows * (share + 1) / shares : row0_;
    place(thread);
  }

  void once(int32_t region) {
    for (size_t s = 0; s < plan_.stages.size(); s++)
      if (here(s, region)) stage(s, 0, 1, 0, 1);
  }

  // This thread's rows, from the start of the sequence to its end: begin, the chunks in order, end.
  void begin() {
    if (row0_ == row1_) return;
    clear_sums();
    for (const auto &c : plan_.carried)
      if (c.pass == pass_) copy(c.first, c.given, first_step());
    rows(RC_REGION_SEQUENCE);
  }

  void chunk(int64_t low, int64_t count) {
    for (size_t a : chunked_) places_[a].step0 = low;
    if (row0_ == row1_) return;
    for (int64_t done = 0; done < count; done += split_.block) {
      const int64_t steps = std::min(split_.block, count - done);
      const int64_t from = pass_ == 0 ? low + done : low + count - done - steps;
      for (size_t a : blocked_) places_[a].step0 = from;
      block(RC_REGION_BEFORE, from, steps);
      for (int64_t i = 0; i < steps; i++) loop(pass_ == 0 ? from + i : from + steps - 1 - i);
      block(RC_REGION_AFTER, from, steps);
    }
  }

  void end() {
    if (row0_ == row1_) return;
    rows(RC_REGION_SEQUENCE_AFTER);
    for (const auto &c : plan_.carried)
      if (c.pass == pass_) copy(c.out, c.last, call_.steps - 1 - first_step());
  }

  // Sums over all rows of a chunk, shared unit by unit: whoever is free takes the next, and each unit is summed in one
  // order whoever takes it. The last chunk brings the sums of what exists once a sequence.
  void sums(std::atomic<int64_t> &next, int64_t low, int64_t count, bool first, bool last) {
    int64_t unit = 0, mine = next++;
    each_unit([&](const rc_sum &s, int64_t m0, int64_t m1) {
      if (unit++ != mine) return;
      sum(s, {m0, m1, low, count, first, last, false});
      mine = next++;
    });
  }

  // What the learned values by themselves bring to the gradients, from sums that are complete.
  void once_sums() {
    each_unit([&](const rc_sum &s, int64_t m0, int64_t m1) { sum(s, {m0, m1, 0, 0, false, false, true}); });
  }

 private:
  // Columns of the adjoint, steps, whether they are the first or the last of the pass, or behind all of them.
  struct Unit {
    int64_t m0, m1, low, count;
    bool first, last, behind;

    bool takes(const rc_pair &pair) const { return behind ? pair.rate == 0 : pair.rate == 2 || (pair.rate == 1 && last); }
  };

  template <class F>
  void each_unit(F take) const {
    for (const auto &s : plan_.sums) {
      if (s.pass != pass_) continue;
      const int64_t width = plan_.values[plan_.pairs[s.pair_begin].adjoint].width;
      const int64_t units = (width + kSumColumns - 1) / kSumColumns;
      for (int64_t u = 0; u < units; u++) take(s, width * u / units, width * (u + 1) / units);
    }
  }

  int64_t first_step() const { return pass_ == 0 ? 0 : call_.steps - 1; }

  bool here(size_t s, int32_t region) const {
    return plan_.stages[s].pass == pass_ && plan_.stages[s].region == region;
  }

  void place(int32_t thread) {
    float *kept = call_.kept, *work = call_.work;
    int64_t own = plan_.sum_scratch;
    for (size_t a = 0; a < plan_.arrays.size(); a++)
      if (plan_.arrays[a].pass == pass_) own += rc_thread_floats(plan_, static_cast<int32_t>(a), split_);
    int64_t shared = 0;
    for (size_t a = 0; a < plan_.arrays.size(); a++)
      if (plan_.arrays[a].pass == pass_)
        shared += rc_shared_floats(plan_, static_cast<int32_t>(a), call_.steps, call_.rows, split_.chunk);
    float *mine = work + shared + own * thread;
    scratch_ = mine;
    mine += plan_.sum_scratch;
    places_.resize(plan_.arrays.size());
    for (size_t i = 0; i < plan_.arrays.size(); i++) {
      const int32_t a = static_cast<int32_t>(i);
      const rc_array &array = plan_.arrays[i];
      const int64_t width = plan_.padded(a), rows = row1_ - row0_;
      Place &p = places_[i];
      p = {nullptr, 0, 0, 0, 0};
      float *&from = array.pass == -1 ? kept : work;
      switch (array.kind) {
        case RC_EXTERNAL: {
          const rc_external &e = call_.externals[array.slot];
          p.base = e.p ? e.p : const_cast<float *>(plan_.zeros.data());
          if (e.p) p.rs = e.rs, p.ts = e.ts;
          break;
        }
        case RC_CONSTANT: p.base = const_cast<float *>(&plan_.constants[array.slot]); break;
        case RC_ONCE: p.base = from; break;
        case RC_ROWS: p.base = from; p.rs = width; break;
        case RC_TIMED: p.base = from; p.rs = width; p.ts = width * call_.rows; break;
        case RC_CHUNK:
          p.base = from; p.rs = width; p.ts = width * call_.rows;
          chunked_.push_back(i);
          break;
        case RC_BLOCK:
          p.base = mine; p.rs = width; p.ts = width * rows; p.row0 = row0_;
          blocked_.push_back(i);
          break;
        case RC_THREAD: p.base = mine; p.rs = width; p.row0 = row0_; break;
        case RC_LOCAL: p.base = mine; p.rs = width; break;
      }
      if (array.pass == -1 || array.pass == pass_) {
        if (array.kind >= RC_BLOCK) mine += rc_thread_floats(plan_, a, split_);
        else from += rc_shared_floats(plan_, a, call_.steps, call_.rows, split_.chunk);
      }
    }
  }

  float *at(const rc_value &v, int64_t row, int64_t step) const {
    const Place &p = places_[v.array];
    return p.base + (row - p.row0) * p.rs + (step + v.shift - p.step0) * p.ts + v.column;
  }

  void clear_sums() {
    for (size_t a = 0; a < plan_.arrays.size(); a++)
      if (plan_.arrays[a].zero && plan_.arrays[a].pass == pass_) {
        const Place &p = places_[a];
        memset(p.base + row0_ * p.rs, 0, sizeof(float) * static_cast<size_t>((row1_ - row0_) * p.rs));
      }
  }

  void copy(int32_t to, int32_t from, int64_t step) {
    const rc_value &t = plan_.values[to], &f = plan_.values[from];
    if (plan_.arrays[t.array].kind == RC_EXTERNAL && !call_.externals[plan_.arrays[t.array].slot].p) return;
    for (int64_t r = row0_; r < row1_; r++)
      memcpy(at(t, r, step), at(f, r, step), sizeof(float) * static_cast<size_t>(t.width));
  }

  void rows(int32_t region) {
    for (size_t s = 0; s < plan_.stages.size(); s++)
      if (here(s, region)) stage(s, row0_, row1_, 0, 1);
  }

  void block(int32_t region, int64_t low, int64_t count) {
    for (size_t s = 0; s < plan_.stages.size(); s++)
      if (here(s, region)) stage(s, row0_, row1_, low, count);
  }

  void loop(int64_t step) {
    for (size_t s = 0; s < plan_.stages.size(); s++)
      if (here(s, RC_REGION_LOOP)) stage(s, row0_, row1_, step, 1);
  }

  void stage(size_t number, int64_t r0, int64_t r1, int64_t low, int64_t count) {
    const rc_stage &s = plan_.stages[number];
    for (int32_t i = s.product_begin; i < s.product_end; i++) product(plan_.products[i], r0, r1, low, count);
    if (s.code_begin < s.code_end)
      for (int64_t step = low; step < low + count; step++) tape(number, r0, r1, step);
  }

  void product(const rc_product &q, int64_t r0, int64_t r1, int64_t low, int64_t count) {
    const rc_matrix &m = plan_.matrices[q.matrix];
    const rc_value &a = plan_.values[q.operand], &c = plan_.values[q.target];
    const rc_value *s = q.start < 0 ? nullptr : &plan_.values[q.start];
    const float *packed = call_.packed + plan_.matrix_offset[q.matrix];
    const Place &pa = places_[a.array], &pc = places_[c.array], *ps = s ? &places_[s->array] : nullptr;
    if (count > 1 && r1 - r0 < kFullRows) {
      for (int64_t r = r0; r < r1; r++)
        kernels_.gemm(count, m.n, m.k, at(a, r, low), pa.ts, packed, s ? at(*s, r, low) : nullptr, ps ? ps->ts : 0,
                      at(c, r, low), pc.ts);
      return;
    }
    // Some panels of the matrix meet all steps before the next panels are fetched.
    const int64_t together = count == 1 ? m.n : kPanelsTogether * kernels_.panel;
    for (int64_t j = 0; j < m.n; j += together)
      for (int64_t step = low; step < low + count; step++)
        kernels_.gemm(r1 - r0, std::min(together, m.n - j), m.k, at(a, r0, step), pa.rs, packed + j * m.k,
                      s ? at(*s, r0, step) + j : nullptr, ps ? ps->rs : 0, at(c, r0, step) + j, pc.rs);
  }

  void tape(size_t number, int64_t r0, int64_t r1, int64_t step) {
    const rc_stage &s = plan_.stages[number];
    const int32_t count = s.operand_end - s.operand_begin;
    operands_.resize(static_cast<size_t>(count));
    for (int32_t i = 0; i < count; i++) {
      const rc_tape_operand &o = plan_.operands[s.operand_begin + i];
      const rc_value &v = plan_.values[o.value];
      const rc_array &array = plan_.arrays[v.array];
      const bool local = array.kind == RC_LOCAL;
      operands_[i] = {at(v, local ? 0 : r0, step), places_[v.array].rs, o.scalar, array.kind == RC_EXTERNAL};
    }
    const int64_t tile = plan_.tile[number];
    for (int64_t r = r0; r < r1; r += tile) {
      const int64_t n = std::min(tile, r1 - r);
      kernels_.tape(&plan_.instructions[s.code_begin], s.code_end - s.code_begin, operands_.data(),
                    static_cast<int32_t>(n));
      for (int32_t i = 0; i < count; i++)
        if (plan_.arrays[plan_.values[plan_.operands[s.operand_begin + i].value].array].kind != RC_LOCAL)
          operands_[i].p += n * operands_[i].stride;
    }
  }

  void sum(const rc_sum &s, const Unit &u) {
    bool more = false;   // whether the sum has begun
    for (int32_t i = s.pair_begin; i < s.pair_end; i++)
      more |= u.behind ? plan_.pairs[i].rate > 0 : plan_.pairs[i].rate == 2 && !u.first;
    for (int32_t i = s.pair_begin; i < s.pair_end; i++) {
      const rc_pair &pair = plan_.pairs[i];
      if (!u.takes(pair)) continue;
      const int64_t outer = pair.rate == 2 ? u.count : 1, inner = pair.rate >= 1 ? call_.rows : 1;
      if (s.kind == 0)
        multiply(s, pair, u, outer, inner, more);
      else
        add_rows(pair, u, outer, inner, s.kind == 1 ? call_.externals[s.slot].p : at(plan_.values[s.target], 0, 0), more);
      more = true;
    }
  }

  void multiply(const rc_sum &s, const rc_pair &pair, const Unit &u, int64_t outer, int64_t inner, bool more) {
    const rc_value &e = plan_.values[pair.adjoint], &o = plan_.values[pair.operand];
    const Place &pe = places_[e.array], &po = places_[o.array];
    const rc_external &c = call_.externals[s.slot];
    const float *adjoint = at(e, 0, u.low) + u.m0, *operand = at(o, 0, u.low);
    float *bias = s.bias_slot < 0 ? nullptr : call_.externals[s.bias_slot].p + u.m0;
    float *out = c.p + u.m0 * c.rs;
    kernels_.gemm_tn(u.m1 - u.m0, o.width, outer, inner, adjoint, pe.ts, pe.rs, operand, po.ts, po.rs, out, c.rs, bias,
                     more, scratch_);
  }

  // Column sums, a step's rows at a time so that a long sum keeps its precision.
  void add_rows(const rc_pair &pair, const Unit &u, int64_t outer, int64_t inner, float *out, bool more) {
    const rc_value &e = plan_.values[pair.adjoint];
    const Place &p = places_[e.array];
    const int64_t step = pair.rate == 2 ? u.low : 0;
    for (int64_t m0 = u.m0; m0 < u.m1; m0 += kSumColumns) {
      const int64_t columns = std::min(kSumColumns, u.m1 - m0);
      float part[kSumColumns];
      double total[kSumColumns];
      for (int64_t m = 0; m < columns; m++) total[m] = more ? out[m0 + m] : 0.0;
      for (int64_t o = 0; o < outer; o++) {
        memset(part, 0, sizeof(part));
        for (int64_t i = 0; i < inner; i++) {
          const float *row = at(e, 0, step) + o * p.ts + i * p.rs + m0;
          for (int64_t m = 0; m < columns; m++) part[m] += row[m];
        }
        for (int64_t m = 0; m < columns; m++) total[m] += part[m];
      }
      for (int64_t m = 0; m < columns; m++) out[m0 + m] = static_cast<float>(total[m]);
    }
  }

  const rc_plan &plan_;
  const rc_kernels &kernels_;
  const int32_t pass_;
  const rc_call &call_;
  const rc_split &split_;
  int64_t row0_, row1_;
  float *scratch_;
  std::vector<Place> places_;
  std::vector<size_t> chunked_, blocked_;   // arrays that hold some of the steps
  std::vector<rc_operand> operands_;
};

void pack_block(const rc_plan &plan, const rc_block &b, const rc_external &e, float *packed) {
  const rc_matrix &m = plan.matrices[b.matrix];
  const int64_t sk = b.transposed ? e.rs : 1, sn = b.transposed ? 1 : e.rs;
  plan.kernels->pack(b.k, b.n, e.p, sk, sn, packed + plan.matrix_offset[b.matrix], m.k, m.n, b.k0, b.n0);
}

}  // namespace

extern "C" {

void rc_pack(const rc_plan *plan, int32_t pass, const rc_external *externals, float *packed, int32_t threads) {
  const int64_t count = static_cast<int64_t>(plan->blocks.size());
  const int32_t team = plan->packed_floats[pass] < 16384 ? 1 : std::max(threads, 1);
#pragma omp parallel for num_threads(team) schedule(dynamic)
  for (int64_t i = 0; i < count; i++) {
    const rc_block &b = plan->blocks[i];
    if (plan->matrices[b.matrix].pass == pass) pack_block(*plan, b, externals[b.slot], packed);
  }
}

int32_t rc_run(const rc_plan *plan, int32_t pass, const rc_call *call) {
  if (call->size != sizeof(rc_call) || call->lengths) return -1;
  const rc_split split(*plan, pass, call->steps, call->rows, call->threads);
  const int64_t chunks = (call->steps + split.chunk - 1) / split.chunk;
  std::vector<std::atomic<int64_t>> next(static_cast<size_t>(chunks));
#pragma omp parallel num_threads(split.threads)
  {
    // The team may be smaller than asked for; each member then takes several shares.
    const int32_t team = omp_get_num_threads(), self = omp_get_thread_num();
    std::vector<Worker> mine;
    for (int32_t share = self; share < split.threads; share += team) mine.emplace_back(*plan, pass, *call, split, share);
    if (self == 0) mine[0].once(RC_REGION_ONCE);
#pragma omp barrier
    for (auto &worker : mine) worker.begin();
    for (int64_t k = 0; k < chunks; k++) {
      const int64_t done = k * split.chunk, count = std::min(split.chunk, call->steps - done);
      const int64_t low = pass == 0 ? done : call->steps - done - count;
      for (auto &worker : mine) worker.chunk(low, count);
      if (k == chunks - 1)
        for (auto &worker : mine) worker.end();
      if (plan->has_sums[pass]) {
#pragma omp barrier
        mine[0].sums(next[static_cast<size_t>(k)], low, count, k == 0, k == chunks - 1);
#pragma omp barrier
      }
    }
    if (self == 0) {
      mine[0].once(RC_REGION_ONCE_AFTER);
      if (plan->has_sums[pass]) mine[0].once_sums();
    }
  }
  return 0;
}

}  // extern "C"
