#include "kernels.h"

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)

extern "C" {
extern const rc_kernels JOIN(rc_kernels_, RC_ISA);
const rc_kernels JOIN(rc_kernels_, RC_ISA) = {};
}
