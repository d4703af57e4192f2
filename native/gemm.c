// The three matrix products of a linear layer: y = x·wᵀ, dx = dy·w, dw += dyᵀ·x, all as C[M,N] (+)= A[M,K]·B[K,N].
// Exactness: each element of C is one chain over k in ascending order (gemm-kernels.c). Blocks over k continue the chain by loading C,
// so tiling, row count and threads cannot change a bit.
// Loops from the outside (as in BLIS): blocks of k, blocks of rows (A packed, in L2), panels of B (in L1), tiles of A.
#include "gemm.h"

#define KC 256 // steps per block: a panel of KC · NR cells stays in L1
#define A_CELLS (96L * 1024) // of packed A
#define B_CELLS (256L * 1024) // of packed B

typedef struct {
  rz_context *ctx;
  int format;
  long m, n, k, steps;
  rz_source a;
  const void *panels; // packed B (int8: and its scales), or NULL: pack from b
  rz_source b;
  float *c;
  const float *bias;
  int accumulate;
  long kc, a_cells; // steps per block, scratch for packed A
  long row_step, col_step, col_items; // an item covers row_step × col_step of C
} product;

// Rows of A packed for some steps, and what of C they are multiplied into.
typedef struct {
  const product *g;
  long i0, rows, tiles, height, high; // the first `high` tiles have `height` rows, the others one less
  long p0, steps;
  cell *a;
} row_block;

static long tile_row(const row_block *b, long t) { return t * b->height - (t > b->high ? t - b->high : 0); }
static long tile_distance(const row_block *b, long height) { return height * b->steps + VL; }

static void pack_rows_of_a(row_block *b) {
  const product *g = b->g;
  b->tiles = (b->rows + MR - 1) / MR, b->height = (b->rows + b->tiles - 1) / b->tiles, b->high = b->rows - b->tiles * (b->height - 1);
  long h = b->height, first = b->high * h;
  rz_pack_tiles(g->format, b->a, tile_distance(b, h), h, h, &g->a, b->i0, first, b->p0, b->steps);
  if (first == b->rows) return;
  cell *rest = b->a + b->high * tile_distance(b, h);
  rz_pack_tiles(g->format, rest, tile_distance(b, h - 1), h - 1, h - 1, &g->a, b->i0 + first, b->rows - first, b->p0, b->steps);
}

// What comes after the last step: int8 scales, the value that was there, the bias.
static void finish(const product *g, float *c, const float *from, long ldf, long height, long j, long width) {
  const float *scales = g->format == RZ_INT8 ? (const float *)((const char *)g->panels + rz_scales_at(g->n, g->k)) + j : NULL;
  for (long i = 0; i < height; i++, c += g->n, from += ldf)
    for (long q = 0; q < width; q++) {
      float x = scales ? from[q] * scales[q] : from[q];
      if (scales && g->accumulate) x += c[q];
      c[q] = g->bias ? x + g->bias[j + q] : x;
    }
}

// One tile of C, `width` columns from j on, over the steps of the block.
static void run_tile(const row_block *b, const cell *a, long i, long height, const void *panel, long panel_step, long j, long width,
                     const float *next) {
  const product *g = b->g;
  long vectors = (width + VL - 1) / VL;
  rz_gemm_kernel run = rz_gemm_kernel_of(g->format, height, vectors);
  float *c = g->c + i * g->n + j;
  int last = b->p0 + b->steps == g->steps, load_c = g->accumulate || b->p0 > 0;
  int scaled = g->format == RZ_INT8;
  if (width % VL == 0 && !scaled) {
    run(b->steps, a, panel, panel_step, c, g->n, next, load_c);
    if (last && g->bias) finish(g, c, c, g->n, height, j, width);
    return;
  }
  float part[MR * 4 * NR] __attribute__((aligned(64)));
  long ld = vectors * VL;
  for (long r = 0; r < height; r++) {
    memset(part + r * ld, 0, (size_t)ld * sizeof(float));
    if (load_c && !scaled) memcpy(part + r * ld, c + r * g->n, (size_t)width * sizeof(float));
  }
  run(b->steps, a, panel, panel_step, part, ld, part, load_c && !scaled);
  if (scaled || (last && g->bias)) finish(g, c, part, ld, height, j, width);
  else
    for (long r = 0; r < height; r++) memcpy(c + r * g->n, part + r * ld, (size_t)width * sizeof(float));
}

// All tiles of the block with the panels of columns [j, j + width).
static void run_panels(const row_block *b, const void *panel, long panel_step, long j, long width) {
  for (long t = 0; t < b->tiles; t++) {
    long i = tile_row(b, t), height = b->height - (t >= b->high);
    const cell *a = b->a + rz_min(t, b->high) * tile_distance(b, b->height) +
                    (t > b->high ? (t - b->high) * tile_distance(b, b->height - 1) : 0);
    const float *here = b->g->c + (b->i0 + i) * b->g->n + j;
    const float *next = t + 1 < b->tiles ? here + height * b->g->n : b->g->c + b->i0 * b->g->n + j + width;
    run_tile(b, a, b->i0 + i, height, panel, panel_step, j, width, next);
  }
}

// Columns [j0, j0 + nc) of the block. `packed`: panels of these steps in scratch; `lazy`: scratch for one panel, filled as it is needed.
static void run_columns(row_block *b, long j0, long nc, const cell *packed, cell *lazy) {
  const product *g = b->g;
  pack_rows_of_a(b);
  long together = g->panels && b->tiles == 1 ? rz_gemm_panels(b->height) : 1;
  for (long j = j0; j < j0 + nc;) {
    long width = rz_min(NR * together, j0 + nc - j);
    if (width > NR && width < NR * together) width = NR;
    if (g->panels) {
      long at = j * g->steps + b->p0 * NR; // cells, or bytes of int8
      const void *panel = g->format == RZ_INT8 ? (const char *)g->panels + at : (const char *)((const cell *)g->panels + at);
      run_panels(b, panel, g->steps * NR, j, width);
    } else if (lazy) {
      rz_pack(g->format, lazy, NR, &g->b, j, width, b->p0, b->steps);
      run_panels(b, lazy, 0, j, width);
    } else run_panels(b, packed + (j - j0) * b->steps, 0, j, width);
    j += width;
  }
}

static void run_item(void *arg, long item, int thread) {
  const product *g = arg;
  long i0 = item / g->col_items * g->row_step, rows = rz_min(g->row_step, g->m - i0);
  long first = item % g->col_items * g->col_step, cols = rz_min(g->col_step, g->n - first);
  cell *scratch_a = rz_scratch(g->ctx, thread), *scratch_b = scratch_a + g->a_cells;
  long most = rz_min(rows, (g->a_cells - 2 * MR * VL) / g->kc / MR * MR), blocks = (rows + most - 1) / most;
  long mc = rz_min(rows, rz_round_up((rows + blocks - 1) / blocks, MR));
  int once = mc == rows; // then each panel of B is needed only once
  long nc = g->panels || once ? cols : rz_min(cols, B_CELLS / g->kc / NR * NR);
  for (long j0 = first; j0 < first + cols; j0 += nc) {
    long here = rz_min(nc, first + cols - j0);
    for (long p0 = 0; p0 < g->steps; p0 += g->kc) {
      long steps = rz_min(g->kc, g->steps - p0);
      if (!g->panels && !once) rz_pack_tiles(g->format, scratch_b, steps * NR, NR, NR, &g->b, j0, here, p0, steps);
      for (long i = 0; i < rows; i += mc) {
        row_block b = {.g = g, .i0 = i0 + i, .rows = rz_min(mc, rows - i), .p0 = p0, .steps = steps, .a = scratch_a};
        run_columns(&b, j0, here, scratch_b, once ? scratch_b : NULL);
      }
    }
  }
}

// Cuts C into items: about four per thread, by rows first, then by columns.
static void cut(product *g) {
  double work = 2.0 * (double)g->m * (double)g->n * (double)g->k;
  long threads = rz_threads(g->ctx), wanted = threads == 1 ? 1 : 4 * threads;
  if (work / 2e6 < (double)wanted) wanted = (long)(work / 2e6) + 1;
  g->row_step = rz_round_up(g->m, MR), g->col_step = rz_round_up(g->n, NR);
  if (wanted > 1) {
    long row_items = rz_min(wanted, (g->m + 8 * MR - 1) / (8 * MR));
    g->row_step = rz_round_up((g->m + row_items - 1) / row_items, MR);
    long col_items = rz_min((wanted + row_items - 1) / row_items, (g->n + NR - 1) / NR);
    g->col_step = rz_round_up((g->n + col_items - 1) / col_items, NR);
  }
  g->col_items = (g->n + g->col_step - 1) / g->col_step;
}

static int run_product(product *g) {
  if (g->m == 0 || g->n == 0) return RZ_OK;
  g->steps = rz_steps(g->format, g->k);
  if (g->k == 0) {
    // The empty chain.
    for (long i = 0; i < g->m; i++)
      for (long j = 0; j < g->n; j++) g->c[i * g->n + j] = (g->accumulate ? g->c[i * g->n + j] : 0.0f) + (g->bias ? g->bias[j] : 0.0f);
    return RZ_OK;
  }
  long blocks = (g->steps + KC - 1) / KC;
  g->kc = rz_round_up((g->steps + blocks - 1) / blocks, NR);
  // A single tile leaves nothing in L1 to come back to: it streams B as it lies. Int8 sums are scaled once, so never cut.
  if (g->format == RZ_INT8 || (g->m <= MR && g->panels)) g->kc = rz_round_up(g->steps, NR);
  if (g->format != RZ_INT8) g->kc = rz_min(g->kc, A_CELLS / MR / NR * NR - NR);
  g->a_cells = A_CELLS > MR * (g->kc + 2 * VL) ? A_CELLS : MR * (g->kc + 2 * VL);
  size_t cells = (size_t)(g->a_cells + (g->panels ? 0 : B_CELLS));
  if (rz_reserve(g->ctx, cells * sizeof(cell)) != RZ_OK) return RZ_OUT_OF_MEMORY;
  cut(g);
  long row_items = (g->m + g->row_step - 1) / g->row_step;
  rz_parallel(g->ctx, run_item, g, row_items * g->col_items, 2.0 * (double)g->m * (double)g->n * (double)g->k / 16);
  return RZ_OK;
}

int rz_linear(rz_context *ctx, float *y, const float *x, const void *packed, const float *bias, long rows, long out, long in,
              int accumulate, int format) {
  product g = {.ctx = ctx, .format = format, .m = rows, .n = out, .k = in, .panels = packed, .c = y, .bias = bias, .accumulate = accumulate};
  g.a = (rz_source){ROWS_F32, x, in, in};
  return run_product(&g);
}

int rz_linear_backward_input(rz_context *ctx, float *dx, const float *dy, const void *packed, long rows, long out, long in, int accumulate,
                             int format) {
  product g = {.ctx = ctx, .format = format, .m = rows, .n = in, .k = out, .c = dx, .accumulate = accumulate};
  g.a = (rz_source){ROWS_F32, dy, out, out};
  g.b = (rz_source){PANELS, packed, in, out};
  return run_product(&g);
}

int rz_linear_backward_weight(rz_context *ctx, float *dw, const float *dy, const float *x, long rows, long out, long in, int format) {
  product g = {.ctx = ctx, .format = format, .m = out, .n = in, .k = rows, .c = dw, .accumulate = 1};
  g.a = (rz_source){COLUMNS_F32, dy, out, rows};
  g.b = (rz_source){COLUMNS_F32, x, in, rows};
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
  long j0 = item * 64, j1 = rz_min(j0 + 64, b->out);
  for (long r = 0; r < b->rows; r++)
    for (long j = j0; j < j1; j++) b->dbias[j] += b->dy[r * b->out + j];
}

void rz_bias_backward(rz_context *ctx, float *dbias, const float *dy, long rows, long out) {
  bias_job b = {dbias, dy, rows, out};
  rz_parallel(ctx, bias_item, &b, (out + 63) / 64, (double)rows * (double)out / 4);
}
