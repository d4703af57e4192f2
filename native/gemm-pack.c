// Packing for the matrix products: matrices as they lie in memory become tiles and panels of cells, one step of K after the other.
// Rows are transposed VL × VL cells at a time in registers. Knows nothing of what is multiplied.
#include "gemm.h"

#define ROW_AHEAD 64 // floats of a row that are fetched before they are needed

// Lane i: (bf16 of low[i]) | (bf16 of high[i]) << 16.
INLINE vf zip(vf low, vf high) {
#if BF16_DOT && VL == 16
  typedef short words __attribute__((vector_size(64)));
  const words order = {0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  return (vf)_mm512_permutexvar_epi16((__m512i)order, (__m512i)_mm512_cvtne2ps_pbh((__m512)high, (__m512)low));
#else
  return (vf)(__builtin_convertvector(to_bf16_v(low), vu) | __builtin_convertvector(to_bf16_v(high), vu) << 16);
#endif
}

#if VL == 16
#define EVEN 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define ODD 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#elif VL == 8
#define EVEN 0, 2, 4, 6, 8, 10, 12, 14
#define ODD 1, 3, 5, 7, 9, 11, 13, 15
#else
#define EVEN 0, 2, 4, 6
#define ODD 1, 3, 5, 7
#endif

// The 2·VL neighbours of a, b as bf16, in order.
INLINE vf narrow(vf a, vf b) {
#if BF16_DOT && VL == 16
  return (vf)_mm512_cvtne2ps_pbh((__m512)b, (__m512)a);
#else
  return zip(SHUFFLE(a, b, EVEN), SHUFFLE(a, b, ODD));
#endif
}

// VL cells of a row from a step on. `inside`: all of them exist; else zeros follow the row's end.
INLINE vf row_cells(int format, rz_source_kind kind, const rz_source *s, long row, long step, int inside) {
  long e = format == RZ_F32 ? step : 2 * step, left = s->length - e;
  if (kind == ROWS_BF16) {
    const bf16 *at = (const bf16 *)s->from + row * s->stride + e;
    if (format == RZ_F32) return inside ? from_bf16_v(load_bf16(at)) : from_bf16_only(at, left);
    bf16 part[2 * VL] = {0};
    if (!inside && left > 0) memcpy(part, at, (size_t)rz_min(left, 2 * VL) * sizeof part[0]);
    return load((const float *)(inside ? at : part));
  }
  const float *at = (const float *)s->from + row * s->stride + e;
  __builtin_prefetch(at + ROW_AHEAD, 0, 2);
  if (format == RZ_BF16) __builtin_prefetch(at + ROW_AHEAD + 16, 0, 2);
  if (format == RZ_F32) return inside ? load(at) : load_only(at, left);
  return inside ? narrow(load(at), load(at + VL)) : narrow(load_only(at, left), load_only(at + VL, left - VL));
}

// Rows [row, row + VL) of a source, of which `count` are wanted, VL steps each, into t. Past them `zeros`, or the last one again.
INLINE void load_block(int format, rz_source_kind kind, vf t[VL], const rz_source *s, long row, long count, long step, int inside, int zeros) {
  if (kind != PANELS) {
    for (long r = count; zeros && r < VL; r++) t[r] = (vf){};
    if (zeros) {
      for (long r = 0; r < count; r++) t[r] = row_cells(format, kind, s, row + r, step, inside);
      return;
    }
UNROLL
    for (int r = 0; r < VL; r++) t[r] = row_cells(format, kind, s, row + rz_min(r, count - 1), step, inside);
    return;
  }
  if (format == RZ_F32) {
    const float *panel = (const float *)s->from + step / NR * NR * s->stride + step % NR;
UNROLL
    for (int r = 0; r < VL; r++) {
      const float *at = panel + (row + rz_min(r, count - 1)) * NR;
      __builtin_prefetch(at + 2 * NR * s->stride);
      t[r] = load(at);
    }
    return;
  }
  // A panel holds pairs along the weight's rows; wanted are pairs along its columns.
  long height = (s->stride + 1) / 2;
  const float *panel = (const float *)s->from + step / VL * NR * height;
UNROLL
  for (int r = 0; r < VL; r += 2) {
    const float *at = panel + (row + rz_min(r, count - 1)) / 2 * NR;
    __builtin_prefetch(at + 2 * NR * height);
    __builtin_prefetch(at + 2 * NR * height + VL);
    vf a = load(at), b = load(at + VL);
    vu even = (vu)SHUFFLE(a, b, EVEN), odd = (vu)SHUFFLE(a, b, ODD);
    t[r] = (vf)((even & 0xffff) | odd << 16);
    t[r + 1] = (vf)(even >> 16 | (odd & 0xffff0000));
  }
}

// A block of VL rows and `n` steps, or fewer rows.
INLINE void pack_block(int format, rz_source_kind kind, cell *to, long ld, const rz_source *s, long row, long count, long step, long n,
                       int inside, int zeros) {
  vf t[VL];
  load_block(format, kind, t, s, row, count, step, inside, zeros);
  transpose(t);
  if (n == VL) {
UNROLL
    for (int i = 0; i < VL; i++) store(to + i * ld, t[i]);
  } else {
    for (long i = 0; i < n; i++) store(to + i * ld, t[i]);
  }
}

INLINE void pack_rows(int format, rz_source_kind kind, cell *to, long ld, const rz_source *s, long row, long count, long first, long steps) {
  int zeros = ld == NR; // panels end in columns of zeros; nothing reads past a tile
  for (long p = 0; p < steps; p += VL) {
    long n = rz_min(VL, steps - p), end = (first + p + VL) * (format == RZ_F32 ? 1 : 2);
    int inside = kind == PANELS || end <= s->length;
    // The last vectors first: what they write past the tile is the next steps' beginning.
    for (long q = (count - 1) / VL * VL; q >= 0; q -= VL) {
      long here = rz_min(count - q, VL);
      cell *at = to + p * ld + q;
      if (inside && (here == VL || !zeros)) pack_block(format, kind, at, ld, s, row + q, here, first + p, n, 1, 0);
      else pack_block(format, kind, at, ld, s, row + q, here, first + p, n, inside, zeros && here < VL);
    }
  }
}

// One row needs no transpose.
static void pack_row(int format, cell *to, const rz_source *s, long row, long first, long steps) {
  for (long p = 0; p < steps; p += VL) store_upto(to + p, row_cells(format, ROWS_F32, s, row, first + p, 0), steps - p);
}

// One step of columns.
INLINE vf column_cells(int format, const rz_source *s, long column, long step, long count) {
  const float *at = (const float *)s->from + column;
  if (format == RZ_F32) return load_only(at + step * s->stride, count);
  vf low = load_only(at + 2 * step * s->stride, count);
  vf high = 2 * step + 1 < s->length ? load_only(at + (2 * step + 1) * s->stride, count) : (vf){};
  return zip(low, high);
}

// Line by line as the source lies: each tile is written on where the line before left it.
INLINE void pack_columns(int format, cell *to, long distance, long ld, long width, const rz_source *s, long row, long count, long first,
                         long steps) {
  long ahead = s->stride * 4;
  for (long p = 0; p < steps; p++) {
    const float *line = (const float *)s->from + (first + p) * (format == RZ_BF16 ? 2 : 1) * s->stride + row;
    cell *tile = to + p * ld;
    for (long i = 0; i < count; i += width, tile += distance) {
      __builtin_prefetch(line + i + ahead);
      if (format == RZ_BF16) __builtin_prefetch(line + i + ahead + s->stride);
      else if (width > 16) __builtin_prefetch(line + i + ahead + 16);
      long here = rz_min(width, count - i);
      if (here >= width && width == NR) {
        store(tile, column_cells(format, s, row + i, first + p, VL)), store(tile + VL, column_cells(format, s, row + i + VL, first + p, VL));
        continue;
      }
      for (long q = 0; q < here; q += VL) store(tile + q, column_cells(format, s, row + i + q, first + p, here - q));
    }
  }
}

void rz_pack(int format, cell *to, long ld, const rz_source *s, long row, long count, long first, long steps) {
  if (format == RZ_INT8) format = RZ_F32;
  if (s->kind == ROWS_F32 && count == 1 && ld == 1) pack_row(format, to, s, row, first, steps);
  else if (s->kind == ROWS_F32 && format == RZ_F32) pack_rows(RZ_F32, ROWS_F32, to, ld, s, row, count, first, steps);
  else if (s->kind == ROWS_F32) pack_rows(RZ_BF16, ROWS_F32, to, ld, s, row, count, first, steps);
  else if (s->kind == ROWS_BF16 && format == RZ_F32) pack_rows(RZ_F32, ROWS_BF16, to, ld, s, row, count, first, steps);
  else if (s->kind == ROWS_BF16) pack_rows(RZ_BF16, ROWS_BF16, to, ld, s, row, count, first, steps);
  else if (s->kind == PANELS && format == RZ_F32) pack_rows(RZ_F32, PANELS, to, ld, s, row, count, first, steps);
  else if (s->kind == PANELS) pack_rows(RZ_BF16, PANELS, to, ld, s, row, count, first, steps);
  else rz_pack_tiles(format, to, 0, ld, count, s, row, count, first, steps);
}

void rz_pack_tiles(int format, cell *to, long distance, long ld, long width, const rz_source *s, long row, long count, long first, long steps) {
  if (format == RZ_INT8) format = RZ_F32;
  if (s->kind != COLUMNS_F32) {
    for (long i = 0; i < count; i += width, to += distance) rz_pack(format, to, ld, s, row + i, rz_min(width, count - i), first, steps);
  } else if (format == RZ_F32) pack_columns(RZ_F32, to, distance, ld, width, s, row, count, first, steps);
  else pack_columns(RZ_BF16, to, distance, ld, width, s, row, count, first, steps);
}

void rz_pack_tiling(int format, cell *to, const rz_tiling *t, const rz_source *source, long row, long rows, long first, long steps) {
  long h = t->height, upper = t->high * h, distance = rz_tile_distance(h, steps);
  rz_pack_tiles(format, to, distance, h, h, source, row, upper, first, steps);
  if (upper == rows) return;
  rz_pack_tiles(format, to + t->high * distance, rz_tile_distance(h - 1, steps), h - 1, h - 1, source, row + upper, rows - upper, first, steps);
}
