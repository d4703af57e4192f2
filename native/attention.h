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

// Rows that will be read soon: n of them, `size` bytes each, `stride` bytes apart.
typedef struct {
  const char *at;
  long stride, size, n;
} rows_ahead;

INLINE rows_ahead rz_rows_ahead(const head_rows *rows, long first, long n) {
  long bytes = rows->bf16 ? 2 : 4;
  return (rows_ahead){(const char *)rows->at + first * rows->stride * bytes, rows->stride * bytes, rows->dim * bytes, n};
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

// to[i · ldt + j] = q[i]·row first + j, for i < m, m up to FEW, and j < n: as rz_tiles from packed keys, but without packing them.
// Fetches what lies ahead as it goes.
void rz_score_few(long m, float *to, long ldt, const float *q, const head_rows *keys, long first, long n, const rows_ahead ahead[2]);

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
