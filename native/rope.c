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
      long e = 0;
      for (; e + LANES <= half; e += LANES) {
        v16 va = load(a + e), vb = load(b + e), c = load(cos + e), s = load(sin + e) * j->sign;
        store(a + e, va * c - vb * s);
        store(b + e, vb * c + va * s);
      }
      if (e < half) {
        long n = half - e;
        v16 va = load_part(a + e, n, 0), vb = load_part(b + e, n, 0), c = load_part(cos + e, n, 0), s = load_part(sin + e, n, 0) * j->sign;
        store_part(a + e, va * c - vb * s, n);
        store_part(b + e, vb * c + va * s, n);
      }
    }
  }
}

int rz_rope(rz_context *ctx, float *x, const float *cos, const float *sin, const int32_t *positions, long rows, long heads, long head_dim,
            long limit, int inverse) {
  for (long r = 0; r < rows; r++)
    if (positions[r] < 0 || positions[r] >= limit) return RZ_BAD_INDEX;
  rope_job j = {x, cos, sin, positions, rows, heads, head_dim / 2, inverse ? -1.0f : 1.0f};
  rz_parallel(ctx, rope_item, &j, (rows + ROW_BLOCK - 1) / ROW_BLOCK, (double)(rows * heads * head_dim) / 4);
  return RZ_OK;
}
