// Vectors of the CPU's own width through the compiler's vector extensions, and what more than one kernel needs of them.
// Elementwise work goes by VL floats. Sums over a row go by 16 partial sums (`lanes16`) on every CPU, added up as one fixed tree,
// so AVX-512, AVX2 and NEON give the same bits.
#ifndef RZERO_SIMD_H
#define RZERO_SIMD_H
#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif
#if defined(__AVX512F__)
#define VL 16
#elif defined(__AVX__)
#define VL 8
#else
#define VL 4
#endif
#define LANES 16
#define PARTS (LANES / VL)
#define INLINE static inline __attribute__((always_inline))

// Before a loop of at most 16 rounds, known when compiling: written out in full, so that its vectors live in registers.
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

typedef float vf __attribute__((vector_size(VL * 4)));
typedef float vfu __attribute__((vector_size(VL * 4), aligned(4), may_alias)); // as it lies in memory
typedef int32_t vi __attribute__((vector_size(VL * 4)));
typedef float v4 __attribute__((vector_size(16)));

INLINE vf splat(float x) { return x - (vf){}; }
INLINE vf load(const float *p) { return *(const vfu *)p; }
INLINE void store(float *p, vf x) { *(vfu *)p = x; }
INLINE vf choose(vi mask, vf a, vf b) { return (vf)((mask & (vi)a) | (~mask & (vi)b)); }

// The first n floats of p, `fill` from there on; n may be anything. Reads up to VL - 1 floats past them: device memory and scratch
// end in slack (memory.c).
INLINE vf load_upto(const float *p, long n, float fill) {
#if VL == 16
  const vi lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
#elif VL == 8
  const vi lane = {0, 1, 2, 3, 4, 5, 6, 7};
#else
  const vi lane = {0, 1, 2, 3};
#endif
  if (n >= VL) return load(p);
  return n > 0 ? choose(lane < (int32_t)n, load(p), splat(fill)) : splat(fill);
}
// Writes the first n floats and no other: the next ones may belong to another thread.
INLINE void store_upto(float *p, vf x, long n) {
  if (n >= VL) {
    store(p, x);
    return;
  }
  float from[VL];
  memcpy(from, &x, sizeof from);
  for (long i = 0; i < n; i++) p[i] = from[i];
}

// a · b + c with one rounding. Compiled with -ffp-contract=off, so a product is fused where it says so and nowhere else: left to the
// compiler, fusing depends on the control flow around it, and so bits would depend on the path. (CPUs without fusing round twice.)
#if defined(__AVX512F__)
INLINE vf fma_v(vf a, vf b, vf c) { return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }
#elif defined(__FMA__) && VL == 8
INLINE vf fma_v(vf a, vf b, vf c) { return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
#elif defined(__FMA__)
INLINE vf fma_v(vf a, vf b, vf c) { return (vf)_mm_fmadd_ps((__m128)a, (__m128)b, (__m128)c); }
#elif defined(__ARM_NEON)
INLINE vf fma_v(vf a, vf b, vf c) { return (vf)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b); }
#else
INLINE vf fma_v(vf a, vf b, vf c) { return a * b + c; }
#endif

// a > b ? a : b and a < b ? a : b, so b where either is NaN. (One instruction that GCC does not find by itself.)
#if defined(__AVX512F__)
INLINE vf max_v(vf a, vf b) { return (vf)_mm512_max_ps((__m512)a, (__m512)b); }
INLINE vf min_v(vf a, vf b) { return (vf)_mm512_min_ps((__m512)a, (__m512)b); }
#else
INLINE vf max_v(vf a, vf b) { return choose(a > b, a, b); }
INLINE vf min_v(vf a, vf b) { return choose(a < b, a, b); }
#endif

// Partial sums: lane i holds what was added at index i mod 16.
typedef struct {
  vf part[PARTS];
} lanes16;

// The sum as a fixed tree: lane i with lane i + 8, then + 4, + 2, + 1.
INLINE float sum_lanes(lanes16 x) {
  v4 q[4];
  memcpy(q, &x, sizeof q);
  v4 b = (q[0] + q[2]) + (q[1] + q[3]);
  return (b[0] + b[2]) + (b[1] + b[3]);
}

INLINE float max_lanes(vf x) {
  float m[VL];
  memcpy(m, &x, sizeof m);
UNROLL
  for (int n = VL / 2; n > 0; n /= 2)
UNROLL
    for (int i = 0; i < n; i++) m[i] = m[i] > m[i + n] ? m[i] : m[i + n];
  return m[0];
}

#ifdef __clang__
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (vi){__VA_ARGS__})
#endif
// Levels of sum_lanes' tree on two vectors at once; the sums of a and b end up in lanes of one.
#if VL == 16
INLINE vf fold8(vf a, vf b) {
  return SHUFFLE(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) +
         SHUFFLE(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
}
INLINE vf fold4(vf a, vf b) {
  return SHUFFLE(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27) +
         SHUFFLE(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
}
INLINE vf fold2(vf a, vf b) {
  return SHUFFLE(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29) +
         SHUFFLE(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
}
INLINE vf fold1(vf a, vf b) {
  return SHUFFLE(a, b, 0, 2, 16, 18, 4, 6, 20, 22, 8, 10, 24, 26, 12, 14, 28, 30) +
         SHUFFLE(a, b, 1, 3, 17, 19, 5, 7, 21, 23, 9, 11, 25, 27, 13, 15, 29, 31);
}
INLINE vf fold_four(const lanes16 *s) { return fold4(fold8(s[0].part[0], s[1].part[0]), fold8(s[2].part[0], s[3].part[0])); }
#elif VL == 8
INLINE vf fold8(lanes16 x) { return x.part[0] + x.part[PARTS - 1]; }
INLINE vf fold4(vf a, vf b) { return SHUFFLE(a, b, 0, 1, 2, 3, 8, 9, 10, 11) + SHUFFLE(a, b, 4, 5, 6, 7, 12, 13, 14, 15); }
INLINE vf fold2(vf a, vf b) { return SHUFFLE(a, b, 0, 1, 8, 9, 4, 5, 12, 13) + SHUFFLE(a, b, 2, 3, 10, 11, 6, 7, 14, 15); }
INLINE vf fold1(vf a, vf b) { return SHUFFLE(a, b, 0, 2, 8, 10, 4, 6, 12, 14) + SHUFFLE(a, b, 1, 3, 9, 11, 5, 7, 13, 15); }
#else
INLINE vf fold8(lanes16 x) { return (x.part[0] + x.part[PARTS / 2]) + (x.part[1] + x.part[PARTS - 1]); }
INLINE vf fold2(vf a, vf b) { return SHUFFLE(a, b, 0, 1, 4, 5) + SHUFFLE(a, b, 2, 3, 6, 7); }
INLINE vf fold1(vf a, vf b) { return SHUFFLE(a, b, 0, 2, 4, 6) + SHUFFLE(a, b, 1, 3, 5, 7); }
#endif
// Lane i of the result is sum_lanes(s[i]) to the bit, i < VL.
INLINE vf sum_lanes_each(const lanes16 *s) {
#if VL == 16
  vf x = fold1(fold2(fold_four(s), fold_four(s + 4)), fold2(fold_four(s + 8), fold_four(s + 12)));
  return SHUFFLE(x, x, 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
#elif VL == 8
  vf a = fold2(fold4(fold8(s[0]), fold8(s[1])), fold4(fold8(s[2]), fold8(s[3])));
  vf b = fold2(fold4(fold8(s[4]), fold8(s[5])), fold4(fold8(s[6]), fold8(s[7])));
  vf x = fold1(a, b);
  return SHUFFLE(x, x, 0, 4, 1, 5, 2, 6, 3, 7);
#else
  return fold1(fold2(fold8(s[0]), fold8(s[1])), fold2(fold8(s[2]), fold8(s[3])));
#endif
}

// e^x with relative error below 1.2e-7; 0 below -87.33, where floats would be denormal; 3.4e38 above 88.72; NaN stays NaN.
// Cephes' polynomial (expf.c) on x - n·ln 2, with n added to the exponent's bits.
INLINE vf exp_v(vf x) {
  vf c = min_v(splat(88.7228f), x);
  vf n = fma_v(c, splat(1.44269504088896341f), splat(12582912.0f)) - 12582912.0f; // to nearest: 1.5 · 2^23 pushes the fraction out
  vf r = fma_v(n, splat(-0.693359375f), c);
  r = fma_v(n, splat(2.12194440e-4f), r);
  vf p = splat(1.9875691500e-4f);
  p = fma_v(p, r, splat(1.3981999507e-3f));
  p = fma_v(p, r, splat(8.3334519073e-3f));
  p = fma_v(p, r, splat(4.1665795894e-2f));
  p = fma_v(p, r, splat(1.6666665459e-1f));
  p = fma_v(p, r, splat(5.0000001201e-1f));
  p = fma_v(p, r * r, r) + 1.0f;
  vi y = (vi)p + (__builtin_convertvector(n, vi) << 23);
  return (vf)(~(x < -87.33f) & y);
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

// The first n floats of p and zeros; touches nothing past them (they may end a mapped file).
INLINE vf load_only(const float *p, long n) {
  if (n >= VL) return load(p);
#if defined(__AVX512F__)
  return (vf)_mm512_maskz_loadu_ps((__mmask16)(n > 0 ? (1u << n) - 1 : 0), p);
#else
  float part[VL] = {0};
  if (n > 0) memcpy(part, p, (size_t)n * sizeof(float));
  return load(part);
#endif
}

// Two rows interleaved by one element (LOW, HIGH) or by two (LOW2, HIGH2), within blocks of four lanes.
#if VL == 16
#define LOW(a, b) SHUFFLE(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29)
#define HIGH(a, b) SHUFFLE(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31)
#define LOW2(a, b) SHUFFLE(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29)
#define HIGH2(a, b) SHUFFLE(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31)
// Lane blocks 0, 1 (or 2, 3; or 0, 2; or 1, 3) of a, then of b.
#define BLOCKS01(a, b) SHUFFLE(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23)
#define BLOCKS23(a, b) SHUFFLE(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31)
#define BLOCKS02(a, b) SHUFFLE(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27)
#define BLOCKS13(a, b) SHUFFLE(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31)
#elif VL == 8
#define LOW(a, b) SHUFFLE(a, b, 0, 8, 1, 9, 4, 12, 5, 13)
#define HIGH(a, b) SHUFFLE(a, b, 2, 10, 3, 11, 6, 14, 7, 15)
#define LOW2(a, b) SHUFFLE(a, b, 0, 1, 8, 9, 4, 5, 12, 13)
#define HIGH2(a, b) SHUFFLE(a, b, 2, 3, 10, 11, 6, 7, 14, 15)
#else
#define LOW(a, b) SHUFFLE(a, b, 0, 4, 1, 5)
#define HIGH(a, b) SHUFFLE(a, b, 2, 6, 3, 7)
#define LOW2(a, b) SHUFFLE(a, b, 0, 1, 4, 5)
#define HIGH2(a, b) SHUFFLE(a, b, 2, 3, 6, 7)
#endif

// Rows become columns. After the first loop r[4 q + c] holds, in lane block b, element 4 b + c of rows 4 q to 4 q + 3.
INLINE void transpose(vf r[VL]) {
UNROLL
  for (int q = 0; q < VL; q += 4) {
    vf a = LOW(r[q], r[q + 1]), b = HIGH(r[q], r[q + 1]), c = LOW(r[q + 2], r[q + 3]), d = HIGH(r[q + 2], r[q + 3]);
    r[q] = LOW2(a, c), r[q + 1] = HIGH2(a, c), r[q + 2] = LOW2(b, d), r[q + 3] = HIGH2(b, d);
  }
#if VL == 16
UNROLL
  for (int c = 0; c < 4; c++) {
    vf a = BLOCKS01(r[c], r[c + 4]), b = BLOCKS01(r[c + 8], r[c + 12]);
    vf x = BLOCKS23(r[c], r[c + 4]), y = BLOCKS23(r[c + 8], r[c + 12]);
    r[c] = BLOCKS02(a, b), r[c + 4] = BLOCKS13(a, b), r[c + 8] = BLOCKS02(x, y), r[c + 12] = BLOCKS13(x, y);
  }
#elif VL == 8
UNROLL
  for (int c = 0; c < 4; c++) {
    vf a = r[c], b = r[c + 4];
    r[c] = SHUFFLE(a, b, 0, 1, 2, 3, 8, 9, 10, 11), r[c + 4] = SHUFFLE(a, b, 4, 5, 6, 7, 12, 13, 14, 15);
  }
#endif
}
#endif
