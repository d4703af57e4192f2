// bf16 in plain integer operations, the same bits on every CPU: a bf16 is the upper half of a float.
// (The CPUs' own conversions turn denormal floats into 0.)
#ifndef RZERO_BF16_H
#define RZERO_BF16_H
#include "simd.h"

typedef uint16_t bf16;
typedef uint32_t vu __attribute__((vector_size(VL * 4)));
typedef uint16_t vh __attribute__((vector_size(VL * 2)));
typedef uint16_t vhu __attribute__((vector_size(VL * 2), aligned(2), may_alias)); // as it lies in memory

// To nearest, ties to even; NaN stays NaN (quiet, sign kept).
INLINE bf16 to_bf16(float x) {
  uint32_t u;
  memcpy(&u, &x, sizeof u);
  if ((u & 0x7fffffff) > 0x7f800000) return (bf16)(u >> 16 | 0x40);
  return (bf16)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}
INLINE float from_bf16(bf16 x) {
  uint32_t u = (uint32_t)x << 16;
  float y;
  memcpy(&y, &u, sizeof y);
  return y;
}

// The same on vectors.
INLINE vh to_bf16_v(vf x) {
  vu u = (vu)x;
  vu nan = (vu)((u & 0x7fffffff) > 0x7f800000);
  vu rounded = (u + (0x7fff + (u >> 16 & 1))) >> 16, quiet = u >> 16 | 0x40;
  return __builtin_convertvector((nan & quiet) | (~nan & rounded), vh);
}
INLINE vf from_bf16_v(vh x) { return (vf)(__builtin_convertvector(x, vu) << 16); }
INLINE vh load_bf16(const bf16 *p) { return *(const vhu *)p; }
INLINE void store_bf16(bf16 *p, vh x) { *(vhu *)p = x; }
// Writes the first n and no other.
INLINE void store_bf16_upto(bf16 *p, vh x, long n) {
  if (n >= VL) {
    store_bf16(p, x);
    return;
  }
  for (long i = 0; i < n; i++) p[i] = x[i];
}

// Rounded up or down by chance: `random` in [0, 2^16) is added to the half that is cut off, so the mean is the float itself.
INLINE vh to_bf16_random_v(vf x, vu random) {
  vu u = (vu)x;
  vu finite = (vu)((u & 0x7fffffff) < 0x7f800000);
  vu cut = (u + (finite & random)) >> 16;
  vu nan = (vu)((u & 0x7fffffff) > 0x7f800000);
  return __builtin_convertvector(cut | (nan & 0x40), vh);
}

// n < VL: zeros follow, and nothing past them is touched.
INLINE vf from_bf16_only(const bf16 *p, long n) {
  if (n >= VL) return from_bf16_v(load_bf16(p));
  bf16 part[VL] = {0};
  if (n > 0) memcpy(part, p, (size_t)n * sizeof part[0]);
  return from_bf16_v(load_bf16(part));
}

// sum + a·b over pairs of bf16 in each lane, on an instruction of its own where BF16_DOT is 1. (It may turn denormals into 0.)
#if defined(__AVX512BF16__) && VL == 16
#define BF16_DOT 1
INLINE vf bf16_dot(vf sum, vf a, vf b) { return (vf)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b); }
#elif defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC) && VL == 4
#define BF16_DOT 1
INLINE vf bf16_dot(vf sum, vf a, vf b) { return (vf)vbfdotq_f32((float32x4_t)sum, (bfloat16x8_t)a, (bfloat16x8_t)b); }
#else
#define BF16_DOT 0
INLINE vf bf16_dot(vf sum, vf a, vf b) {
  vf high = fma_v((vf)((vu)a & 0xffff0000), (vf)((vu)b & 0xffff0000), sum);
  return fma_v((vf)((vu)a << 16), (vf)((vu)b << 16), high);
}
#endif
#endif
