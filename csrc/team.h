// How many threads may work together.
#pragma once
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// As many as are asked for, at least one. After a fork always one: of the process only the thread that forked lives on in
// the child, but OpenMP there still counts on the others and would wait for them for ever.
int32_t rc_team(int64_t threads);

#ifdef __cplusplus
}
#endif
