// The inner kernels of the matrix products: one tile of C in registers, over all steps of packed A and B.
// Exactness: each element is one chain over k in ascending order, one fused multiply-add per product (bf16: per pair, odd one first);
// vector lanes run over columns, never over k. Knows nothing of blocks, packing or threads.
#include "gemm.h"

#define AHEAD 1024 // bytes of A
#define LOW_TILE (MR / 2) // tiles no higher than this, and int8, fetch only B ahead

typedef struct {
  vf low, high; // floats, or without a dot instruction the even and the odd halves of pairs
} operand;

INLINE operand as_operand(int format, vf cells) {
  if (format != RZ_BF16 || BF16_DOT) return (operand){cells, cells};
  return (operand){(vf)((vi)cells << 16), (vf)((vi)cells & (int32_t)0xffff0000)};
}

INLINE vf multiply_add(int format, operand a, operand b, vf sum) {
  if (format != RZ_BF16) return fma_v(a.low, b.low, sum);
  if (BF16_DOT) return bf16_dot(sum, a.low, b.low);
  return fma_v(a.low, b.low, fma_v(a.high, b.high, sum));
}

INLINE vf splat_cell(const cell *p) {
  int32_t bits;
  memcpy(&bits, p, sizeof bits);
  return (vf)(bits + (vi){});
}

// VL int8 as floats.
INLINE vf load_int8(const int8_t *p) {
#if VL == 16
  return (vf)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p)));
#elif defined(__AVX2__)
  return (vf)_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p)));
#elif defined(__ARM_NEON)
  int32_t four;
  memcpy(&four, p, sizeof four);
  return (vf)vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(four))))));
#else
  vi x;
  for (int i = 0; i < VL; i++) x[i] = p[i];
  return __builtin_convertvector(x, vf);
#endif
}

INLINE vf load_b(int format, const char *b, long at) {
  return format == RZ_INT8 ? load_int8((const int8_t *)b + at) : load((const cell *)b + at);
}

INLINE void tile(int format, int mr, int nv, long steps, const cell *a, const void *panels, long panel_step, const rz_tile *t) {
  vf acc[MR][8];
  long bytes = format == RZ_INT8 ? 1 : 4, ld_in = t->ld_in, ld_out = t->ld_out;
  const char *b = panels;
  const float *in = t->in;
UNROLL
  for (int i = 0; i < mr; i++)
UNROLL
    for (int j = 0; j < nv; j++) acc[i][j] = in ? load(in + i * ld_in + j * VL) : (vf){};
  // The same steps in three parts, by what they fetch: the sums of the next tile, the following panel, A itself further on. All at
  // once, before the first step, fetches would hold up the loads behind them.
  int far = (mr > LOW_TILE || (mr == LOW_TILE && nv <= 2)) && format != RZ_INT8;
  long part[3] = {rz_min(t->next_in ? mr : 0, steps), 0, 0};
  part[1] = rz_min(t->lines, steps - part[0]), part[2] = steps - part[0] - part[1];
  for (int s = far ? 0 : 2; s < 3; s++) {
    const char *ahead = s == 0 ? (const char *)t->next_in : s == 1 ? t->following : (const char *)a + AHEAD, *beside = ahead + 64;
    long stride = s == 0 ? ld_in * (long)sizeof(float) : s == 1 ? t->stride : mr * (long)sizeof(cell), beside_stride = stride;
    if (s == 1 && stride < 128) beside = (const char *)a + AHEAD, beside_stride = mr * (long)sizeof(cell);
    for (long n = far ? part[s] : steps; n > 0; n--, b += NR * bytes, a += mr) {
      if (far) {
        __builtin_prefetch(ahead);
        __builtin_prefetch(beside);
        ahead += stride, beside += beside_stride;
      }
      operand w[8];
      for (int j = 0; j < (far ? 0 : nv); j += 2) {
        __builtin_prefetch(b + j / 2 * panel_step * bytes + t->ahead);
        if (bytes * NR > 64) __builtin_prefetch(b + j / 2 * panel_step * bytes + t->ahead + 64);
      }
UNROLL
      for (int j = 0; j < nv; j++) w[j] = as_operand(format, load_b(format, b + j / 2 * panel_step * bytes, j % 2 * VL));
UNROLL
      for (int i = 0; i < mr; i++) {
        operand x = as_operand(format, splat_cell(a + i));
UNROLL
        for (int j = 0; j < nv; j++) acc[i][j] = multiply_add(format, x, w[j], acc[i][j]);
      }
    }
  }
  float *out = t->out;
UNROLL
  for (int i = 0; i < mr; i++)
UNROLL
    for (int j = 0; j < nv; j++) {
      if (t->stream) stream_v(out + i * ld_out + j * VL, acc[i][j]);
      else store(out + i * ld_out + j * VL, acc[i][j]);
    }
}

#define FORM(format, mr, nv)                                                                                                           \
  static void k_##format##_##mr##_##nv(long steps, const cell *a, const void *b, long panel_step, const rz_tile *t) {                 \
    tile(format, mr, nv, steps, a, b, panel_step, t);                                                                                 \
  }
#define FORMS(mr, nv) FORM(RZ_F32, mr, nv) FORM(RZ_BF16, mr, nv) FORM(RZ_INT8, mr, nv)
#define ROW(mr, wide) FORMS(mr, 1) FORMS(mr, 2) FORMS(mr, wide)
#define LAST_ROW(mr) FORMS(mr, 1) FORMS(mr, 2)
#define ENTRY(format, mr, wide) {k_##format##_##mr##_1, k_##format##_##mr##_2, k_##format##_##mr##_##wide}
#if VL == 8
#define ALL_ROWS(ROW, LAST) ROW(1, 8) ROW(2, 4) ROW(3, 4) LAST(4) LAST(5) LAST(6)
static const signed char wide_panels[MR] = {4, 2, 2, 1, 1, 1};
#elif VL == 4
#define ALL_ROWS(ROW, LAST) ROW(1, 8) ROW(2, 8) ROW(3, 8) ROW(4, 4) ROW(5, 4) ROW(6, 4) LAST(7) LAST(8) LAST(9) LAST(10) LAST(11) LAST(12)
static const signed char wide_panels[MR] = {4, 4, 4, 2, 2, 2, 1, 1, 1, 1, 1, 1};
#else
#define ALL_ROWS(ROW, LAST)                                                                                                            \
  ROW(1, 8) ROW(2, 8) ROW(3, 8) ROW(4, 4) ROW(5, 4) ROW(6, 4) ROW(7, 4) LAST(8) LAST(9) LAST(10) LAST(11) LAST(12) LAST(13) LAST(14)
static const signed char wide_panels[MR] = {4, 4, 4, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1};
#endif
ALL_ROWS(ROW, LAST_ROW)
#define F32_ROW(mr, wide) ENTRY(RZ_F32, mr, wide),
#define F32_LAST(mr) ENTRY(RZ_F32, mr, 2),
#define BF16_ROW(mr, wide) ENTRY(RZ_BF16, mr, wide),
#define BF16_LAST(mr) ENTRY(RZ_BF16, mr, 2),
#define INT8_ROW(mr, wide) ENTRY(RZ_INT8, mr, wide),
#define INT8_LAST(mr) ENTRY(RZ_INT8, mr, 2),
static const rz_gemm_kernel kernels[3][MR][3] = {
    [RZ_F32] = {ALL_ROWS(F32_ROW, F32_LAST)},
    [RZ_BF16] = {ALL_ROWS(BF16_ROW, BF16_LAST)},
    [RZ_INT8] = {ALL_ROWS(INT8_ROW, INT8_LAST)},
};

rz_gemm_kernel rz_gemm_kernel_of(int format, long height, long vectors) {
  return kernels[format][height - 1][vectors > 2 ? 2 : vectors - 1];
}
long rz_gemm_panels(long height) { return wide_panels[height - 1]; }

static void finish_tile(const rz_finish *f, float *c, long ldc, const float *from, long ld, long height, long width) {
  for (long i = 0; i < height; i++, c += ldc, from += ld)
    for (long q = 0; q < width; q++) {
      float x = f->scales ? from[q] * f->scales[q] : from[q];
      if (f->add) x += c[q];
      c[q] = f->bias ? x + f->bias[q] : x;
    }
}

void rz_run_tile(int format, long steps, const cell *a, const void *panel, long panel_step, long width, long height, int from_c, int to_c,
                 const rz_finish *finish, const rz_tile *t) {
  rz_gemm_kernel run = rz_gemm_kernel_of(format, height, (width + VL - 1) / VL);
  int odd = width % VL != 0;
  if (!(to_c && finish) && !(odd && (from_c || to_c))) {
    run(steps, a, panel, panel_step, t);
    return;
  }
  float part[MR * 4 * NR] __attribute__((aligned(64)));
  long ld = rz_round_up(width, VL);
  rz_tile by_part = *t;
  by_part.stream = 0;
  if (odd && t->in && from_c) {
    for (long r = 0; r < height; r++) {
      memset(part + r * ld + ld - VL, 0, VL * sizeof(float));
      memcpy(part + r * ld, t->in + r * t->ld_in, (size_t)width * sizeof(float));
    }
    by_part.in = part, by_part.ld_in = ld;
  }
  if (to_c) by_part.out = part, by_part.ld_out = ld;
  run(steps, a, panel, panel_step, &by_part);
  if (!to_c) return;
  if (finish) finish_tile(finish, t->out, t->ld_out, part, ld, height, width);
  else
    for (long r = 0; r < height; r++) memcpy(t->out + r * t->ld_out, part + r * ld, (size_t)width * sizeof(float));
}
