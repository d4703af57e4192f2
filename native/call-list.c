// Carries out a list of calls from JavaScript: for each the number of its function, how many arguments follow, and these (addresses and
// integers are exact in a double). The order of functions is that of src/engine/local/device/cpu/call-list.ts.
#include "rzero.h"

enum { LINEAR, LINEARS, GATHER_ROWS, GATHER_BF16, SCATTER_ROWS, ADD, RMS_NORM, ROPE, SWIGLU, ATTENTION, TO_BF16 };

#define P(i) ((void *)(uintptr_t)a[i])
#define I(i) ((long)a[i])
#define F(i) ((float)a[i])

static int call(rz_context *ctx, int function, const double *a) {
  switch (function) {
  case LINEAR: return rz_linear(ctx, P(0), P(1), P(2), P(3), I(4), I(5), I(6), (int)I(7), (int)I(8));
  case LINEARS:
    return rz_linears(ctx, P(0), I(1), I(2), (int)I(3), P(4), P(5), P(6), I(7), P(8), P(9), P(10), I(11), P(12), P(13), P(14), I(15));
  case GATHER_ROWS: return rz_gather_rows(ctx, P(0), P(1), P(2), I(3), I(4), I(5));
  case GATHER_BF16: return rz_gather_bf16(ctx, P(0), P(1), P(2), I(3), I(4), I(5));
  case SCATTER_ROWS: return rz_scatter_rows(ctx, P(0), P(1), P(2), I(3), I(4), I(5));
  case ADD: rz_add(ctx, P(0), P(1), P(2), I(3)); return RZ_OK;
  case RMS_NORM: rz_rms_norm(ctx, P(0), P(1), P(2), P(3), I(4), I(5), F(6)); return RZ_OK;
  case ROPE: return rz_rope(ctx, P(0), P(1), P(2), P(3), I(4), I(5), I(6), I(7), (int)I(8));
  case SWIGLU: rz_swiglu(ctx, P(0), P(1), P(2), I(3)); return RZ_OK;
  case ATTENTION:
    return rz_attention(ctx, P(0), P(1), P(2), P(3), P(4), P(5), P(6), P(7), P(8), I(9), I(10), I(11), I(12), F(13), I(14), (int)I(15));
  case TO_BF16: rz_to_bf16(ctx, P(0), P(1), I(2)); return RZ_OK;
  default: return RZ_BAD_INDEX;
  }
}

int rz_run(rz_context *ctx, const double *list, long length, double *failed) {
  for (long at = 0; at < length; at += 2 + (long)list[at + 1]) {
    int code = call(ctx, (int)list[at], list + at + 2);
    if (code == RZ_OK) continue;
    *failed = (double)at;
    return code;
  }
  return RZ_OK;
}
