// Running a pass. Each thread takes its rows through the whole sequence; nothing waits inside the loop.
#include <omp.h>

#include "engine_worker.h"
#include "team.h"

namespace {

// A cut between the columns of an adjoint falls on a cache line.
constexpr int64_t kCut = RC_LANE;
// What a column of a sum costs besides its multiply-adds, in multiply-adds a row.
constexpr int64_t kColumnCost = 24;

// The pass's sums cut into as many shares of equal work as there are threads. Where the cuts fall changes no result: a
// column's sum is its own.
std::vector<std::vector<rc_piece>> share_sums(const rc_plan &plan, int32_t pass, int32_t threads) {
  std::vector<std::vector<rc_piece>> shares(static_cast<size_t>(threads));
  auto columns = [&](const rc_sum &s) { return static_cast<int64_t>(plan.values[plan.pairs[s.pair_begin].adjoint].width); };
  auto cost = [&](const rc_sum &s) {
    int64_t sum = kColumnCost;
    for (int32_t i = s.pair_begin; i < s.pair_end && s.kind == 0; i++) sum += plan.values[plan.pairs[i].operand].width;
    return sum;
  };
  int64_t total = 0, done = 0;
  for (const auto &s : plan.sums)
    if (s.pass == pass) total += cost(s) * columns(s);
  int32_t share = 0;
  for (size_t i = 0; i < plan.sums.size(); i++) {
    const rc_sum &s = plan.sums[i];
    if (s.pass != pass) continue;
    for (int64_t m = 0; m < columns(s);) {
      const int64_t left = total * (share + 1) / threads - done;
      const int64_t fitting = (left / cost(s) + kCut / 2) / kCut * kCut;
      const int64_t count = share == threads - 1 ? columns(s) - m : std::min(columns(s) - m, fitting);
      if (count > 0) shares[static_cast<size_t>(share)].push_back({static_cast<int32_t>(i), m, m + count});
      m += std::max<int64_t>(count, 0);
      done += std::max<int64_t>(count, 0) * cost(s);
      if (m < columns(s)) share++;
    }
  }
  return shares;
}

void pack_block(const rc_plan &plan, const rc_block &b, const rc_external &e, float *packed) {
  const rc_matrix &m = plan.matrices[b.matrix];
  const int64_t sk = b.transposed ? e.rs : 1, sn = b.transposed ? 1 : e.rs;
  plan.kernels->pack(b.k, b.n, e.p + b.row * e.rs, sk, sn, packed + plan.matrix_offset[b.matrix], m.k, m.n, b.k0, b.n0);
}

}  // namespace

extern "C" {

void rc_pack(const rc_plan *plan, int32_t pass, const rc_external *externals, float *packed, int32_t threads) {
  const int64_t count = static_cast<int64_t>(plan->blocks.size());
  const int32_t team = plan->packed_floats[pass] < 16384 ? 1 : rc_team(threads);
#pragma omp parallel for num_threads(team) schedule(dynamic)
  for (int64_t i = 0; i < count; i++) {
    const rc_block &b = plan->blocks[i];
    if (plan->matrices[b.matrix].pass == pass) pack_block(*plan, b, externals[b.slot], packed);
  }
}

int32_t rc_run(const rc_plan *plan, int32_t pass, const rc_call *call) {
  if (call->size != sizeof(rc_call) || call->steps < 1 || call->rows < 1) return -1;
  const rc_split split(*plan, pass, call->steps, call->rows, call->threads);
  const rc_alive alive(*call);
  const int64_t chunks = (call->steps + split.chunk - 1) / split.chunk;
  const auto pieces = share_sums(*plan, pass, split.threads);
#pragma omp parallel num_threads(rc_team(split.threads))
  {
    // The team may be smaller than asked for; each member then takes several shares.
    const int32_t team = omp_get_num_threads(), self = omp_get_thread_num();
    std::vector<rc_worker> mine;
    mine.reserve(static_cast<size_t>(split.threads / team + 1));
    for (int32_t share = self; share < split.threads; share += team)
      mine.emplace_back(*plan, pass, *call, split, alive, share);
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
        for (int32_t share = self; share < split.threads; share += team)
          for (const rc_piece &piece : pieces[static_cast<size_t>(share)])
            mine[0].sum(piece, low, count, k == 0, k == chunks - 1);
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

int32_t rc_run_together(const rc_plan *const *plans, int32_t pass, const rc_call *const *calls, int32_t count) {
  bool worth = true;
  for (int32_t i = 0; i < count; i++) worth &= rc_worth_threads(*plans[i], pass, calls[i]->steps, calls[i]->rows);
  int32_t failed = 0;
  // Inside of this each pass has a team of one.
#pragma omp parallel for num_threads(rc_team(worth ? count : 1)) schedule(static, 1) reduction(| : failed)
  for (int32_t i = 0; i < count; i++) failed |= rc_run(plans[i], pass, calls[i]);
  return failed;
}

}  // extern "C"
