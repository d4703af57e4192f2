// What the files of the matrix products share. All three are C[M, N] (+)= A[M, K]·B[K, N] over packed cells of 32 bits: a float, or a
// pair of bf16 that are neighbours along K. `steps` counts cells along K. B lies in panels of NR columns, A in tiles of at most MR rows,
// both one step after the other; an int8 panel has one byte per step and column instead.
#ifndef RZERO_GEMM_H
#define RZERO_GEMM_H
#include "rzero.h"
#include "bf16.h"

#if VL == 16
#define MR 14
#elif VL == 8
#define MR 6
#else
#define MR 12
#endif
#define NR (2 * VL)

typedef float cell; // 32 bits that only ever move through vectors

// out[height, columns] = (in ? in : 0) + a·b. Panels of b are `panel_step` cells (int8: bytes) apart. Fetched ahead on
// the way: next_in, from where the next tile is loaded, or NULL; and `lines` times `stride` bytes, 64 or 128, from `following` on.
typedef struct {
  const float *in, *next_in;
  float *out;
  long ld_in, ld_out;
  const char *following;
  long lines, stride;
  int stream; // out is whole aligned lines that nobody reads soon: past the caches, so that they are not read first
  long ahead; // bytes by which panels are fetched ahead while they are read: where they come from memory, else 0
} rz_tile;
typedef void (*rz_gemm_kernel)(long steps, const cell *a, const void *b, long panel_step, const rz_tile *tile);
// Kernel for a tile of `height` rows by `vectors` vectors: 1, 2, or 2·rz_gemm_panels(height).
rz_gemm_kernel rz_gemm_kernel_of(int format, long height, long vectors);
// Panels that the widest kernel of this height takes at once: a low tile needs width to keep the multipliers busy.
long rz_gemm_panels(long height);

// Where cells are packed from.
typedef enum {
  ROWS_F32, // row i at f32 + i·stride, along K
  ROWS_BF16, // the same in bf16
  COLUMNS_F32, // row i is a column: element p at f32[p·stride + i]
  PANELS, // f32 or bf16 panels of a weight [stride, N], read as its transpose; rows are the weight's columns
} rz_source_kind;
typedef struct {
  rz_source_kind kind;
  const void *from;
  long stride;
  long length; // elements along K
} rz_source;

// Rows [row, row + count) of a source, steps [first, first + steps), as to[step·ld + i]; lanes of whole vectors past `count` are
// zeros or, within the next VL cells, unspecified until overwritten by the next step. `ld` ≥ count. PANELS needs `first` at a
// multiple of NR (f32) or VL (bf16).
void rz_pack(int format, cell *to, long ld, const rz_source *source, long row, long count, long first, long steps);
// The same as tiles or panels of `width` rows each (the last may have fewer), `distance` cells apart: reads columns line by line.
void rz_pack_tiles(int format, cell *to, long distance, long ld, long width, const rz_source *source, long row, long count, long first,
                   long steps);

#define STREAMED (1L << 18) // elements that no cache keeps until they are read again
// To memory past the caches; p is at a multiple of a line. `stream_end` before others may read it.
INLINE void stream_v(float *p, vf x) {
#if VL == 16
  _mm512_stream_ps(p, (__m512)x);
#else
  store(p, x);
#endif
}
INLINE void stream_end(void) {
#if VL == 16
  _mm_sfence();
#endif
}

static inline long rz_min(long a, long b) { return a < b ? a : b; }
static inline long rz_max(long a, long b) { return a > b ? a : b; }
static inline long rz_round_up(long x, long step) { return (x + step - 1) / step * step; }
static inline long rz_steps(int format, long k) { return format == RZ_BF16 ? (k + 1) / 2 : k; }
// Tiles of at most MR rows, as equal as can be: the first `high` have `height` rows, the others one less.
typedef struct {
  long count, height, high;
} rz_tiling;
static inline rz_tiling rz_tiles_of(long rows) {
  long count = (rows + MR - 1) / MR, height = (rows + count - 1) / count;
  return (rz_tiling){count, height, rows - count * (height - 1)};
}
// Cells of a packed tile: no tile begins where the vector that ends another one may still write.
static inline long rz_tile_distance(long height, long steps) { return height * steps + VL; }
// Rows [row, row + rows) of a source as tiles, for steps [first, first + steps).
void rz_pack_tiling(int format, cell *to, const rz_tiling *t, const rz_source *source, long row, long rows, long first, long steps);

// What comes after the last step, for columns of C from `out` of a tile on: int8 scales, the value that was there, the bias.
typedef struct {
  const float *scales, *bias; // of the tile's columns, or NULL
  int add;                    // to what is there
} rz_finish;
// One tile of `height` rows and `width` columns. Where the width is no whole number of vectors or something comes after, it goes by way of
// memory of its own. `from_c`, `to_c`: sums come from C or go to C (`t->in`, `t->out`), where only `width` columns may be touched.
void rz_run_tile(int format, long steps, const cell *a, const void *panel, long panel_step, long width, long height, int from_c, int to_c,
                 const rz_finish *finish, const rz_tile *t);

#define FEW_ROWS (4 * MR) // up to here B is streamed from memory
#define BLOCK_STEPS 1024 // steps of a block: where a tile ends, the multipliers wait for its sums, so blocks are long
#define A_STEPS (9 * 1024) // tiles × steps of packed A: MR times as many cells, half of L2
#define TILES 18 // of packed A, at most

// y[rows, out] (+)= x[rows, in]·wᵀ (+ bias) for weights that are multiplied with the same x.
typedef struct {
  float *y;
  const void *packed;
  const float *bias;
  long out;
} rz_weight;
#define WEIGHTS 3 // at once, at most
// Whether rz_multiply_few may be asked: all of A is packed at once.
static inline int rz_is_few(int format, long rows, long in) {
  long steps = rz_steps(format, in);
  return rows <= FEW_ROWS || (format != RZ_INT8 && steps <= BLOCK_STEPS && rows * steps <= A_STEPS * MR);
}
int rz_multiply_few(rz_context *ctx, const rz_weight *weights, long count, const float *x, long rows, long in, int accumulate, int format);

// Scales of an int8 weight [out, in], after its panels.
static inline size_t rz_scales_at(long out, long in) { return (size_t)rz_round_up(rz_round_up(out, NR) * in, 64); }
#endif
