// Taking a plan in: copying its tables, checking them, and working out sizes.
#include "engine_plan.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace {

// A tape's rows are taken a tile at a time so that everything they touch stays in the first-level cache.
constexpr int64_t kTileBytes = 32 * 1024;
constexpr int32_t kMostTileRows = 64;
// Of many narrow values some rows are taken all the same: for a single one, the instructions cost more than their work.
constexpr int64_t kNarrowBytes = 1024, kNarrowTileRows = 4;
// A block's values stay in the second-level cache, beside the matrices of the loop.
constexpr int64_t kBlockBytes = 512 * 1024;
constexpr int64_t kBlockSteps = 28;
// Multiply-adds below which a second thread costs more than it brings.
constexpr int64_t kThreadWork = 500000;
// A chunk's rows are many enough to make its sums efficient, and few enough to stay in the caches.
constexpr int64_t kChunkRows = 1024;
constexpr int64_t kChunkBytes = 1 << 20;

template <class T>
std::vector<T> table(const T *from, int32_t count) {
  return std::vector<T>(from, from + count);
}

bool inside(int32_t index, size_t count) { return index >= 0 && static_cast<size_t>(index) < count; }

const char *check(const rc_plan &p) {
  for (const auto &v : p.values)
    if (!inside(v.array, p.arrays.size()) || v.column < 0 || v.width < 1 ||
        (p.arrays[v.array].kind != RC_CONSTANT && v.column + v.width > p.padded(v.array)))
      return "a value lies outside its array";
  for (const auto &b : p.blocks)
    if (!inside(b.matrix, p.matrices.size()) || b.n0 % RC_LANE || b.k0 < 0 || b.k0 + b.k > p.matrices[b.matrix].k ||
        b.n0 + b.n > round_up(p.matrices[b.matrix].n, RC_LANE))
      return "a block lies outside its matrix";
  for (const auto &q : p.products)
    if (!inside(q.operand, p.values.size()) || !inside(q.target, p.values.size()) ||
        !inside(q.matrix, p.matrices.size()) || (q.start != -1 && !inside(q.start, p.values.size())))
      return "a product names a value or a matrix that does not exist";
  for (const auto &o : p.operands)
    if (!inside(o.value, p.values.size())) return "a tape names a value that does not exist";
  for (const auto &s : p.stages) {
    if (s.product_begin > s.product_end || !inside(s.product_end, p.products.size() + 1) ||
        s.code_begin > s.code_end || !inside(s.code_end, p.instructions.size() + 1) ||
        s.operand_begin > s.operand_end || !inside(s.operand_end, p.operands.size() + 1))
      return "a stage reaches beyond its tables";
    for (int32_t i = s.code_begin; i < s.code_end; i++) {
      const auto &c = p.instructions[i];
      if (c.op < 0 || c.op >= RC_OP_COUNT) return "an instruction of the tape is unknown";
      for (int32_t index : {c.dst, c.a, c.b, c.c})
        if (index != -1 && !inside(index, s.operand_end - s.operand_begin))
          return "an instruction names an operand that does not exist";
    }
  }
  for (const auto &c : p.carried)
    for (int32_t index : {c.given, c.first, c.last, c.out})
      if (!inside(index, p.values.size())) return "a state names a value that does not exist";
  for (const auto &s : p.sums)
    if (s.pair_begin > s.pair_end || !inside(s.pair_end, p.pairs.size() + 1)) return "a sum reaches beyond its pairs";
  return nullptr;
}

int32_t tile_rows(const rc_plan &p, const rc_stage &s) {
  int64_t bytes = 0, count = 0;
  for (int32_t i = s.operand_begin; i < s.operand_end; i++) {
    const auto &v = p.values[p.operands[i].value];
    const int32_t kind = p.arrays[v.array].kind;
    if (kind == RC_ONCE || kind == RC_CONSTANT || p.arrays[v.array].memory) continue;
    bytes += 4 * (v.width == 1 ? 1 : round_up(v.width, RC_LANE)), count++;
  }
  const int64_t least = bytes < kNarrowBytes * count ? kNarrowTileRows : 1;
  return static_cast<int32_t>(std::clamp<int64_t>(bytes ? kTileBytes / bytes : kMostTileRows, least, kMostTileRows));
}

rc_range inner(const rc_plan &p, const rc_stage &s) {
  rc_range found = {s.code_begin, s.code_begin};
  for (int32_t i = s.code_begin; i < s.code_end; i++)
    if (p.instructions[i].over) {
      if (found.begin == found.end) found.begin = i;
      found.end = i + 1;
    }
  return found;
}

void work_out(rc_plan &p) {
  int64_t widest = RC_LANE;
  for (size_t a = 0; a < p.arrays.size(); a++) widest = std::max(widest, p.padded(static_cast<int32_t>(a)));
  p.zeros.assign(widest, 0.0f);
  for (const auto &a : p.arrays) p.owned.push_back(a.kind == RC_EXTERNAL && a.memory);
  for (const auto &c : p.carried)   // a state is a row's own, also where it has a value for every source
    for (int32_t value : {c.given, c.out}) p.owned[static_cast<size_t>(p.values[value].array)] = false;
  p.max_tile = 1;
  for (const auto &s : p.stages) {
    p.tile.push_back(tile_rows(p, s));
    p.inner.push_back(inner(p, s));
    p.max_tile = std::max(p.max_tile, p.tile.back());
    if (s.region == RC_REGION_BEFORE || s.region == RC_REGION_AFTER) p.outside_loop[s.pass] = true;
    for (int32_t i = s.product_begin; i < s.product_end; i++) {
      const auto &m = p.matrices[p.products[i].matrix];
      p.products_per_row[s.pass] += static_cast<int64_t>(m.k) * m.n;
    }
  }
  for (const auto &m : p.matrices) {
    p.matrix_offset.push_back(p.packed_floats[m.pass]);
    p.packed_floats[m.pass] += round_up(p.kernels->packed_size(m.k, m.n), RC_LANE);
  }
  for (const auto &s : p.sums)
    for (int32_t i = s.pair_begin; i < s.pair_end; i++)
      if (s.kind == 0)
        p.sum_scratch = std::max(p.sum_scratch, p.kernels->gemm_tn_scratch(p.values[p.pairs[i].adjoint].width,
                                                                          p.values[p.pairs[i].operand].width));
  p.sum_scratch = round_up(p.sum_scratch, RC_LANE);
  for (const auto &s : p.sums) p.has_sums[s.pass] = true;
  for (size_t a = 0; a < p.arrays.size(); a++)
    if (p.arrays[a].kind == RC_CHUNK) p.chunk_width[p.arrays[a].pass] += p.padded(static_cast<int32_t>(a));
  for (size_t a = 0; a < p.arrays.size(); a++)
    if (p.arrays[a].kind == RC_BLOCK) p.block_width[p.arrays[a].pass] += p.padded(static_cast<int32_t>(a));
}

}  // namespace

bool rc_worth_threads(const rc_plan &plan, int32_t pass, int64_t steps, int64_t rows) {
  return plan.products_per_row[pass] * steps * rows >= kThreadWork;
}

rc_split::rc_split(const rc_plan &plan, int32_t pass, int64_t steps, int64_t rows, int32_t most) {
  threads = std::max(most, 1);
  if (!rc_worth_threads(plan, pass, steps, rows)) threads = 1;
  row_threads = static_cast<int32_t>(std::min<int64_t>(threads, rows));
  if (!plan.has_sums[pass]) threads = row_threads;
  rows_a_thread = (rows + row_threads - 1) / row_threads;
  block = 1;
  if (plan.outside_loop[pass]) {
    const int64_t width = plan.block_width[pass] + plan.chunk_width[pass];
    const int64_t step_bytes = std::max<int64_t>(4 * width * rows_a_thread, 1);
    const int64_t fitting = std::clamp<int64_t>(kBlockBytes / step_bytes, 1, kBlockSteps);
    block = std::min(steps, rows_a_thread < kFullRows ? kBlockSteps : fitting);
  }
  chunk = steps;
  if (plan.has_sums[pass]) {
    const int64_t step_bytes = std::max<int64_t>(4 * plan.chunk_width[pass] * rows, 1);
    chunk = std::max((kChunkRows + rows - 1) / rows, kChunkBytes / step_bytes);
    // Whole blocks, and a size that is the same for every number of threads.
    chunk = std::min(steps, round_up(chunk, kBlockSteps));
  }
}

int64_t rc_shared_floats(const rc_plan &plan, int32_t array, const rc_size &size, int64_t chunk) {
  const int64_t span = plan.span(array, size.sources);
  switch (plan.arrays[array].kind) {
    case RC_ONCE: return plan.padded(array);
    case RC_ROWS: return span * size.rows;
    case RC_TIMED: return span * size.rows * (size.steps + 1);
    case RC_CHUNK: return span * size.rows * chunk;
    default: return 0;
  }
}

int64_t rc_thread_floats(const rc_plan &plan, int32_t array, const rc_size &size, const rc_split &split) {
  const int64_t span = plan.span(array, size.sources);
  switch (plan.arrays[array].kind) {
    case RC_BLOCK: return span * split.rows_a_thread * split.block;
    case RC_THREAD: return span * split.rows_a_thread;
    case RC_LOCAL:   // one row's sources at a time
      return plan.arrays[array].memory ? span : round_up(span * plan.max_tile, RC_LANE);
    default: return 0;
  }
}

extern "C" {

int32_t rc_engine_version(void) { return RC_ENGINE_VERSION; }

rc_plan *rc_plan_new(const rc_plan_spec *spec, const rc_kernels *kernels, char *error, int64_t error_size) {
  const char *wrong = nullptr;
  if (spec->size != sizeof(rc_plan_spec) || spec->version != RC_ENGINE_VERSION) wrong = "the plan is of another version";
  rc_plan *plan = nullptr;
  if (!wrong) {
    plan = new rc_plan{kernels,
                       table(spec->array, spec->arrays),
                       table(spec->value, spec->values),
                       table(spec->matrix, spec->matrices),
                       table(spec->block, spec->blocks),
                       table(spec->product, spec->products),
                       table(spec->operand, spec->operands),
                       table(spec->instruction, spec->instructions),
                       table(spec->stage, spec->stages),
                       table(spec->carry, spec->carried),
                       table(spec->sum, spec->sums),
                       table(spec->pair, spec->pairs),
                       table(spec->constant, spec->constants),
                       {}, {}, {}, {}, {}, {0, 0}, {0, 0}, 1, 0, {false, false}, {false, false}, {0, 0}, {0, 0}};
    wrong = check(*plan);
  }
  if (wrong) {
    snprintf(error, static_cast<size_t>(error_size), "%s", wrong);
    delete plan;
    return nullptr;
  }
  work_out(*plan);
  return plan;
}

void rc_plan_free(rc_plan *plan) { delete plan; }

int64_t rc_packed_floats(const rc_plan *plan, int32_t pass) { return plan->packed_floats[pass]; }

int64_t rc_kept_floats(const rc_plan *plan, int64_t steps, int64_t rows, int64_t sources) {
  int64_t floats = 0;
  for (size_t a = 0; a < plan->arrays.size(); a++)
    if (plan->arrays[a].pass == -1)
      floats += rc_shared_floats(*plan, static_cast<int32_t>(a), {steps, rows, sources}, 0);
  return floats;
}

int64_t rc_work_floats(const rc_plan *plan, int32_t pass, int64_t steps, int64_t rows, int64_t sources, int32_t threads) {
  const rc_split split(*plan, pass, steps, rows, threads);
  const rc_size size = {steps, rows, sources};
  int64_t shared = 0, own = plan->sum_scratch;
  for (size_t a = 0; a < plan->arrays.size(); a++)
    if (plan->arrays[a].pass == pass) {
      shared += rc_shared_floats(*plan, static_cast<int32_t>(a), size, split.chunk);
      own += rc_thread_floats(*plan, static_cast<int32_t>(a), size, split);
    }
  return shared + own * split.threads;
}

}  // extern "C"
