// What attention's forward and backward share: register tiles of small matrix products, and keys or values packed as their panels.
// Every element of a product is one chain of fused multiply-adds over k in ascending order, so how queries and keys are cut into
// tiles, and which rows stand together, cannot change a bit.
// Legend: a "query" is one query row of one head; those of the heads that share a key/value head lie together, row after row.
#ifndef RZERO_ATTENTION_H
#define RZERO_ATTENTION_H
#include "rzero.h"
#include "simd.h"

#if VL == 16
#define TILE_ROWS 14
#define FEW 4
#elif VL == 8
#define TILE_ROWS 6
#define FEW 2
#else
#define TILE_ROWS 12
#define FEW 4
#endif
#define PANEL (2 * VL)       // columns of a tile
#define WIDE_PANEL (4 * VL)  // columns of a tile of at most FEW rows
#define QUERY_BLOCK 128      // queries that read keys together
#define KEY_BLOCK 128        // keys whose scores are held at a time; a multiple of LANES
#define SCORE_STRIDE (KEY_BLOCK + VL) // a tile may write up to VL - 1 columns past its keys

// Keys or values of one head: row j starts `stride` · j elements after `at`.
typedef struct {
  const void *at;
  long stride, dim;
  int bf16;
} head_rows;

// Rows that some queries see, as bytes from the first row of their buffer. The last one is repeated VL times.
typedef struct {
  long n, at[KEY_BLOCK + VL];
} row_places;

// Adds n rows from `first` on, if any.
INLINE void rz_add_places(row_places *p, const head_rows *rows, long first, long n) {
  long bytes = rows->stride * (rows->bf16 ? 2 : 4);
  if (n <= 0) return;
  for (long j = 0; j < n; j++) p->at[p->n + j] = (first + j) * bytes;
  p->n += n;
  for (long j = 0; j < VL; j++) p->at[p->n + j] = p->at[p->n - 1];
}

// Rows that will be read soon; `rows` may be NULL: none.
typedef struct {
  const head_rows *rows;
  const row_places *places;
} rows_ahead;

// Asks for rows [j, j + count), as far as there are so many: into L2, as rows are often a power of two apart and would evict each other from L1.
INLINE void rz_fetch(const rows_ahead *a, long j, long count) {
  if (!a->rows) return;
  const char *base = a->rows->at;
  long size = a->rows->dim * (a->rows->bf16 ? 2 : 4);
  for (long end = j + count < a->places->n ? j + count : a->places->n; j < end; j++)
    for (long line = 0; line < size; line += 64) __builtin_prefetch(base + a->places->at[j] + line, 0, 2);
}

// C[mr, nv · VL] = (load ? C : 0) + A·B over k steps; B is [k, ·] with rows ldb apart.
typedef void (*tile_kernel)(long k, const float *a, long lda, const float *b, long ldb, float *c, long ldc, int load);

tile_kernel rz_tile(long mr, long nv);            // A[i, p] at a[i · lda + p]; nv 3 and 4 only for mr up to FEW
tile_kernel rz_tile_transposed(long mr, long nv); // A[i, p] at a[i + p · lda]; nv 1 and 2

// C[m, nv · VL] (+)= A·B in tiles of as equal heights as can be.
void rz_tiles(long m, long nv, long k, const float *a, long lda, const float *b, long ldb, float *c, long ldc, int load);

// to[e · width + j] = row first + j, element e, for j < n; columns from n to the next multiple of VL repeat the last row.
void rz_pack_keys(float *to, long width, const head_rows *from, long first, long n);
// to[j · width + c] = row first + j, element e + c, for c < width; 0 past the last element.
void rz_pack_values(float *to, long width, const head_rows *from, long first, long n, long e);

// to[i · ldt + j] = q[i]·row j of the places, for i < m, m up to FEW: as rz_tiles from packed keys, but without packing them.
// Writes up to VL - 1 columns more. Fetches what lies ahead as it goes.
void rz_score_few(long m, float *to, long ldt, const float *q, const head_rows *keys, const row_places *places, const rows_ahead *ahead);
// to[i · ldt + e] (+)= Σ_j weights[i · ldw + j] · row j of the places, element e: as rz_tiles from packed values. Up to the next multiple
// of VL, elements past the last one come out as anything.
void rz_weigh_few(long m, float *to, long ldt, const float *weights, long ldw, const head_rows *values, const row_places *places, int load,
                  const rows_ahead *ahead);

// Lane i of the result is the largest lane of x[i], i < VL.
INLINE vf max_lanes_each(const vf x[VL]) {
  vf y[VL / 4];
UNROLL
  for (int q = 0; q < VL / 4; q++) { // lane block b of y[q] holds what is left of block b of rows 4 q to 4 q + 3
    vf a = max_v(LOW(x[4 * q], x[4 * q + 1]), HIGH(x[4 * q], x[4 * q + 1]));
    vf c = max_v(LOW(x[4 * q + 2], x[4 * q + 3]), HIGH(x[4 * q + 2], x[4 * q + 3]));
    y[q] = max_v(LOW2(a, c), HIGH2(a, c));
  }
#if VL == 16
  vf a = max_v(BLOCKS01(y[0], y[1]), BLOCKS23(y[0], y[1])), c = max_v(BLOCKS01(y[2], y[3]), BLOCKS23(y[2], y[3]));
  return max_v(BLOCKS02(a, c), BLOCKS13(a, c));
#elif VL == 8
  return max_v(SHUFFLE(y[0], y[1], 0, 1, 2, 3, 8, 9, 10, 11), SHUFFLE(y[0], y[1], 4, 5, 6, 7, 12, 13, 14, 15));
#else
  return y[0];
#endif
}

INLINE long least(long a, long b) { return a < b ? a : b; }
INLINE long most(long a, long b) { return a > b ? a : b; }
INLINE long round_to(long x, long step) { return (x + step - 1) / step * step; }

// Element type and place of one key/value head in a buffer [*, K, E].
INLINE head_rows rows_of_head(const void *buffer, long kv, long kv_heads, long dim, int bf16) {
  return (head_rows){(const char *)buffer + kv * dim * (bf16 ? 2 : 4), kv_heads * dim, dim, bf16};
}
#endif
