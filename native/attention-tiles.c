// The small matrix products of attention: kernels that hold a tile of C in registers, and the packing of their panels.
// Knows nothing of softmax or sequences.
#include "attention.h"

INLINE void micro(int mr, int nv, long k, const float *a, long ars, long acs, const float *b, long ldb, float *c, long ldc, int load_c) {
  vf acc[TILE_ROWS][4];
UNROLL
  for (int i = 0; i < mr; i++)
UNROLL
    for (int j = 0; j < nv; j++) acc[i][j] = load_c ? load(c + i * ldc + j * VL) : (vf){};
  for (long p = 0; p < k; p++, b += ldb, a += acs) {
    vf row[4];
UNROLL
    for (int j = 0; j < nv; j++) row[j] = load(b + j * VL);
UNROLL
    for (int i = 0; i < mr; i++) {
      vf s = splat(a[i * ars]);
UNROLL
      for (int j = 0; j < nv; j++) acc[i][j] = fma_v(s, row[j], acc[i][j]);
    }
  }
UNROLL
  for (int i = 0; i < mr; i++)
UNROLL
    for (int j = 0; j < nv; j++) store(c + i * ldc + j * VL, acc[i][j]);
}

#define ROWS(mr, nv)                                                                                                          \
  static void rows_##mr##_##nv(long k, const float *a, long lda, const float *b, long ldb, float *c, long ldc, int l) {       \
    micro(mr, nv, k, a, lda, 1, b, ldb, c, ldc, l);                                                                           \
  }
#define COLUMNS(mr, nv)                                                                                                       \
  static void columns_##mr##_##nv(long k, const float *a, long lda, const float *b, long ldb, float *c, long ldc, int l) {    \
    micro(mr, nv, k, a, 1, lda, b, ldb, c, ldc, l);                                                                           \
  }
#define BOTH(mr) ROWS(mr, 1) ROWS(mr, 2) COLUMNS(mr, 1) COLUMNS(mr, 2)
#define WIDE(mr) ROWS(mr, 3) ROWS(mr, 4)
#define PAIR(form, mr) form##_##mr##_1, form##_##mr##_2
BOTH(1) BOTH(2) BOTH(3) BOTH(4) BOTH(5) BOTH(6) WIDE(1) WIDE(2)
#define PAIRS6(form) {PAIR(form, 1)}, {PAIR(form, 2)}, {PAIR(form, 3)}, {PAIR(form, 4)}, {PAIR(form, 5)}, {PAIR(form, 6)}
#if TILE_ROWS > 6
BOTH(7) BOTH(8) BOTH(9) BOTH(10) BOTH(11) BOTH(12) WIDE(3) WIDE(4)
#define PAIRS12(form) , {PAIR(form, 7)}, {PAIR(form, 8)}, {PAIR(form, 9)}, {PAIR(form, 10)}, {PAIR(form, 11)}, {PAIR(form, 12)}
#define WIDE34 , {rows_3_3, rows_3_4}, {rows_4_3, rows_4_4}
#else
#define PAIRS12(form)
#define WIDE34
#endif
#if TILE_ROWS > 12
BOTH(13) BOTH(14)
#define PAIRS14(form) , {PAIR(form, 13)}, {PAIR(form, 14)}
#else
#define PAIRS14(form)
#endif
static const tile_kernel by_rows[TILE_ROWS][2] = {PAIRS6(rows) PAIRS12(rows) PAIRS14(rows)};
static const tile_kernel by_columns[TILE_ROWS][2] = {PAIRS6(columns) PAIRS12(columns) PAIRS14(columns)};
static const tile_kernel wide[FEW][2] = {{rows_1_3, rows_1_4}, {rows_2_3, rows_2_4} WIDE34};

tile_kernel rz_tile(long mr, long nv) { return nv > 2 ? wide[mr - 1][nv - 3] : by_rows[mr - 1][nv - 1]; }
tile_kernel rz_tile_transposed(long mr, long nv) { return by_columns[mr - 1][nv - 1]; }

void rz_tiles(long m, long nv, long k, const float *a, long lda, const float *b, long ldb, float *c, long ldc, int load_c) {
  long tiles = (m + TILE_ROWS - 1) / TILE_ROWS;
  for (long t = 0; t < tiles; t++) {
    long i = t * m / tiles, mr = (t + 1) * m / tiles - i;
    rz_tile(mr, nv)(k, a + i * lda, lda, b, ldb, c + i * ldc, ldc, load_c);
  }
}

typedef uint16_t vh __attribute__((vector_size(VL * 2), aligned(2), may_alias));
typedef uint32_t vu __attribute__((vector_size(VL * 4)));

// VL elements widened; a bf16 is the upper half of an f32.
INLINE vf load_wide(const void *row, long e, int bf16) {
  if (!bf16) return load((const float *)row + e);
  return (vf)(__builtin_convertvector(*(const vh *)((const uint16_t *)row + e), vu) << 16);
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

INLINE void pack_keys_of(float *to, long width, const head_rows *from, long first, long n, int bf16) {
  long bytes = from->stride * (bf16 ? 2 : 4);
  const char *start = (const char *)from->at + first * bytes;
  for (long j = 0; j < n; j += VL) {
    for (long e = 0; e < from->dim; e += VL) {
      vf r[VL];
UNROLL
      for (int i = 0; i < VL; i++) r[i] = load_wide(start + least(j + i, n - 1) * bytes, e, bf16);
      transpose(r);
      float *column = to + e * width + j;
      if (e + VL <= from->dim) {
UNROLL
        for (int i = 0; i < VL; i++) store(column + i * width, r[i]);
      } else {
UNROLL
        for (int i = 0; i < VL; i++)
          if (e + i < from->dim) store(column + i * width, r[i]);
      }
    }
  }
}

void rz_pack_keys(float *to, long width, const head_rows *from, long first, long n) {
  if (from->bf16) pack_keys_of(to, width, from, first, n, 1);
  else pack_keys_of(to, width, from, first, n, 0);
}

INLINE void pack_values_of(float *to, long width, const head_rows *from, long first, long n, long e, int bf16) {
  long bytes = from->stride * (bf16 ? 2 : 4), left = from->dim - e;
  const char *row = (const char *)from->at + first * bytes;
  for (long j = 0; j < n; j++, row += bytes, to += width)
    for (long c = 0; c < width; c += VL) {
      vf x = {};
      if (c + VL <= left) x = load_wide(row, e + c, bf16);
      else if (c < left) {
        float part[VL];
        vf all = load_wide(row, e + c, bf16);
        memcpy(part, &all, sizeof part);
        for (long i = left - c; i < VL; i++) part[i] = 0;
        x = load(part);
      }
      store(to + c, x);
    }
}

void rz_pack_values(float *to, long width, const head_rows *from, long first, long n, long e) {
  if (from->bf16) pack_values_of(to, width, from, first, n, e, 1);
  else pack_values_of(to, width, from, first, n, e, 0);
}
