// The choice among the tables of kernels.cpp.
#include "kernels.h"

#include <stdlib.h>
#include <string.h>

extern "C" {

extern const rc_kernels rc_kernels_baseline;
#if defined(__x86_64__)
extern const rc_kernels rc_kernels_v3;
extern const rc_kernels rc_kernels_v4;
#endif

int32_t rc_kernels_version(void) { return RC_KERNELS_VERSION; }

static int supported(int level) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const int v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
                 __builtin_cpu_supports("bmi2");
  if (level == 3) return v3;
  if (level == 4)
    return v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512cd");
#endif
  return level == 0;
}

const rc_kernels *rc_choose_kernels(const char *forced) {
  if (!forced) forced = getenv("RECURRA_ISA");
  const int any = !forced || !*forced;
#if defined(__x86_64__)
  if ((any || !strcmp(forced, "v4")) && supported(4)) return &rc_kernels_v4;
  if ((any || !strcmp(forced, "v3")) && supported(3)) return &rc_kernels_v3;
#endif
  if ((any || !strcmp(forced, "baseline")) && supported(0)) return &rc_kernels_baseline;
  return NULL;
}

}  // extern "C"
