// The small matrix products of attention: kernels that hold a tile of C in registers, and the packing of their panels.
// Knows nothing of softmax or sequences.
#include "attention.h"

#define GROUPS 4 // groups of VL keys whose scores grow together

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

// The rows of a group of VL keys from element e on: row 4 b + i at block[b] + i · bytes, or each at its own place.
typedef struct {
  const char *block[VL / 4];
  long bytes;
  const char **each;
} key_group;

INLINE const char *row_of(const key_group *g, int i) { return g->each ? g->each[i] : g->block[i / 4] + i % 4 * g->bytes; }

// On to the next elements. The empty assembly hides where the pointers come from: the compiler would keep all VL of them otherwise.
INLINE void advance(key_group *g, int bytes) {
UNROLL
  for (int b = 0; b < VL / 4; b++) {
    if (g->each) {
UNROLL
      for (int i = 0; i < 4; i++) g->each[4 * b + i] += bytes;
    } else {
      g->block[b] += bytes;
      __asm__("" : "+r"(g->block[b]));
    }
  }
}

// x[e] = the next elements e of the group's keys. Each line is read whole, at once: keys are often 4 KiB apart and evict each other.
INLINE void transposed(vf x[VL], const key_group *g, int bf16) {
UNROLL
  for (int i = 0; i < VL; i++) x[i] = load_wide(row_of(g, i), 0, bf16);
  transpose(x);
}

INLINE key_group whole_group(const char *next, long bytes) {
  key_group g = {.bytes = bytes};
UNROLL
  for (int b = 0; b < VL / 4; b++) g.block[b] = next + 4 * b * bytes;
  return g;
}

// The n keys from `next` on, the last one repeated; `each` is room for their places.
INLINE key_group part_of_group(const char *next, long bytes, long n, const char *each[VL]) {
  for (long i = 0; i < VL; i++) each[i] = next + least(i, n - 1) * bytes;
  return (key_group){.each = each};
}

// Columns for the group's next elements, VL or the `left` ones; moves on.
static void pack_block(float *to, long width, key_group *g, long left, int bf16) {
  vf x[VL];
  if (bf16) transposed(x, g, 1);
  else transposed(x, g, 0);
  advance(g, bf16 ? 2 * VL : 4 * VL);
  if (left >= VL) {
UNROLL
    for (int e = 0; e < VL; e++) store(to + e * width, x[e]);
  } else {
UNROLL
    for (int e = 0; e < VL; e++)
      if (e < left) store(to + e * width, x[e]);
  }
}

INLINE void pack_group(float *to, long width, key_group g, long dim, int bf16) {
  for (long e = 0; e < dim; e += VL) pack_block(to + e * width, width, &g, dim - e, bf16);
}

INLINE void pack_keys_of(float *to, long width, const head_rows *from, long first, long n, int bf16) {
  long bytes = from->stride * (bf16 ? 2 : 4), size = from->dim * (bf16 ? 2 : 4), j = 0;
  const char *next = (const char *)from->at + first * bytes, *each[VL];
  for (; j + VL <= n; j += VL) {
    for (long i = j + VL; size >= 256 && i < least(j + 2 * VL, n); i++) // short rows come as fast without
      for (long line = 0; line < size; line += 64) __builtin_prefetch(next + i * bytes + line);
    pack_group(to + j, width, whole_group(next + j * bytes, bytes), from->dim, bf16);
  }
  if (j < n) pack_group(to + j, width, part_of_group(next + j * bytes, bytes, n - j, each), from->dim, bf16);
}

void rz_pack_keys(float *to, long width, const head_rows *from, long first, long n) {
  if (from->bf16) pack_keys_of(to, width, from, first, n, 1);
  else pack_keys_of(to, width, from, first, n, 0);
}

INLINE void pack_values_of(float *to, long width, const head_rows *from, long first, long n, long e, int bf16) {
  long bytes = from->stride * (bf16 ? 2 : 4), left = from->dim - e;
  const char *row = (const char *)from->at + first * bytes;
  for (long j = 0; j < n; j++, row += bytes, to += width) {
    if (j + 16 < n) __builtin_prefetch(row + 16 * bytes + e * (bf16 ? 2 : 4));
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
}

void rz_pack_values(float *to, long width, const head_rows *from, long first, long n, long e) {
  if (from->bf16) pack_values_of(to, width, from, first, n, e, 1);
  else pack_values_of(to, width, from, first, n, e, 0);
}

// to[i][0, VL · groups) = q[i]·keys of the groups, i < m. Pairs of bf16 are transposed as one and taken apart after.
INLINE void score_groups(int m, int groups, float *to, long ldt, const float *q, const head_rows *keys, const long *at, int bf16) {
  vf acc[FEW][GROUPS] = {};
  float panel[VL * GROUPS * VL] __attribute__((aligned(64)));
  long dim = keys->dim, step = bf16 ? 2 * VL : VL;
  const char *base = keys->at;
  for (long e = 0; e < dim; e += step, base += VL * sizeof(float)) {
    for (int s = 0; s < groups; s++) {
      vf x[VL];
UNROLL
      for (int i = 0; i < VL; i++) x[i] = load((const float *)(base + at[s * VL + i]));
      transpose(x);
UNROLL
      for (int i = 0; i < VL; i++) store(panel + (i * GROUPS + s) * VL, x[i]);
    }
    const float *from = panel;
    for (long c = e, end = least(dim, e + step); c < end; c += bf16 ? 2 : 1, from += GROUPS * VL) {
      int odd = bf16 && c + 1 < end;
UNROLL
      for (int s = 0; s < groups; s++) {
        vf x = load(from + s * VL), low = bf16 ? (vf)((vu)x << 16) : x, high = (vf)((vu)x & 0xffff0000);
UNROLL
        for (int i = 0; i < m; i++) acc[i][s] = fma_v(splat(q[i * dim + c]), low, acc[i][s]);
        if (odd)
UNROLL
          for (int i = 0; i < m; i++) acc[i][s] = fma_v(splat(q[i * dim + c + 1]), high, acc[i][s]);
      }
    }
  }
UNROLL
  for (int s = 0; s < groups; s++)
UNROLL
    for (int i = 0; i < m; i++) store(to + i * ldt + s * VL, acc[i][s]);
}

INLINE void score_few(int m, float *to, long ldt, const float *q, const head_rows *keys, const row_places *p, const rows_ahead *ahead, int bf16) {
  for (long j = 0; j < p->n; j += GROUPS * VL) {
    long groups = least(GROUPS, (p->n - j + VL - 1) / VL);
    rz_fetch(ahead, j, GROUPS * VL);
    if (groups == 1) score_groups(m, 1, to + j, ldt, q, keys, p->at + j, bf16);
    else if (groups == 2) score_groups(m, 2, to + j, ldt, q, keys, p->at + j, bf16);
    else if (groups == 3) score_groups(m, 3, to + j, ldt, q, keys, p->at + j, bf16);
    else score_groups(m, 4, to + j, ldt, q, keys, p->at + j, bf16);
  }
}

INLINE void weigh_rows(int m, int nv, float *to, long ldt, const float *weights, long ldw, const char *base, const row_places *p, int load_c,
                       const rows_ahead *ahead, int bf16) {
  vf acc[FEW][4];
UNROLL
  for (int i = 0; i < m; i++)
UNROLL
    for (int v = 0; v < nv; v++) acc[i][v] = load_c ? load(to + i * ldt + v * VL) : (vf){};
  for (long j = 0; j < p->n; j++) {
    vf x[4];
    if (j % VL == 0) rz_fetch(ahead, j, VL);
UNROLL
    for (int v = 0; v < nv; v++) x[v] = load_wide(base + p->at[j], v * VL, bf16);
UNROLL
    for (int i = 0; i < m; i++) {
      vf w = splat(weights[i * ldw + j]);
UNROLL
      for (int v = 0; v < nv; v++) acc[i][v] = fma_v(w, x[v], acc[i][v]);
    }
  }
UNROLL
  for (int i = 0; i < m; i++)
UNROLL
    for (int v = 0; v < nv; v++) store(to + i * ldt + v * VL, acc[i][v]);
}

INLINE void weigh_few(int m, float *to, long ldt, const float *weights, long ldw, const head_rows *values, const row_places *p, int load_c,
                      const rows_ahead *ahead, int bf16) {
  const rows_ahead none = {0};
  for (long e = 0; e < values->dim; e += 4 * VL, ahead = &none) {
    const char *base = (const char *)values->at + e * (bf16 ? 2 : 4);
    long left = (values->dim - e + VL - 1) / VL;
    if (left == 1) weigh_rows(m, 1, to + e, ldt, weights, ldw, base, p, load_c, ahead, bf16);
    else if (left == 2) weigh_rows(m, 2, to + e, ldt, weights, ldw, base, p, load_c, ahead, bf16);
    else if (left == 3) weigh_rows(m, 3, to + e, ldt, weights, ldw, base, p, load_c, ahead, bf16);
    else weigh_rows(m, 4, to + e, ldt, weights, ldw, base, p, load_c, ahead, bf16);
  }
}

#if FEW > 2
#define BY_QUERIES(m, call) m == 1 ? call(1) : m == 2 ? call(2) : m == 3 ? call(3) : call(4)
#else
#define BY_QUERIES(m, call) m == 1 ? call(1) : call(2)
#endif

void rz_score_few(long m, float *to, long ldt, const float *q, const head_rows *keys, const row_places *places, const rows_ahead *ahead) {
#define SCORE_BF16(m) score_few(m, to, ldt, q, keys, places, ahead, 1)
#define SCORE_F32(m) score_few(m, to, ldt, q, keys, places, ahead, 0)
  if (keys->bf16) BY_QUERIES(m, SCORE_BF16);
  else BY_QUERIES(m, SCORE_F32);
}

void rz_weigh_few(long m, float *to, long ldt, const float *weights, long ldw, const head_rows *values, const row_places *places, int load_c,
                  const rows_ahead *ahead) {
#define WEIGH_BF16(m) weigh_few(m, to, ldt, weights, ldw, values, places, load_c, ahead, 1)
#define WEIGH_F32(m) weigh_few(m, to, ldt, weights, ldw, values, places, load_c, ahead, 0)
  if (values->bf16) BY_QUERIES(m, WEIGH_BF16);
  else BY_QUERIES(m, WEIGH_F32);
}
