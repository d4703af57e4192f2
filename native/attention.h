// What attention's forward and backward share: dot products of one query with many keys, softmax weights, weighted sums of rows.
// A "key" here is any row of head_dim floats; rows are `stride` apart. Every result goes by key index alone.
#ifndef RZERO_ATTENTION_H
#define RZERO_ATTENTION_H
#include "rzero.h"
#include "simd.h"

// A run of keys (or values), the first at `rows`.
typedef struct {
  const float *rows;
  long n;
} segment;

// q·key as 16 partial sums over E.
INLINE lanes16 dot_lanes(const float *q, const float *key, long dim) {
  lanes16 sum = {};
  for (long e = 0; e < dim; e += LANES) {
UNROLL
    for (int i = 0; i < PARTS; i++) {
      long at = e + i * VL;
      sum.part[i] = fma_v(load_upto(q + at, dim - at, 0), load_upto(key + at, dim - at, 0), sum.part[i]);
    }
  }
  return sum;
}

// Dot products of q with VL keys; past key `last` the last one is repeated. Same bits as sum_lanes(dot_lanes(…)) of each.
INLINE vf dot_keys(const float *q, const float *keys, long stride, long dim, long last) {
  lanes16 s[VL];
UNROLL
  for (int i = 0; i < VL; i++) s[i] = dot_lanes(q, keys + (i < last ? i : last) * stride, dim);
  return sum_lanes_each(s);
}

INLINE void score_keys_of(float *scores, const float *q, const float *keys, long n, long stride, long dim, float scale) {
  long j = 0;
  for (; j + VL <= n; j += VL) store(scores + j, dot_keys(q, keys + j * stride, stride, dim, VL) * scale);
  if (j < n) store(scores + j, dot_keys(q, keys + j * stride, stride, dim, n - 1 - j) * scale);
}

// scores[j] = q·keys[j] · scale for j < n; writes up to VL - 1 floats past n.
static inline void score_keys(float *scores, const float *q, const float *keys, long n, long stride, long dim, float scale) {
  if (dim == 32) score_keys_of(scores, q, keys, n, stride, 32, scale);
  else if (dim == 64) score_keys_of(scores, q, keys, n, stride, 64, scale);
  else if (dim == 128) score_keys_of(scores, q, keys, n, stride, 128, scale);
  else score_keys_of(scores, q, keys, n, stride, dim, scale);
}

// scores become exp(scores - max); returns their sum by j mod 16. Reads and writes up to 15 floats past n.
static inline float soften(float *scores, long n, float *max) {
  vf top = splat(-INFINITY);
  lanes16 sum = {};
  for (long j = 0; j < n; j += VL) top = max_v(load_upto(scores + j, n - j, -INFINITY), top);
  *max = max_lanes(top);
  for (long j = 0; j < n; j += LANES) {
UNROLL
    for (int i = 0; i < PARTS; i++) {
      long at = j + i * VL;
      vf p = exp_v(load_upto(scores + at, n - at, -INFINITY) - *max);
      store(scores + at, p);
      sum.part[i] += p;
    }
  }
  return sum_lanes(sum);
}

// One key of parity `half`: acc[h][half][v] += w[h] · row.
INLINE void weigh_one(vf acc[2][2][2], int half, const float *w, long weight_step, const float *row, int heads, int vectors) {
UNROLL
  for (int i = 0; i < heads * vectors; i++) {
    vf *to = &acc[i % heads][half][i / heads];
    *to = fma_v(load(row + i / heads * VL), splat(w[i % heads * weight_step]), *to);
  }
}

// acc over all keys: those of even index in half 0, of odd index in half 1, whatever the segments.
INLINE void weigh(vf acc[2][2][2], const float *w, long weight_step, const segment *segments, long stride, int heads, int vectors) {
  long index = 0;
  for (int s = 0; s < 2; s++) {
    const float *row = segments[s].rows;
    long end = index + segments[s].n;
    if ((index & 1) && index < end) {
      weigh_one(acc, 1, w + index, weight_step, row, heads, vectors);
      index++, row += stride;
    }
    for (; index + 2 <= end; index += 2, row += 2 * stride) {
      weigh_one(acc, 0, w + index, weight_step, row, heads, vectors);
      weigh_one(acc, 1, w + index + 1, weight_step, row + stride, heads, vectors);
    }
    if (index < end) {
      weigh_one(acc, 0, w + index, weight_step, row, heads, vectors);
      index++;
    }
  }
}

// out[h][0, width) = Σ_j weights[h][j] · rows[j] / divisors[h]
INLINE void weighted_sum_of(float *out, long out_step, const float *weights, long weight_step, const float *divisors, const segment *segments,
                            long stride, long width, int heads, int vectors) {
  vf acc[2][2][2] = {};
  weigh(acc, weights, weight_step, segments, stride, heads, vectors);
UNROLL
  for (int h = 0; h < heads; h++)
UNROLL
    for (int v = 0; v < vectors; v++) {
      vf sum = (acc[h][0][v] + acc[h][1][v]) / divisors[h];
      store_upto(out + h * out_step + v * VL, sum, width - v * VL);
    }
}

// The weighted sums of `heads` heads that share keys; head h writes out + h · dim and reads weights + h · weight_step.
static inline void weighted_sum(float *out, const float *weights, long weight_step, const float *divisors, const segment *segments,
                                long stride, long dim, long heads) {
  for (long e = 0; e < dim; e += 2 * VL) {
    segment at[2] = {{segments[0].rows + e, segments[0].n}, {segments[1].rows + e, segments[1].n}};
    long width = dim - e;
    for (long h = 0; h < heads; h += 2) {
      float *to = out + h * dim + e;
      const float *w = weights + h * weight_step, *d = divisors + h;
      if (h + 1 < heads && width > VL) weighted_sum_of(to, dim, w, weight_step, d, at, stride, width, 2, 2);
      else if (h + 1 < heads) weighted_sum_of(to, dim, w, weight_step, d, at, stride, width, 2, 1);
      else if (width > VL) weighted_sum_of(to, dim, w, weight_step, d, at, stride, width, 1, 2);
      else weighted_sum_of(to, dim, w, weight_step, d, at, stride, width, 1, 1);
    }
  }
}
#endif
