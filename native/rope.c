// Rotary position embedding in place: pairs (e, e + E/2) turn by the angle of their position, as in transformers.
#include "rzero.h"
#include "simd.h"

#define ROW_BLOCK 32

typedef struct {
  float *x;
  const float *cos, *sin;
  const int32_t *positions;
  long rows, heads, half;
  float sign;
} rope_job;

static void rope_item(void *arg, long item, int thread) {
  (void)thread;
  rope_job *j = arg;
  long half = j->half;
  for (long r = item * ROW_BLOCK; r < j->rows && r < (item + 1) * ROW_BLOCK; r++) {
    const float *cos = j->cos + j->positions[r] * half, *sin = j->sin + j->positions[r] * half;
    for (long h = 0; h < j->heads; h++) {
      float *a = j->x + (r * j->heads + h) * 2 * half, *b = a + half;
      for (long e = 0; e < half; e += VL) {
        long left = half - e;
        vf va = load_upto(a + e, left, 0), vb = load_upto(b + e, left, 0);
        vf c = load_upto(cos + e, left, 0), s = load_upto(sin + e, left, 0) * j->sign;
        store_upto(a + e, va * c - vb * s, left);
        store_upto(b + e, vb * c + va * s, left);
      }
    }
  }
}

int rz_rope(rz_context *ctx, float *x, const float *cos, const float *sin, const int32_t *positions, long rows, long heads, long head_dim,
            long limit, int inverse) {
  for (long r = 0; r < rows; r++)
    if (positions[r] < 0 || positions[r] >= limit) return RZ_BAD_INDEX;
  rope_job j = {x, cos, sin, positions, rows, heads, head_dim / 2, inverse ? -1.0f : 1.0f};
  rz_parallel(ctx, rope_item, &j, (rows + ROW_BLOCK - 1) / ROW_BLOCK, (double)(rows * heads * head_dim));
  return RZ_OK;
}
