// Vectors of 16 floats through the compiler's vector extensions, and the functions on them that more than one kernel needs.
// 16 lanes on every CPU (the compiler splits them where registers are narrower), so reductions give the same bits everywhere.
#ifndef RZERO_SIMD_H
#define RZERO_SIMD_H
#include <math.h>
#include <stdint.h>
#include <string.h>

#define LANES 16
#define INLINE static inline __attribute__((always_inline))
typedef float v16 __attribute__((vector_size(64), aligned(64)));
typedef float v16u __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t i16v __attribute__((vector_size(64), aligned(64)));
typedef float v8 __attribute__((vector_size(32)));
typedef float v4 __attribute__((vector_size(16)));

INLINE v16 splat(float x) { return x - (v16){}; }
INLINE v16 load(const float *p) { return *(const v16u *)p; }
INLINE void store(float *p, v16 x) { *(v16u *)p = x; }
// The first n < 16 floats of p; the rest are `fill`.
INLINE v16 load_part(const float *p, long n, float fill) {
  v16 x = splat(fill);
  memcpy(&x, p, (size_t)n * sizeof(float));
  return x;
}
INLINE void store_part(float *p, v16 x, long n) { memcpy(p, &x, (size_t)n * sizeof(float)); }
INLINE v16 select16(i16v mask, v16 a, v16 b) { return (v16)((mask & (i16v)a) | (~mask & (i16v)b)); }
INLINE v16 max16(v16 a, v16 b) { return select16(a > b, a, b); }

// Sum of the lanes as a fixed tree: lane i with lane i + 8, then + 4, + 2, + 1.
INLINE float sum_lanes(v16 x) {
  v8 half[2];
  memcpy(half, &x, sizeof half);
  v8 a = half[0] + half[1];
  v4 quarter[2];
  memcpy(quarter, &a, sizeof quarter);
  v4 b = quarter[0] + quarter[1];
  return (b[0] + b[2]) + (b[1] + b[3]);
}
INLINE float max_lanes(v16 x) {
  float m = x[0];
  for (int i = 1; i < LANES; i++) m = x[i] > m ? x[i] : m;
  return m;
}

// e^x, relative error below 1.2e-7: 0 at and far below -104, inf above 88.73, NaN stays NaN. Cephes' polynomial.
INLINE v16 exp16(v16 x) {
  v16 c = max16(x, splat(-105.0f)); // also for NaN
  c = select16(c < 89.0f, c, splat(89.0f));
  v16 n = (c * 1.44269504088896341f + 12582912.0f) - 12582912.0f; // round to nearest: 1.5 · 2^23 pushes the fraction out
  v16 r = c - n * 0.693359375f;
  r = r - n * -2.12194440e-4f;
  v16 p = splat(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  // 2^n in two factors, so that neither over- nor underflows before the product does.
  i16v e = __builtin_convertvector(n, i16v);
  i16v half = e >> 1;
  v16 s1 = (v16)((half + 127) << 23), s2 = (v16)((e - half + 127) << 23);
  v16 y = p * s1 * s2;
  return select16(x == x, y, x);
}

// Natural logarithm of a positive float, to the last bit or nearly so.
INLINE float log_positive(float x) {
  if (!(x > 0.0f) || x > 3.4028234e38f) return x == 0.0f ? -INFINITY : x > 0.0f ? x : NAN;
  int e;
  double m = frexp((double)x, &e); // [0.5, 1)
  if (m < 0.70710678118654752) m *= 2.0, e--;
  double s = (m - 1.0) / (m + 1.0), q = s * s;
  double series = 1.0 + q * (1.0 / 3 + q * (1.0 / 5 + q * (1.0 / 7 + q * (1.0 / 9 + q * (1.0 / 11 + q / 13)))));
  return (float)(2.0 * s * series + (double)e * 0.69314718055994531);
}
#endif
