// y = silu(gate) · up and its backward, elementwise.
#include "rzero.h"
#include "simd.h"

#define BLOCK 4096

typedef struct {
  float *y, *dgate, *dup;
  const float *dy, *gate, *up;
  long count;
} swiglu_job;

INLINE v16 sigmoid16(v16 x) { return 1.0f / (1.0f + exp16(-x)); }

INLINE v16 forward(v16 gate, v16 up) { return gate * sigmoid16(gate) * up; }

static void swiglu_item(void *arg, long item, int thread) {
  (void)thread;
  swiglu_job *j = arg;
  long i = item * BLOCK, end = i + BLOCK < j->count ? i + BLOCK : j->count;
  for (; i + LANES <= end; i += LANES) store(j->y + i, forward(load(j->gate + i), load(j->up + i)));
  if (i < end) store_part(j->y + i, forward(load_part(j->gate + i, end - i, 0), load_part(j->up + i, end - i, 0)), end - i);
}

void rz_swiglu(rz_context *ctx, float *y, const float *gate, const float *up, long count) {
  swiglu_job j = {.y = y, .gate = gate, .up = up, .count = count};
  rz_parallel(ctx, swiglu_item, &j, (count + BLOCK - 1) / BLOCK, (double)count * 2);
}

// y = g · s · u with s = sigmoid(g): dup = dy · g · s, dg = dy · u · s · (1 + g · (1 − s))
static void swiglu_backward_item(void *arg, long item, int thread) {
  (void)thread;
  swiglu_job *j = arg;
  long end = (item + 1) * BLOCK < j->count ? (item + 1) * BLOCK : j->count;
  for (long i = item * BLOCK; i < end; i += LANES) {
    long n = end - i;
    int whole = n >= LANES;
    v16 g = whole ? load(j->gate + i) : load_part(j->gate + i, n, 0);
    v16 u = whole ? load(j->up + i) : load_part(j->up + i, n, 0);
    v16 dy = whole ? load(j->dy + i) : load_part(j->dy + i, n, 0);
    v16 s = sigmoid16(g);
    v16 dup = dy * (g * s), dgate = dy * u * (s * (1.0f + g * (1.0f - s)));
    if (whole) {
      store(j->dup + i, dup);
      store(j->dgate + i, dgate);
    } else {
      store_part(j->dup + i, dup, n);
      store_part(j->dgate + i, dgate, n);
    }
  }
}

void rz_swiglu_backward(rz_context *ctx, float *dgate, float *dup, const float *dy, const float *gate, const float *up, long count) {
  swiglu_job j = {.dgate = dgate, .dup = dup, .dy = dy, .gate = gate, .up = up, .count = count};
  rz_parallel(ctx, swiglu_backward_item, &j, (count + BLOCK - 1) / BLOCK, (double)count * 3);
}
