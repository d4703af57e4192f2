// Conversion between f32 and bf16. Reads and writes nothing past the last element, so it also serves memory of JavaScript.
#include "rzero.h"
#include "bf16.h"

#define BLOCK 16384

typedef struct {
  void *dst;
  const void *src;
  long count;
} cast_job;

static void narrow_item(void *arg, long item, int thread) {
  (void)thread;
  cast_job *j = arg;
  bf16 *dst = j->dst;
  const float *src = j->src;
  long i = item * BLOCK, end = i + BLOCK < j->count ? i + BLOCK : j->count;
  for (; i + VL <= end; i += VL) store_bf16(dst + i, to_bf16_v(load(src + i)));
  for (; i < end; i++) dst[i] = to_bf16(src[i]);
}

static void widen_item(void *arg, long item, int thread) {
  (void)thread;
  cast_job *j = arg;
  float *dst = j->dst;
  const bf16 *src = j->src;
  long i = item * BLOCK, end = i + BLOCK < j->count ? i + BLOCK : j->count;
  for (; i + VL <= end; i += VL) store(dst + i, from_bf16_v(load_bf16(src + i)));
  for (; i < end; i++) dst[i] = from_bf16(src[i]);
}

void rz_to_bf16(rz_context *ctx, uint16_t *dst, const float *src, long count) {
  cast_job j = {dst, src, count};
  rz_parallel(ctx, narrow_item, &j, (count + BLOCK - 1) / BLOCK, (double)count);
}

void rz_from_bf16(rz_context *ctx, float *dst, const uint16_t *src, long count) {
  cast_job j = {dst, src, count};
  rz_parallel(ctx, widen_item, &j, (count + BLOCK - 1) / BLOCK, (double)count);
}
