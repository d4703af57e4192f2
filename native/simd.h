// Vectors of 16 floats through the compiler's vector extensions, and the functions on them that more than one kernel needs.
// 16 lanes on every CPU (the compiler splits them where registers are narrower), so reductions give the same bits everywhere.
#ifndef RZERO_SIMD_H
#define RZERO_SIMD_H
#include <math.h>
#include <stdint.h>
#include <string.h>
#ifdef __AVX512F__
#include <immintrin.h>
#endif

#define LANES 16
#define INLINE static inline __attribute__((always_inline))
typedef float v16 __attribute__((vector_size(64), aligned(64)));
typedef float v16u __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t i16v __attribute__((vector_size(64), aligned(64)));
typedef float v8 __attribute__((vector_size(32)));
typedef float v4 __attribute__((vector_size(16)));
typedef int32_t i8v __attribute__((vector_size(32)));
typedef int32_t i4v __attribute__((vector_size(16)));

INLINE v16 splat(float x) { return x - (v16){}; }
INLINE v16 load(const float *p) { return *(const v16u *)p; }
INLINE void store(float *p, v16 x) { *(v16u *)p = x; }
INLINE v16 select16(i16v mask, v16 a, v16 b) { return (v16)((mask & (i16v)a) | (~mask & (i16v)b)); }
// The first n < 16 floats of p; the rest are `fill`. Reads all 16: device memory and scratch end in slack (memory.c).
INLINE v16 load_part(const float *p, long n, float fill) {
  const i16v lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return select16(lane < (int32_t)n, load(p), splat(fill));
}
// Writes the first n < 16 floats and no other: the next ones may belong to another thread.
INLINE void store_part(float *p, v16 x, long n) {
  const float *from = (const float *)&x;
  if (n & 8) memcpy(p, from, 32), p += 8, from += 8;
  if (n & 4) memcpy(p, from, 16), p += 4, from += 4;
  if (n & 2) memcpy(p, from, 8), p += 2, from += 2;
  if (n & 1) *p = *from;
}
// a > b ? a : b and a < b ? a : b, so b where either is NaN. (One instruction that GCC does not find by itself.)
#ifdef __AVX512F__
INLINE v16 max16(v16 a, v16 b) { return (v16)_mm512_max_ps((__m512)a, (__m512)b); }
INLINE v16 min16(v16 a, v16 b) { return (v16)_mm512_min_ps((__m512)a, (__m512)b); }
#else
INLINE v16 max16(v16 a, v16 b) { return select16(a > b, a, b); }
INLINE v16 min16(v16 a, v16 b) { return select16(a < b, a, b); }
#endif

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
  v8 h[2];
  memcpy(h, &x, sizeof h);
  i8v more = h[0] > h[1];
  v8 a = (v8)((more & (i8v)h[0]) | (~more & (i8v)h[1]));
  v4 q[2];
  memcpy(q, &a, sizeof q);
  i4v most = q[0] > q[1];
  v4 b = (v4)((most & (i4v)q[0]) | (~most & (i4v)q[1]));
  float even = b[0] > b[2] ? b[0] : b[2], odd = b[1] > b[3] ? b[1] : b[3];
  return even > odd ? even : odd;
}

#ifdef __clang__
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (i16v){__VA_ARGS__})
#endif
// The four levels of sum_lanes' tree, two vectors into one: 8 + 8 lanes, then 4 of each, 2, 1.
INLINE v16 fold8(v16 a, v16 b) {
  return SHUFFLE(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) +
         SHUFFLE(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
}
INLINE v16 fold4(v16 a, v16 b) {
  return SHUFFLE(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27) +
         SHUFFLE(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
}
INLINE v16 fold2(v16 a, v16 b) {
  return SHUFFLE(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29) +
         SHUFFLE(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
}
INLINE v16 fold1(v16 a, v16 b) {
  return SHUFFLE(a, b, 0, 2, 16, 18, 4, 6, 20, 22, 8, 10, 24, 26, 12, 14, 28, 30) +
         SHUFFLE(a, b, 1, 3, 17, 19, 5, 7, 21, 23, 9, 11, 25, 27, 13, 15, 29, 31);
}
INLINE v16 fold_four(const v16 *s) { return fold4(fold8(s[0], s[1]), fold8(s[2], s[3])); }
// Lane i of the result is sum_lanes(s[i]), to the bit.
INLINE v16 sum_lanes_of_16(const v16 *s) {
  v16 x = fold1(fold2(fold_four(s), fold_four(s + 4)), fold2(fold_four(s + 8), fold_four(s + 12)));
  return SHUFFLE(x, x, 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
}

// e^x with relative error below 1.2e-7; 0 below -87.33, where floats would be denormal; 3.4e38 above 88.72; NaN stays NaN.
// Cephes' polynomial (expf.c) on x - n·ln 2, with n added to the exponent's bits.
INLINE v16 exp16(v16 x) {
  v16 c = min16(splat(88.7228f), x);
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
  i16v y = (i16v)p + (__builtin_convertvector(n, i16v) << 23);
  return (v16)(~(x < -87.33f) & y);
}

// Natural logarithm of a positive float, to the last bit or nearly so.
INLINE float log_positive(float x) {
  if (!(x > 0.0f) || x > 3.4028234e38f) return x == 0.0f ? -INFINITY : x > 0.0f ? x : NAN;
  // x = m · 2^e; double has room for denormal floats
  double wide = (double)x;
  int64_t bits;
  memcpy(&bits, &wide, sizeof bits);
  // The mantissa's top bits say on which side of √2 it lies: no branch, it would be a coin toss.
  int64_t mantissa = bits & 0xfffffffffffff, high = mantissa > 0x6a09e667f3bcd;
  int64_t e = (bits >> 52) - 1023 + high;
  bits = mantissa | ((1023 - high) << 52); // m in [√½, √2)
  double m;
  memcpy(&m, &bits, sizeof m);
  double s = (m - 1.0) / (m + 1.0), q = s * s;
  double series = 1.0 + q * (1.0 / 3 + q * (1.0 / 5 + q * (1.0 / 7 + q * (1.0 / 9 + q * (1.0 / 11 + q * (1.0 / 13))))));
  return (float)(2.0 * s * series + (double)e * 0.69314718055994531);
}
#endif
