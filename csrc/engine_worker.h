// One thread's share of a call: its rows through the whole sequence, and its part of the sums over rows and steps.
#pragma once
#include <algorithm>
#include <cstring>

#include "engine_plan.h"

// Columns [m0, m1) of the adjoint of a sum.
struct rc_piece {
  int32_t sum;
  int64_t m0, m1;
};

class rc_worker {
 public:
  rc_worker(const rc_plan &plan, int32_t pass, const rc_call &call, const rc_split &split, const rc_alive &alive,
            int32_t thread)
      : plan_(plan), kernels_(*plan.kernels), pass_(pass), call_(call), split_(split), alive_(alive) {
    const int64_t shares = split.row_threads;
    if (thread < shares && call.lengths) {   // long rows and short ones to every thread
      first_ = thread, hop_ = shares, rows_ = (call.rows - thread + shares - 1) / shares;
    } else if (thread < shares) {
      first_ = call.rows * thread / shares, hop_ = 1, rows_ = call.rows * (thread + 1) / shares - first_;
    }
    place(thread);
  }

  void once(int32_t region) {
    for (size_t s = 0; s < plan_.stages.size(); s++)
      if (here(s, region)) stage(s, 1, 0);
  }

  // This thread's rows, from the start of the sequence to its end: begin, the chunks in order, end.
  void begin() {
    if (!rows_) return;
    clear_sums();
    for (const auto &c : plan_.carried)
      if (c.pass == pass_) copy(c.first, c.given, pass_ == 0);
    rows(RC_REGION_SEQUENCE);
  }

  void chunk(int64_t low, int64_t count) {
    for (size_t a : chunked_) places_[a].step0 = low;
    if (!rows_) return;
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
    if (!rows_) return;
    rows(RC_REGION_SEQUENCE_AFTER);
    for (const auto &c : plan_.carried)
      if (c.pass == pass_) copy(c.out, c.last, pass_ != 0);
  }

  // A piece of a sum over all rows of a chunk of steps. The last chunk brings the sums of what exists once a sequence.
  void sum(const rc_piece &piece, int64_t low, int64_t count, bool first, bool last) {
    sum(plan_.sums[piece.sum], {piece.m0, piece.m1, low, count, first, last, false});
  }

  // What the learned values by themselves bring to the gradients, from sums that are complete.
  void once_sums() {
    for (const auto &s : plan_.sums)
      if (s.pass == pass_) sum(s, {0, plan_.values[plan_.pairs[s.pair_begin].adjoint].width, 0, 0, false, false, true});
  }

 private:
  // Where an array lies, as this thread sees it.
  struct Place {
    float *base;
    int64_t rs, ts, ms;
    int64_t step0;   // the step at `base`
    bool own;        // whether its rows are this thread's alone
    bool owned;      // whether the rows of the call share them, by call.owners
  };

  // Columns of the adjoint, steps, whether they are the first or the last of the pass, or behind all of them.
  struct Unit {
    int64_t m0, m1, low, count;
    bool first, last, behind;

    bool takes(const rc_pair &pair) const { return behind ? pair.rate == 0 : pair.rate == 2 || (pair.rate > 0 && last); }
  };

  bool here(size_t s, int32_t region) const {
    return plan_.stages[s].pass == pass_ && plan_.stages[s].region == region;
  }

  void place(int32_t thread) {
    const rc_size size = {call_.steps, call_.rows, call_.sources};
    float *kept = call_.kept, *work = call_.work;
    int64_t own = plan_.sum_scratch;
    for (size_t a = 0; a < plan_.arrays.size(); a++)
      if (plan_.arrays[a].pass == pass_) own += rc_thread_floats(plan_, static_cast<int32_t>(a), size, split_);
    int64_t shared = 0;
    for (size_t a = 0; a < plan_.arrays.size(); a++)
      if (plan_.arrays[a].pass == pass_)
        shared += rc_shared_floats(plan_, static_cast<int32_t>(a), size, split_.chunk);
    float *mine = work + shared + own * thread;
    scratch_ = mine;
    mine += plan_.sum_scratch;
    places_.resize(plan_.arrays.size());
    for (size_t i = 0; i < plan_.arrays.size(); i++) {
      const int32_t a = static_cast<int32_t>(i);
      const rc_array &array = plan_.arrays[i];
      const int64_t span = plan_.span(a, call_.sources);
      Place &p = places_[i];
      p = {nullptr, 0, 0, array.memory, 0, false, call_.owners && plan_.owned[i]};
      float *&from = array.pass == -1 ? kept : work;
      switch (array.kind) {
        case RC_EXTERNAL: {
          const rc_external &e = call_.externals[array.slot];
          p.base = e.p ? e.p : const_cast<float *>(plan_.zeros.data());
          if (e.p) p.rs = e.rs, p.ts = e.ts;
          p.ms = e.p && array.memory ? e.ms : 0;
          break;
        }
        case RC_CONSTANT: p.base = const_cast<float *>(&plan_.constants[array.slot]); break;
        case RC_ONCE: p.base = from; break;
        case RC_ROWS: p.base = from; p.rs = span; break;
        case RC_TIMED: p.base = from; p.rs = span; p.ts = span * call_.rows; break;
        case RC_CHUNK:
          p.base = from; p.rs = span; p.ts = span * call_.rows;
          chunked_.push_back(i);
          break;
        case RC_BLOCK:
          p.base = mine; p.rs = span; p.ts = span * rows_; p.own = true;
          blocked_.push_back(i);
          break;
        case RC_THREAD: p.base = mine; p.rs = span; p.own = true; break;
        case RC_LOCAL: p.base = mine; p.rs = array.memory ? 0 : span; p.own = true; break;
      }
      if (array.pass == -1 || array.pass == pass_) {
        if (p.own) mine += rc_thread_floats(plan_, a, size, split_);
        else from += rc_shared_floats(plan_, a, size, split_.chunk);
      }
    }
  }

  // The value of a row of the call, in an array that all threads share.
  float *at_row(const rc_value &v, int64_t row, int64_t step) const {
    const Place &p = places_[v.array];
    return p.base + (p.owned ? call_.owners[row] : row) * p.rs + (step + v.shift - p.step0) * p.ts + v.column;
  }

  // The value of a row of this thread, and how far it is to its next row.
  float *at(const rc_value &v, int64_t row, int64_t step) const {
    return at_row(v, places_[v.array].own ? row : first_ + row * hop_, step);
  }

  int64_t row_step(const rc_value &v) const {
    const Place &p = places_[v.array];
    return p.own ? p.rs : p.rs * hop_;
  }

  // How many sources a row of this thread has.
  int64_t sources_of(int64_t row) const {
    return call_.source_counts ? call_.source_counts[first_ + row * hop_] : call_.sources;
  }

  bool has_sources(const rc_value &v) const { return plan_.arrays[v.array].memory != 0; }

  // How many of this thread's rows have a step.
  int64_t rows_at(int64_t step) const {
    if (alive_.counts.empty()) return rows_;
    const int64_t count = alive_.counts[static_cast<size_t>(step)];
    return count <= first_ ? 0 : std::min(rows_, (count - first_ + hop_ - 1) / hop_);
  }

  // The steps of a row of this thread: from the first of the two to before the second.
  void steps_of(int64_t row, int64_t &low, int64_t &high) const {
    const int64_t length = call_.lengths ? call_.lengths[first_ + row * hop_] : call_.steps;
    low = call_.late ? call_.steps - length : 0;
    high = low + length;
  }

  void clear_sums() {
    for (size_t a = 0; a < plan_.arrays.size(); a++)
      if (plan_.arrays[a].zero && plan_.arrays[a].pass == pass_)
        for (int64_t r = 0; r < rows_; r++) {
          const Place &p = places_[a];
          memset(p.base + (first_ + r * hop_) * p.rs, 0, sizeof(float) * static_cast<size_t>(p.rs));
        }
  }

  // Copies each row's value at its earliest step, or at its latest.
  void copy(int32_t to, int32_t from, bool earliest) {
    const rc_value &t = plan_.values[to], &f = plan_.values[from];
    if (plan_.arrays[t.array].kind == RC_EXTERNAL && !call_.externals[plan_.arrays[t.array].slot].p) return;
    // By the kernels, as all that a pass does: a stepper takes a pass for what it asks of them.
    const bool over = has_sources(t);
    const rc_instruction move = {RC_COPY, t.width, 0, 1, -1, -1, over};
    const int64_t together = call_.lengths || over ? 1 : rows_;
    for (int64_t r = 0; r < rows_; r += together) {
      int64_t low, high;
      steps_of(r, low, high);
      const int64_t step = earliest ? low : high - 1;
      rc_operand operands[2] = {{at(t, r, step), row_step(t), 0, 1}, {at(f, r, step), row_step(f), 0, 1}};
      if (over) operands[0].stride = places_[t.array].ms, operands[1].stride = places_[f.array].ms;
      kernels_.tape(&move, 1, operands, static_cast<int32_t>(over ? sources_of(r) : together));
    }
  }

  void rows(int32_t region) {
    for (size_t s = 0; s < plan_.stages.size(); s++)
      if (here(s, region)) stage(s, rows_, 0);
  }

  void block(int32_t region, int64_t low, int64_t count) {
    for (size_t s = 0; s < plan_.stages.size(); s++)
      if (here(s, region)) {
        const rc_stage &code = plan_.stages[s];
        for (int32_t i = code.product_begin; i < code.product_end; i++) block_product(plan_.products[i], low, count);
        if (code.code_begin < code.code_end)
          for (int64_t step = low; step < low + count; step++) tape(s, rows_at(step), step);
      }
  }

  void loop(int64_t step) {
    const int64_t rows = rows_at(step);
    if (!rows) return;
    for (size_t s = 0; s < plan_.stages.size(); s++)
      if (here(s, RC_REGION_LOOP)) stage(s, rows, step);
  }

  void stage(size_t number, int64_t rows, int64_t step) {
    const rc_stage &s = plan_.stages[number];
    for (int32_t i = s.product_begin; i < s.product_end; i++)
      product(plan_.products[i], rows, step, 0, plan_.matrices[plan_.products[i].matrix].n);
    if (s.code_begin < s.code_end) tape(number, rows, step);
  }

  // Columns [j, j + n) of a product.
  void product(const rc_product &q, int64_t rows, int64_t step, int64_t j, int64_t n) {
    const rc_matrix &m = plan_.matrices[q.matrix];
    const rc_value &a = plan_.values[q.operand], &c = plan_.values[q.target];
    const rc_value *s = q.start < 0 ? nullptr : &plan_.values[q.start];
    if (has_sources(c)) {
      for (int64_t r = 0; r < rows; r++)
        kernels_.gemm(sources_of(r), n, m.k, at(a, r, step), places_[a.array].ms,
                      call_.packed + plan_.matrix_offset[q.matrix] + j * m.k, s ? at(*s, r, step) + j : nullptr,
                      s ? places_[s->array].ms : 0, at(c, r, step) + j, places_[c.array].ms);
      return;
    }
    kernels_.gemm(rows, n, m.k, at(a, 0, step), row_step(a), call_.packed + plan_.matrix_offset[q.matrix] + j * m.k,
                  s ? at(*s, 0, step) + j : nullptr, s ? row_step(*s) : 0, at(c, 0, step) + j, row_step(c));
  }

  // A product for a block of steps. Few rows take their steps together, to fill the registers; of many, all steps meet
  // some panels of the matrix before the next panels are fetched.
  void block_product(const rc_product &q, int64_t low, int64_t count) {
    const rc_matrix &m = plan_.matrices[q.matrix];
    if (count == 1 || rows_ >= kFullRows) {
      const int64_t together = count == 1 ? m.n : kPanelsTogether * kernels_.panel;
      for (int64_t j = 0; j < m.n; j += together)
        for (int64_t step = low; step < low + count; step++)
          product(q, rows_at(step), step, j, std::min(together, m.n - j));
      return;
    }
    const rc_value &a = plan_.values[q.operand], &c = plan_.values[q.target];
    const rc_value *s = q.start < 0 ? nullptr : &plan_.values[q.start];
    for (int64_t r = 0; r < rows_; r++) {
      int64_t first, end;
      steps_of(r, first, end);
      first = std::max(first, low), end = std::min(end, low + count);
      kernels_.gemm(end - first, m.n, m.k, at(a, r, first), places_[a.array].ts,
                    call_.packed + plan_.matrix_offset[q.matrix], s ? at(*s, r, first) : nullptr,
                    s ? places_[s->array].ts : 0, at(c, r, first), places_[c.array].ts);
    }
  }

  void tape(size_t number, int64_t rows, int64_t step) {
    const rc_stage &s = plan_.stages[number];
    const int32_t count = s.operand_end - s.operand_begin;
    operands_.resize(static_cast<size_t>(count));
    for (int32_t i = 0; i < count; i++) {
      const rc_tape_operand &o = plan_.operands[s.operand_begin + i];
      const rc_value &v = plan_.values[o.value];
      operands_[i] = {at(v, 0, step), row_step(v), o.scalar, o.exact};
    }
    const int64_t tile = plan_.tile[number];
    const rc_range inner = plan_.inner[number];
    for (int64_t r = 0; r < rows; r += tile) {
      const int64_t n = std::min(tile, rows - r);
      instructions(s.code_begin, inner.begin, operands_, n);
      for (int64_t i = 0; i < n && inner.begin < inner.end; i++) over_sources(s, inner, r + i, i);
      instructions(inner.end, s.code_end, operands_, n);
      for (int32_t i = 0; i < count; i++)
        if (plan_.arrays[plan_.values[plan_.operands[s.operand_begin + i].value].array].kind != RC_LOCAL)
          operands_[i].p += n * operands_[i].stride;
    }
  }

  void instructions(int32_t begin, int32_t end, const std::vector<rc_operand> &operands, int64_t rows) {
    if (begin < end) kernels_.tape(&plan_.instructions[begin], end - begin, operands.data(), static_cast<int32_t>(rows));
  }

  // The part of a tape that meets sources, for one row of the thread, which is the i-th of its tile: runs of instructions
  // over the row's sources, and between them what is one for all of them.
  void over_sources(const rc_stage &s, const rc_range &inner, int64_t row, int64_t i) {
    row_operands_ = operands_;
    for (size_t k = 0; k < row_operands_.size(); k++) {
      const rc_value &v = plan_.values[plan_.operands[s.operand_begin + static_cast<int32_t>(k)].value];
      row_operands_[k].p = places_[v.array].owned ? at(v, row, 0) : row_operands_[k].p + i * operands_[k].stride;
      row_operands_[k].stride = places_[v.array].ms;
    }
    for (int32_t begin = inner.begin, end; begin < inner.end; begin = end) {
      const int32_t over = plan_.instructions[begin].over;
      for (end = begin + 1; end < inner.end && plan_.instructions[end].over == over;) end++;
      instructions(begin, end, row_operands_, over ? sources_of(row) : 1);
    }
  }

  void sum(const rc_sum &s, const Unit &u) {
    bool more = false;   // whether the sum has begun
    for (int32_t i = s.pair_begin; i < s.pair_end; i++)
      more |= u.behind ? plan_.pairs[i].rate > 0 : plan_.pairs[i].rate == 2 && !u.first;
    for (int32_t i = s.pair_begin; i < s.pair_end; i++) {
      const rc_pair &pair = plan_.pairs[i];
      if (!u.takes(pair)) continue;
      const bool steps = pair.rate == 2;
      Rows rows = {steps ? u.count : 1, pair.rate >= 1 ? call_.rows : 1,
                   steps && !alive_.counts.empty() ? &alive_.counts[static_cast<size_t>(u.low)] : nullptr, false};
      if (pair.rate == 3) rows = {call_.rows, call_.sources, call_.source_counts, true};
      if (s.kind == 0)
        multiply(s, pair, u, rows, more);
      else
        add_rows(pair, u, rows, s.kind == 1 ? bias_gradient(s, 0) : at(plan_.values[s.target], 0, 0), more);
      more = true;
    }
  }

  // The rows of a sum: `inner` of each of the `outer` steps, or as many as `counts` says; or the sources of each row.
  struct Rows {
    int64_t outer, inner;
    const int64_t *counts;
    bool sources;

    int64_t outer_step(const Place &p) const { return sources ? p.rs : p.ts; }
    int64_t inner_step(const Place &p) const { return sources ? p.ms : p.rs; }
  };

  float *bias_gradient(const rc_sum &s, int64_t column) const {
    return s.bias_slot < 0 ? nullptr : call_.externals[s.bias_slot].p + s.bias_row + column;
  }

  void multiply(const rc_sum &s, const rc_pair &pair, const Unit &u, const Rows &rows, bool more) {
    const rc_value &e = plan_.values[pair.adjoint], &o = plan_.values[pair.operand];
    const Place &pe = places_[e.array], &po = places_[o.array];
    const rc_external &c = call_.externals[s.slot];
    kernels_.gemm_tn(u.m1 - u.m0, o.width, rows.outer, rows.inner, rows.counts, at_row(e, 0, u.low) + u.m0,
                     rows.outer_step(pe), rows.inner_step(pe), at_row(o, 0, u.low), rows.outer_step(po),
                     rows.inner_step(po), c.p + (s.row + u.m0) * c.rs, c.rs, bias_gradient(s, u.m0), more, scratch_);
  }

  // Column sums, a step's rows at a time so that a long sum keeps its precision.
  void add_rows(const rc_pair &pair, const Unit &u, const Rows &rows, float *out, bool more) {
    const rc_value &e = plan_.values[pair.adjoint];
    const Place &p = places_[e.array];
    const int64_t step = pair.rate == 2 ? u.low : 0;
    constexpr int64_t kColumns = 256;
    for (int64_t m0 = u.m0; m0 < u.m1; m0 += kColumns) {
      const int64_t columns = std::min(kColumns, u.m1 - m0);
      float part[kColumns];
      double total[kColumns];
      for (int64_t m = 0; m < columns; m++) total[m] = more ? out[m0 + m] : 0.0;
      for (int64_t o = 0; o < rows.outer; o++) {
        memset(part, 0, sizeof(part));
        const int64_t inner = rows.counts ? rows.counts[o] : rows.inner;
        for (int64_t i = 0; i < inner; i++) {
          const float *row = at_row(e, 0, step) + o * rows.outer_step(p) + i * rows.inner_step(p) + m0;
          for (int64_t m = 0; m < columns; m++) part[m] += row[m];
        }
        for (int64_t m = 0; m < columns; m++) total[m] += part[m];
      }
      for (int64_t m = 0; m < columns; m++) out[m0 + m] = static_cast<float>(total[m]);
    }
  }

  // Panels of a matrix that several steps share while they are in the cache.
  static constexpr int64_t kPanelsTogether = 4;

  const rc_plan &plan_;
  const rc_kernels &kernels_;
  const int32_t pass_;
  const rc_call &call_;
  const rc_split &split_;
  const rc_alive &alive_;
  int64_t first_ = 0, hop_ = 1, rows_ = 0;   // this thread's rows: first, first + hop, …
  float *scratch_;
  std::vector<Place> places_;
  std::vector<size_t> chunked_, blocked_;   // arrays that hold some of the steps
  std::vector<rc_operand> operands_, row_operands_;
};
