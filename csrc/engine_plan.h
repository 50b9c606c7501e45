// A plan as the engine holds it.
#pragma once
#include <cstddef>
#include <vector>

#include "engine.h"

static inline int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

struct rc_range { int32_t begin, end; };

struct rc_plan {
  const rc_kernels *kernels;
  std::vector<rc_array> arrays;
  std::vector<rc_value> values;
  std::vector<rc_matrix> matrices;
  std::vector<rc_block> blocks;
  std::vector<rc_product> products;
  std::vector<rc_tape_operand> operands;
  std::vector<rc_instruction> instructions;
  std::vector<rc_stage> stages;
  std::vector<rc_carried> carried;
  std::vector<rc_sum> sums;
  std::vector<rc_pair> pairs;
  std::vector<float> constants;
  std::vector<float> zeros;            // a row of zeros for absent arrays
  std::vector<int32_t> tile;           // rows of a tile, by stage
  std::vector<rc_range> inner;         // the instructions from the first to the last over sources, by stage
  std::vector<bool> owned;             // whether an array is a memory of the caller's, by array
  std::vector<int64_t> matrix_offset;  // floats from the start of the pass's packed memory
  int64_t packed_floats[2];
  int64_t products_per_row[2];         // multiply-adds of one row of one step
  int32_t max_tile;
  int64_t sum_scratch;                 // floats for gemm_tn, by thread
  bool outside_loop[2];                // the pass has stages before or after the loop
  bool has_sums[2];
  int64_t chunk_width[2];              // floats of a row of a step in RC_CHUNK arrays
  int64_t block_width[2];              // likewise in RC_BLOCK arrays

  int64_t padded(int32_t array) const { return round_up(arrays[array].width, RC_LANE); }
  // Floats of one row of the call.
  int64_t span(int32_t array, int64_t sources) const {
    const int64_t step = arrays[array].memory;
    if (step) return round_up(step * sources, RC_LANE);
    // The numbers of a tile's rows are a row themselves.
    return arrays[array].kind == RC_LOCAL && arrays[array].width == 1 ? 1 : padded(array);
  }
};

struct rc_size { int64_t steps, rows, sources; };

// With fewer rows than this, products outside the loop take a row's steps together to fill the registers.
constexpr int64_t kFullRows = 14;

// How a call is split: rows over threads; steps into blocks, for products outside the loop, and blocks into chunks, after
// each of which the sums over rows and steps take in what is still in the caches. Blocks and chunks do not depend on the
// number of threads that runs them, so neither does any result.
struct rc_split {
  int32_t threads;         // that share the work
  int32_t row_threads;     // of these, threads that have rows of their own
  int64_t rows_a_thread;   // at most
  int64_t block;           // steps of a block
  int64_t chunk;           // steps of a chunk

  rc_split(const rc_plan &plan, int32_t pass, int64_t steps, int64_t rows, int32_t threads);
};

// Whether a pass is worth more than one thread.
bool rc_worth_threads(const rc_plan &plan, int32_t pass, int64_t steps, int64_t rows);

// Floats of an array shared by the threads (ONCE, ROWS, TIMED, CHUNK) and of one thread's (BLOCK, THREAD, LOCAL).
int64_t rc_shared_floats(const rc_plan &plan, int32_t array, const rc_size &size, int64_t chunk);
int64_t rc_thread_floats(const rc_plan &plan, int32_t array, const rc_size &size, const rc_split &split);

// The rows of a call that have a given step. They are the first ones, for rows stand by falling length.
struct rc_alive {
  std::vector<int64_t> counts;   // by step; empty: all rows have all steps

  explicit rc_alive(const rc_call &call) {
    if (!call.lengths) return;
    counts.resize(static_cast<std::size_t>(call.steps));
    int64_t rows = call.rows;
    for (int64_t step = 0; step < call.steps; step++) {
      while (rows > 0 && call.lengths[rows - 1] <= step) rows--;
      counts[static_cast<std::size_t>(call.late ? call.steps - 1 - step : step)] = rows;
    }
  }
};
