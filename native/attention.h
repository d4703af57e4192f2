// What attention's forward and backward share: dot products of one query with many keys, softmax weights, weighted sums of rows.
// A "key" here is any row of head_dim floats; rows are `stride` apart. Every result goes by key index alone.
#ifndef RZERO_ATTENTION_H
#define RZERO_ATTENTION_H
#include "rzero.h"
#include "simd.h"

// q·key over lanes of E; the last lanes are zero where E is no multiple of 16.
INLINE v16 dot_lanes(const float *q, const float *key, long dim) {
  v16 sum = {};
  long e = 0;
  for (; e + LANES <= dim; e += LANES) sum += load(q + e) * load(key + e);
  if (e < dim) sum += load_part(q + e, dim - e, 0) * load_part(key + e, dim - e, 0);
  return sum;
}

// scores[j] = q·keys[j] · scale for j < n.
static inline void score_keys(float *scores, const float *q, const float *keys, long n, long stride, long dim, float scale) {
  for (long j = 0; j < n; j++) scores[j] = sum_lanes(dot_lanes(q, keys + j * stride, dim)) * scale;
}

// scores become exp(scores - max); returns their sum, lane j % 16 first. scores has room for 16 more floats.
static inline float soften(float *scores, long n, float *max) {
  long whole = n & -LANES;
  v16 top = splat(-INFINITY), sum = {};
  for (long j = 0; j < whole; j += LANES) top = max16(load(scores + j), top);
  if (whole < n) top = max16(load_part(scores + whole, n - whole, -INFINITY), top);
  *max = max_lanes(top);
  for (long j = 0; j < n; j += LANES) {
    v16 x = j < whole ? load(scores + j) : load_part(scores + j, n - j, -INFINITY);
    v16 p = exp16(x - *max);
    store(scores + j, p);
    sum += p;
  }
  return sum_lanes(sum);
}

// out[e] += weights[j] · rows[j][e], j ascending: one chain per element.
static inline void add_weighted(float *out, const float *weights, const float *rows, long n, long stride, long dim) {
  long e = 0;
  for (; e + 2 * LANES <= dim; e += 2 * LANES) {
    v16 a = load(out + e), b = load(out + e + LANES);
    for (long j = 0; j < n; j++) {
      a += load(rows + j * stride + e) * weights[j];
      b += load(rows + j * stride + e + LANES) * weights[j];
    }
    store(out + e, a);
    store(out + e + LANES, b);
  }
  for (; e < dim; e += LANES) {
    long width = dim - e < LANES ? dim - e : LANES;
    v16 a = load_part(out + e, width, 0);
    for (long j = 0; j < n; j++) a += load_part(rows + j * stride + e, width, 0) * weights[j];
    store_part(out + e, a, width);
  }
}
#endif
