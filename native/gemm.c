// The three matrix products of a linear layer: y = x·wᵀ, dx = dy·w, dw += dyᵀ·x, all as C[M,N] (+)= A[M,K]·B[K,N].
// Exactness: each element of C is one chain of fused multiply-adds over k in ascending order. Blocks over k continue the chain by
// loading C; vector lanes run over n, never over k. So tiling, row count and threads cannot change a bit.
// B is read from panels of NR columns (packed here, or once per weight by rz_pack_weight); A row by row, or packed when transposed.
#include "rzero.h"
#include "simd.h"

#if VL == 16
#define MR 14
#elif VL == 8
#define MR 6
#else
#define MR 12
#endif
#define NR (2 * VL)
#define KC 384 // rows of B per block: a panel of KC · NR floats stays in the nearest caches
#define NC 512 // columns of B per block
#define SCRATCH_A (MR * KC + 2 * VL) // a packed tile of A and what whole vectors write past it

// c[mr, nv·VL] = (load ? c : 0) + a·b over k steps; a[i, p] at a[i·ars + p·acs], rows of b are ldb apart.
typedef void (*kernel)(long k, const float *a, long ars, long acs, const float *b, long ldb, float *c, long ldc, int load);

INLINE void micro(int mr, int nv, long k, const float *a, long ars, long acs, const float *b, long ldb, float *c, long ldc, int load_c) {
  vf acc[MR][2];
UNROLL
  for (int i = 0; i < mr; i++)
UNROLL
    for (int j = 0; j < nv; j++) acc[i][j] = load_c ? load(c + i * ldc + j * VL) : (vf){};
  for (long p = 0; p < k; p++, b += ldb, a += acs) {
    vf b0 = load(b), b1 = nv > 1 ? load(b + VL) : b0;
UNROLL
    for (int i = 0; i < mr; i++) {
      vf s = splat(a[i * ars]);
      acc[i][0] = fma_v(s, b0, acc[i][0]);
      if (nv > 1) acc[i][1] = fma_v(s, b1, acc[i][1]);
    }
  }
UNROLL
  for (int i = 0; i < mr; i++)
UNROLL
    for (int j = 0; j < nv; j++) store(c + i * ldc + j * VL, acc[i][j]);
}

// Kernels by height and width; the R form has acs = 1 (rows of A as they lie), the T form ars = 1 (A packed or transposed).
#define FORM(mr, nv)                                                                                                                   \
  static void r_##mr##_##nv(long k, const float *a, long ars, long acs, const float *b, long ldb, float *c, long ldc, int l) {         \
    (void)acs;                                                                                                                         \
    micro(mr, nv, k, a, ars, 1, b, ldb, c, ldc, l);                                                                                    \
  }                                                                                                                                    \
  static void t_##mr##_##nv(long k, const float *a, long ars, long acs, const float *b, long ldb, float *c, long ldc, int l) {         \
    (void)ars;                                                                                                                         \
    micro(mr, nv, k, a, 1, acs, b, ldb, c, ldc, l);                                                                                    \
  }
#define BOTH(mr) FORM(mr, 1) FORM(mr, 2)
BOTH(1) BOTH(2) BOTH(3) BOTH(4) BOTH(5) BOTH(6)
#if MR > 6
BOTH(7) BOTH(8) BOTH(9) BOTH(10) BOTH(11) BOTH(12)
#endif
#if MR > 12
BOTH(13) BOTH(14)
#endif
#define ROW(form, mr) {form##_##mr##_1, form##_##mr##_2}
#define ROWS6(form) ROW(form, 1), ROW(form, 2), ROW(form, 3), ROW(form, 4), ROW(form, 5), ROW(form, 6)
#define ROWS12(form) ROW(form, 7), ROW(form, 8), ROW(form, 9), ROW(form, 10), ROW(form, 11), ROW(form, 12)
#if MR == 6
#define TABLE(form) {ROWS6(form)}
#elif MR == 12
#define TABLE(form) {ROWS6(form), ROWS12(form)}
#else
#define TABLE(form) {ROWS6(form), ROWS12(form), ROW(form, 13), ROW(form, 14)}
#endif
static const kernel row_kernels[MR][2] = TABLE(r), packed_kernels[MR][2] = TABLE(t);

typedef struct {
  rz_context *ctx;
  long m, n, k;
  const float *a;
  long ars, acs; // A[i, p] at a[i·ars + p·acs]; one of them is 1
  const float *panels; // packed B, or NULL: pack from b
  const float *b;
  long ldb; // B[p, j] at b[p·ldb + j]
  const float *transposed; // or panels of Bᵀ, which has k rows
  float *c;
  const float *bias;
  int accumulate;
  long row_step, col_step, col_items; // an item covers row_step × col_step of C
} product;

static long min_long(long a, long b) { return a < b ? a : b; }

// Panels of rows [p0, p0 + kc), columns [j0, j0 + nc) of B, the last one padded with zeros.
static void pack_b(float *to, const product *g, long p0, long kc, long j0, long nc) {
  for (long j = 0; j < nc; j += NR) {
    long width = min_long(NR, nc - j);
    if (g->transposed) {
      for (long p = 0; p < kc; p++)
        for (long i = 0; i < NR; i++, to++)
          *to = i < width ? g->transposed[(p0 + p) / NR * NR * g->n + (j0 + j + i) * NR + (p0 + p) % NR] : 0.0f;
      continue;
    }
    const float *from = g->b + p0 * g->ldb + j0 + j;
    for (long p = 0; p < kc; p++, from += g->ldb, to += NR) {
      if (width == NR) {
        store(to, load(from));
        store(to + VL, load(from + VL));
      } else {
        memset(to, 0, NR * sizeof(float));
        memcpy(to, from, (size_t)width * sizeof(float));
      }
    }
  }
}

// A tile of mr columns that lie together (transposed A), k after k. Whole vectors are moved: what lies past mr is overwritten by
// the next step, and past the last one by nothing that is read (blocks of memory end in slack, see memory.c).
INLINE void pack_columns(float *to, const float *a, long acs, long mr, long kc, int vectors) {
  for (long p = 0; p < kc; p++, a += acs, to += mr)
UNROLL
    for (int v = 0; v < vectors; v++) store(to + v * VL, load(a + v * VL));
}

static void pack_a(float *to, const float *a, long acs, long mr, long kc) {
  if (mr <= VL) pack_columns(to, a, acs, mr, kc, 1);
  else if (mr <= 2 * VL) pack_columns(to, a, acs, mr, kc, 2);
  else pack_columns(to, a, acs, mr, kc, 3);
}

// One block of k: its part of A and C, and where B's panels lie.
typedef struct {
  long i0, i1, j0, nc, p0, kc;
  const float *panels;
  long panel_step, ldb; // from panel to panel, from row to row of a panel
  float *scratch; // for a packed tile of A
} block;

static void run_tile(kernel run, const block *b, const float *a, long ars, long acs, long j, float *c, long ldc, int load_c, long mr) {
  const float *panel = b->panels + j / NR * b->panel_step;
  long width = min_long(NR, b->nc - j);
  if (width % VL == 0) {
    run(b->kc, a, ars, acs, panel, b->ldb, c, ldc, load_c);
    return;
  }
  float tile[MR * NR] __attribute__((aligned(64))) = {0};
  for (long i = 0; load_c && i < mr; i++) memcpy(tile + i * NR, c + i * ldc, (size_t)width * sizeof(float));
  run(b->kc, a, ars, acs, panel, b->ldb, tile, NR, load_c);
  for (long i = 0; i < mr; i++) memcpy(c + i * ldc, tile + i * NR, (size_t)width * sizeof(float));
}

static void run_block(const product *g, const block *b) {
  int load_c = g->accumulate || b->p0 > 0;
  long height = b->i1 - b->i0, tiles = (height + MR - 1) / MR;
  for (long t = 0; t < tiles; t++) {
    // Heights as equal as can be, so that 16 rows are 8 + 8 and not 14 + 2.
    long i = b->i0 + t * height / tiles, mr = b->i0 + (t + 1) * height / tiles - i;
    const float *a = g->a + i * g->ars + b->p0 * g->acs;
    long ars = g->ars, acs = g->acs;
    const kernel *kernels = row_kernels[mr - 1];
    if (acs != 1) {
      pack_a(b->scratch, a, acs, mr, b->kc);
      a = b->scratch, ars = 1, acs = mr;
      kernels = packed_kernels[mr - 1];
    }
    for (long j = 0; j < b->nc; j += NR)
      run_tile(kernels[b->nc - j > VL], b, a, ars, acs, j, g->c + i * g->n + b->j0 + j, g->n, load_c, mr);
  }
}

static void run_item(void *arg, long item, int thread) {
  const product *g = arg;
  long i0 = item / g->col_items * g->row_step, i1 = min_long(i0 + g->row_step, g->m);
  long first = item % g->col_items * g->col_step, last = min_long(first + g->col_step, g->n);
  float *scratch_a = rz_scratch(g->ctx, thread), *scratch_b = scratch_a + SCRATCH_A;
  // Few rows do not repay packing B; whole panels can be read where they lie.
  int direct = g->b && i1 - i0 <= 2 * MR;
  for (long j0 = first; j0 < last; j0 += NC) {
    long nc = min_long(NC, last - j0), whole = direct ? nc / NR * NR : 0;
    for (long p0 = 0; p0 < g->k; p0 += KC) {
      block b = {i0, i1, j0, nc, p0, min_long(KC, g->k - p0), NULL, 0, NR, scratch_a};
      if (g->panels) {
        b.panels = g->panels + j0 * g->k + p0 * NR, b.panel_step = g->k * NR;
        run_block(g, &b);
        continue;
      }
      if (whole) {
        block w = b;
        w.nc = whole, w.panels = g->b + p0 * g->ldb + j0, w.panel_step = NR, w.ldb = g->ldb;
        run_block(g, &w);
      }
      if (whole < nc) {
        b.j0 += whole, b.nc -= whole, b.panels = scratch_b, b.panel_step = b.kc * NR;
        pack_b(scratch_b, g, p0, b.kc, b.j0, b.nc);
        run_block(g, &b);
      }
    }
  }
  for (long i = i0; g->bias && i < i1; i++)
    for (long j = first; j < last; j++) g->c[i * g->n + j] += g->bias[j];
}

static long round_up(long x, long step) { return (x + step - 1) / step * step; }

// Cuts C into items: about four per thread, by rows first, then by columns.
static int run_product(product *g) {
  if (g->m == 0 || g->n == 0) return RZ_OK;
  if (rz_reserve(g->ctx, (SCRATCH_A + (size_t)KC * NC) * sizeof(float)) != RZ_OK) return RZ_OUT_OF_MEMORY;
  double work = 2.0 * (double)g->m * (double)g->n * (double)g->k / 16;
  long threads = rz_threads(g->ctx), wanted = threads == 1 ? 1 : 4 * threads;
  g->row_step = round_up(g->m, MR), g->col_step = round_up(g->n, NR);
  if (threads > 1) {
    long row_items = min_long(wanted, (g->m + 4 * MR - 1) / (4 * MR));
    g->row_step = round_up((g->m + row_items - 1) / row_items, MR);
    long col_items = min_long((wanted + row_items - 1) / row_items, (g->n + NR - 1) / NR);
    if (row_items >= 2 * threads) col_items = 1;
    g->col_step = round_up((g->n + col_items - 1) / col_items, NR);
  }
  g->col_items = (g->n + g->col_step - 1) / g->col_step;
  long row_items = (g->m + g->row_step - 1) / g->row_step;
  rz_parallel(g->ctx, run_item, g, row_items * g->col_items, work);
  return RZ_OK;
}

int rz_vector_width(void) { return VL; }
size_t rz_packed_size(long out, long in) { return (size_t)(round_up(out, NR) * in); }

typedef struct {
  float *packed;
  const float *w;
  long out, in;
} packing;

static void pack_panel(void *arg, long panel, int thread) {
  (void)thread;
  packing *p = arg;
  float *to = p->packed + panel * NR * p->in;
  for (long j = 0; j < NR; j++) {
    long o = panel * NR + j;
    for (long k = 0; k < p->in; k++) to[k * NR + j] = o < p->out ? p->w[o * p->in + k] : 0.0f;
  }
}

void rz_pack_weight(rz_context *ctx, float *packed, const float *w, long out, long in) {
  packing p = {packed, w, out, in};
  rz_parallel(ctx, pack_panel, &p, (out + NR - 1) / NR, (double)out * (double)in);
}

int rz_linear(rz_context *ctx, float *y, const float *x, const float *packed, const float *bias, long rows, long out, long in,
              int accumulate) {
  product g = {.ctx = ctx, .m = rows, .n = out, .k = in, .a = x, .ars = in, .acs = 1, .panels = packed, .c = y, .bias = bias, .accumulate = accumulate};
  return run_product(&g);
}

int rz_linear_backward_input(rz_context *ctx, float *dx, const float *dy, const float *packed, long rows, long out, long in, int accumulate) {
  product g = {.ctx = ctx, .m = rows, .n = in, .k = out, .a = dy, .ars = out, .acs = 1, .transposed = packed, .c = dx, .accumulate = accumulate};
  return run_product(&g);
}

int rz_linear_backward_weight(rz_context *ctx, float *dw, const float *dy, const float *x, long rows, long out, long in) {
  product g = {.ctx = ctx, .m = out, .n = in, .k = rows, .a = dy, .ars = 1, .acs = out, .b = x, .ldb = in, .c = dw, .accumulate = 1};
  if (out == 1) g.acs = 1, g.ars = 1; // a column of one is a row
  return run_product(&g);
}

typedef struct {
  float *dbias;
  const float *dy;
  long rows, out;
} bias_job;

static void bias_item(void *arg, long item, int thread) {
  (void)thread;
  bias_job *b = arg;
  long j0 = item * 64, j1 = min_long(j0 + 64, b->out);
  for (long r = 0; r < b->rows; r++)
    for (long j = j0; j < j1; j++) b->dbias[j] += b->dy[r * b->out + j];
}

void rz_bias_backward(rz_context *ctx, float *dbias, const float *dy, long rows, long out) {
  bias_job b = {dbias, dy, rows, out};
  rz_parallel(ctx, bias_item, &b, (out + 63) / 64, (double)rows * (double)out / 4);
}
