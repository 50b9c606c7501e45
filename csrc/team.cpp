// How many threads may work together.
#include "team.h"

#include <pthread.h>

namespace {

bool forked = false;

void in_child() { forked = true; }

__attribute__((constructor)) void watch_forks() { pthread_atfork(nullptr, nullptr, in_child); }

}  // namespace

extern "C" int32_t rc_team(int64_t threads) { return forked || threads < 1 ? 1 : static_cast<int32_t>(threads); }
