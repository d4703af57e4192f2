// The three matrix products of a linear layer: y = x·wᵀ, dx = dy·w, dw += dyᵀ·x, all as C[M,N] (+)= A[M,K]·B[K,N].
// Exactness: each element of C is one chain over k in ascending order (gemm-kernels.c). Blocks over k continue the chain where it was
// left, so tiling, row count and threads cannot change a bit.
// Loops from the outside, after BLIS: columns, rows, blocks of k (A packed, in L2), panels of B, tiles of A. Tiles and panels stream from
// L2 through L1, fetched ahead; few rows go another way (gemm-few.c). Between blocks of k sums wait in scratch, tile by tile: rows of C are
// often a power of two apart, which caches hold badly.
#include "gemm.h"

#define LONGEST 2048 // steps whose B is packed at once
#define B_CELLS (2L << 20) // packed B: all threads read it, a small part of L3
#define NC 512 // columns of packed B, at least
#define B_SPAN 64 // steps of B that a thread packs at a time
#define NC_SUMS 1024 // columns whose sums wait in scratch

typedef struct {
  rz_context *ctx;
  int format;
  long m, n, k, steps;
  rz_source a;
  const void *panels; // packed B (int8: and its scales), or NULL: pack from b
  rz_source b;
  float *c;
  const float *bias;
  int accumulate, stream; // stream: see rz_tile
  long kc, mc, nc, longest; // the sizes above for this product
  long a_cells, b_cells, c_cells; // scratch of one thread
  long row_step, col_step, col_items; // an item covers row_step × col_step of C
  // The part that threads work on now: columns [j0, j0 + columns) over steps [p0, p0 + total). `shared` is B of it, packed, or NULL.
  long j0, columns, p0, total;
  cell *shared;
} product;

// A block of C while it is computed: rows × columns, by tiles of A that are packed for some steps.
typedef struct {
  const product *g;
  long i0, rows, j0, columns;
  rz_tiling t;
  long p0, steps; // packed now
  int first, last; // whether these are the first and the last steps of all
  int load, store; // whether sums come from C and go to C, or wait in `sums`
  cell *a;
  float *sums; // panels of rows × NR
} block;

// From panel to panel of packed B: no power of two, which caches hold badly.
static long panel_distance(long steps) { return steps * NR + 48; }

static const float *scales_of(const product *g) {
  return g->format == RZ_INT8 ? (const float *)((const char *)g->panels + rz_scales_at(g->n, g->k)) : NULL;
}

// All tiles of the block with the panels of columns [j, j + width), fetching the first cells of what follows on the way.
static void run_panels(const block *b, const void *panel, const char *following, long j, long width) {
  const product *g = b->g;
  float *c = g->c + b->i0 * g->n + j, *sums = b->sums + (j - b->j0) * b->rows;
  int loads = g->format != RZ_INT8 && (g->accumulate || !b->first), scaled = g->format == RZ_INT8;
  rz_finish finish = {scaled ? scales_of(g) + j : NULL, g->bias ? g->bias + j : NULL, scaled && g->accumulate};
  long lines = following ? (b->steps * NR * 4 / b->t.count + 127) / 128 : 0;
  rz_tile t = {.ld_in = b->load ? g->n : NR, .ld_out = b->store ? g->n : NR, .lines = lines, .stride = 128};
  t.stream = g->stream && b->first && b->last;
  const cell *a = b->a;
  long height = b->t.height;
  for (long at = 0, i = 0; at < b->t.count; at++, i += height) {
    if (at > 0) a += rz_tile_distance(height, b->steps);
    height = b->t.height - (at >= b->t.high);
    t.following = following + at * lines * 128;
    float *in = b->load ? c + i * g->n : sums + i * NR, *out = b->store ? c + i * g->n : sums + i * NR;
    const float *next = at + 1 < b->t.count ? in + height * t.ld_in : b->load ? c + NR : sums + b->rows * NR;
    t.in = loads ? in : NULL, t.next_in = loads ? next : NULL, t.out = out;
    rz_run_tile(g->format, b->steps, a, panel, 0, width, height, b->load, b->store, b->last && (g->bias || scaled) ? &finish : NULL, &t);
  }
}

// The block over steps [p0, p0 + steps). Panels of B that nobody has packed are packed into `lazy` when they are needed.
static void run_steps(block *b, cell *lazy) {
  const product *g = b->g;
  rz_pack_tiling(g->format, b->a, &b->t, &g->a, b->i0, b->rows, b->p0, b->steps);
  for (long j = b->j0, end = b->j0 + b->columns; j < end; j += NR) {
    long width = rz_min(NR, end - j);
    if (g->panels) {
      long at = j * g->steps + b->p0 * NR; // cells, or bytes of int8
      const void *panel = g->format == RZ_INT8 ? (const char *)g->panels + at : (const char *)((const cell *)g->panels + at);
      const char *following = g->format == RZ_INT8 || j + width >= end ? NULL : (const char *)panel + g->steps * NR * 4;
      run_panels(b, panel, following, j, width);
    } else if (g->shared) {
      const cell *panel = g->shared + (j - g->j0) / NR * panel_distance(g->total) + (b->p0 - g->p0) * NR;
      run_panels(b, panel, j + width < end ? (const char *)(panel + panel_distance(g->total)) : NULL, j, width);
    } else {
      rz_pack(g->format, lazy, NR, &g->b, j, width, b->p0, b->steps);
      run_panels(b, lazy, NULL, j, width);
    }
  }
}

// Rows [i0, i0 + rows), columns [j0, j0 + columns), the steps of now.
static void run_columns(const product *g, int thread, long i0, long rows, long j0, long columns) {
  cell *a = rz_scratch(g->ctx, thread), *lazy = a + g->a_cells;
  long blocks = (rows + g->mc - 1) / g->mc, mc = rz_min(rows, rz_round_up((rows + blocks - 1) / blocks, MR));
  for (long i = 0; i < rows; i += mc) {
    block b = {.g = g, .i0 = i0 + i, .rows = rz_min(mc, rows - i), .j0 = j0, .columns = columns, .a = a, .sums = lazy + g->b_cells};
    b.t = rz_tiles_of(b.rows);
    for (b.p0 = g->p0; b.p0 < g->p0 + g->total; b.p0 += g->kc) {
      b.steps = rz_min(g->kc, g->p0 + g->total - b.p0);
      b.first = b.p0 == 0, b.last = b.p0 + b.steps == g->steps;
      b.load = b.p0 == g->p0, b.store = b.p0 + b.steps == g->p0 + g->total;
      run_steps(&b, lazy);
    }
  }
}

static void run_item(void *arg, long item, int thread) {
  const product *g = arg;
  long i0 = item / g->col_items * g->row_step, rows = rz_min(g->row_step, g->m - i0);
  long first = item % g->col_items * g->col_step, cols = rz_min(g->col_step, g->columns - first);
  for (long j = 0; j < cols; j += g->nc) run_columns(g, thread, i0, rows, g->j0 + first + j, rz_min(g->nc, cols - j));
  if (g->stream) stream_end();
}

static void pack_b_item(void *arg, long item, int thread) {
  (void)thread;
  const product *g = arg;
  long first = item * B_SPAN, steps = rz_min(B_SPAN, g->total - first);
  rz_pack_tiles(g->format, g->shared + first * NR, panel_distance(g->total), NR, NR, &g->b, g->j0, g->columns, g->p0 + first, steps);
}

// Cuts C into row_items × col_items items for the threads at hand: the split that ends first by an estimate in cycles per step. A few
// items per thread even out threads that are held up; small products are not worth waking many.
static void cut(product *g) {
  const double pack = 0.4; // cycles per packed cell of A; a step of one row and one panel is one cycle
  double work = 2.0 * (double)g->m * (double)g->n * (double)g->k, bytes = g->panels ? 4.0 * (double)g->steps * (double)g->n : 0;
  long threads = rz_threads(g->ctx), most = threads == 1 ? 1 : 4 * threads;
  most = rz_min(most, (long)(work / 2e6 > bytes / 131072 ? work / 2e6 : bytes / 131072) + 1);
  long rows = (g->m + MR - 1) / MR, cols = (g->columns + NR - 1) / NR; // in tiles and panels
  double best = 0;
  for (long r = 1; r <= most && r <= rows; r++)
    for (long c = 1; c <= most / r && c <= cols; c++) {
      double high = (double)((rows + r - 1) / r * MR), wide = (double)((cols + c - 1) / c);
      double item = high * wide + pack * high * (double)(((long)wide * NR - 1) / g->nc + 1);
      double time = item * ((double)((r * c + threads - 1) / threads) + 0.2);
      if (best > 0 && time >= best) continue;
      best = time, g->row_step = (rows + r - 1) / r * MR, g->col_step = (cols + c - 1) / c * NR;
    }
  g->col_items = (g->columns + g->col_step - 1) / g->col_step;
}

static int run_empty(const product *g) {
  for (long i = 0; i < g->m; i++)
    for (long j = 0; j < g->n; j++) g->c[i * g->n + j] = (g->accumulate ? g->c[i * g->n + j] : 0.0f) + (g->bias ? g->bias[j] : 0.0f);
  return RZ_OK;
}

// One part of the product after the other: first its B is packed by all threads, then its tiles are computed.
static int run_shared(product *g, long columns) {
  g->shared = rz_shared(g->ctx, (size_t)((columns + NR - 1) / NR * panel_distance(g->longest)) * sizeof(cell));
  if (!g->shared) return RZ_OUT_OF_MEMORY;
  for (g->p0 = 0; g->p0 < g->steps; g->p0 += g->longest) {
    g->total = rz_min(g->longest, g->steps - g->p0);
    for (g->j0 = 0; g->j0 < g->n; g->j0 += columns) {
      g->columns = rz_min(columns, g->n - g->j0), g->col_items = (g->columns + g->col_step - 1) / g->col_step;
      rz_parallel(g->ctx, pack_b_item, g, (g->total + B_SPAN - 1) / B_SPAN, (double)g->columns * (double)g->total);
      double work = (double)g->m * (double)g->columns * (double)g->total / 8;
      rz_parallel(g->ctx, run_item, g, (g->m + g->row_step - 1) / g->row_step * g->col_items, work);
    }
  }
  return RZ_OK;
}

static int run_product(product *g) {
  if (g->m == 0 || g->n == 0) return RZ_OK;
  if (g->k == 0) return run_empty(g);
  g->steps = rz_steps(g->format, g->k);
  long longest = rz_round_up(g->panels ? g->steps : LONGEST, NR), parts = (g->steps + longest - 1) / longest;
  g->longest = rz_round_up((g->steps + parts - 1) / parts, NR);
  long blocks = (g->longest + BLOCK_STEPS - 1) / BLOCK_STEPS;
  g->kc = rz_round_up((g->longest + blocks - 1) / blocks, NR), g->mc = rz_min(A_STEPS / g->kc, TILES) * MR;
  g->nc = g->steps > g->kc ? NC_SUMS : g->n, g->columns = g->n, g->total = g->steps;
  // Int8 sums are scaled once, so never cut.
  if (g->format == RZ_INT8) {
    g->kc = g->longest, g->nc = g->n;
    g->mc = A_STEPS / g->kc < FEW_ROWS / MR ? FEW_ROWS : rz_min(A_STEPS / g->kc, TILES) * MR;
  }
  if (!g->panels) {
    long groups = (g->n * g->longest + B_CELLS - 1) / B_CELLS;
    g->columns = rz_min(g->n, rz_max(NC, rz_round_up((g->n + groups - 1) / groups, NR)));
  }
  cut(g);
  long mc = rz_min(rz_round_up(g->row_step, MR), g->mc), nc = rz_min(g->col_step, g->nc), row_items = (g->m + g->row_step - 1) / g->row_step;
  int shared = !g->panels && (row_items > 1 || g->m > g->mc); // else each panel of B is read once
  g->a_cells = rz_round_up(mc * g->kc + (mc / MR + 2) * VL + VL, 16);
  g->b_cells = g->panels || shared ? 0 : g->kc * NR;
  g->c_cells = g->steps > g->kc ? mc * rz_round_up(nc, NR) : 0;
  if (rz_reserve(g->ctx, (size_t)(g->a_cells + g->b_cells + g->c_cells) * sizeof(cell)) != RZ_OK) return RZ_OUT_OF_MEMORY;
  if (shared) return run_shared(g, g->columns);
  g->columns = g->n, g->col_items = (g->n + g->col_step - 1) / g->col_step;
  rz_parallel(g->ctx, run_item, g, row_items * g->col_items, 2.0 * (double)g->m * (double)g->n * (double)g->k / 16);
  return RZ_OK;
}

static int multiply(rz_context *ctx, const rz_weight *w, const float *x, long rows, long in, int accumulate, int format) {
  product g = {.ctx = ctx, .format = format, .m = rows, .n = w->out, .k = in, .panels = w->packed, .c = w->y, .bias = w->bias, .accumulate = accumulate};
  g.a = (rz_source){ROWS_F32, x, in, in};
  return run_product(&g);
}

int rz_linear(rz_context *ctx, float *y, const float *x, const void *packed, const float *bias, long rows, long out, long in,
              int accumulate, int format) {
  rz_weight w = {y, packed, bias, out};
  if (rows > 0 && out > 0 && in > 0 && rz_is_few(format, rows, in)) return rz_multiply_few(ctx, &w, 1, x, rows, in, accumulate, format);
  return multiply(ctx, &w, x, rows, in, accumulate, format);
}

int rz_linears(rz_context *ctx, const float *x, long rows, long in, int format, float *y0, const void *packed0, const float *bias0, long out0,
               float *y1, const void *packed1, const float *bias1, long out1, float *y2, const void *packed2, const float *bias2, long out2) {
  rz_weight w[WEIGHTS] = {{y0, packed0, bias0, out0}, {y1, packed1, bias1, out1}, {y2, packed2, bias2, out2}};
  long count = packed2 ? 3 : 2;
  if (rows > 0 && in > 0 && out0 > 0 && out1 > 0 && (count == 2 || out2 > 0) && rz_is_few(format, rows, in))
    return rz_multiply_few(ctx, w, count, x, rows, in, 0, format);
  for (long i = 0; i < count; i++)
    if (multiply(ctx, &w[i], x, rows, in, 0, format) != RZ_OK) return RZ_OUT_OF_MEMORY;
  return RZ_OK;
}

int rz_linear_backward_input(rz_context *ctx, float *dx, const float *dy, const void *packed, long rows, long out, long in, int accumulate,
                             int format) {
  product g = {.ctx = ctx, .format = format, .m = rows, .n = in, .k = out, .c = dx, .accumulate = accumulate};
  g.a = (rz_source){ROWS_F32, dy, out, out};
  g.b = (rz_source){PANELS, packed, in, out};
  return run_product(&g);
}

int rz_linear_backward_weight(rz_context *ctx, float *dw, const float *dy, const float *x, long rows, long out, long in, int accumulate,
                              int format) {
  product g = {.ctx = ctx, .format = format, .m = out, .n = in, .k = rows, .c = dw, .accumulate = accumulate};
  g.stream = !accumulate && VL == 16 && out * in >= STREAMED && in % VL == 0 && (uintptr_t)dw % 64 == 0;
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
