// y = silu(gate) · up and its backward, elementwise.
#include "rzero.h"
#include "simd.h"

#define BLOCK 4096

typedef struct {
  float *y, *dgate, *dup;
  const float *dy, *gate, *up;
  long count;
} swiglu_job;

INLINE vf sigmoid(vf x) { return 1.0f / (1.0f + exp_v(-x)); }

static void swiglu_item(void *arg, long item, int thread) {
  (void)thread;
  swiglu_job *j = arg;
  long end = (item + 1) * BLOCK < j->count ? (item + 1) * BLOCK : j->count;
  for (long i = item * BLOCK; i < end; i += VL) {
    vf gate = load_upto(j->gate + i, end - i, 0), up = load_upto(j->up + i, end - i, 0);
    store_upto(j->y + i, gate * sigmoid(gate) * up, end - i);
  }
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
  for (long i = item * BLOCK; i < end; i += VL) {
    long left = end - i;
    vf g = load_upto(j->gate + i, left, 0), u = load_upto(j->up + i, left, 0), dy = load_upto(j->dy + i, left, 0);
    vf s = sigmoid(g);
    store_upto(j->dup + i, dy * (g * s), left);
    store_upto(j->dgate + i, dy * u * (s * (1.0f + g * (1.0f - s))), left);
  }
}

void rz_swiglu_backward(rz_context *ctx, float *dgate, float *dup, const float *dy, const float *gate, const float *up, long count) {
  swiglu_job j = {.dgate = dgate, .dup = dup, .dy = dy, .gate = gate, .up = up, .count = count};
  rz_parallel(ctx, swiglu_backward_item, &j, (count + BLOCK - 1) / BLOCK, (double)count * 3);
}
