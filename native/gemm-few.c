// Products of few rows with one or several weights, as in decoding: all of A is packed at once, by each thread for itself, and stays in L2;
// the panels of all weights are one stream from memory, which must never pause. Knows nothing of big products: see gemm.c.
// Exactness: as in gemm.c, one chain over k for each element; neither rows nor threads nor other weights can change a bit.
#include "gemm.h"

#define STREAM 16 // rows for which a panel from memory comes no faster than it is multiplied
#define AHEAD 4096 // bytes fetched ahead of a stream: hardware fetches no further than its page
#define THREADS 64 // that remember what they have packed

typedef struct {
  rz_context *ctx;
  int format, accumulate;
  long m, in, steps, count;
  const rz_weight *weights;
  rz_source a;
  long first[WEIGHTS + 1]; // panel of each weight among those of all
  long row_step, span, row_items, spans; // an item is row_step rows and `span` panels
  int packed[THREADS]; // rows that a thread has packed: 1 + their item, 0 for none
} few_job;

static long panels_of(long out) { return (out + NR - 1) / NR; }

// Where panel `at` of all lies; NULL past the last.
static const char *panel_at(const few_job *g, long at) {
  for (long w = 0; w < g->count; w++)
    if (at < g->first[w + 1]) return (const char *)g->weights[w].packed + (at - g->first[w]) * g->steps * NR * (g->format == RZ_INT8 ? 1 : 4);
  return NULL;
}

// Of one item's rows.
typedef struct {
  const few_job *g;
  long row, rows;
  rz_tiling t;
  const cell *a;
} few_rows;

// All tiles with `width` columns of a weight from j on, whose panels begin at `panel`. `cold`: nobody has fetched them. Then, or with a
// single tile, the first tile fetches its own way ahead; the others fetch their shares of what follows, a line each step where it comes
// from memory.
static void run_panels(const few_rows *b, const rz_weight *w, const char *panel, const char *following, long j, long width, int cold) {
  const few_job *g = b->g;
  int scaled = g->format == RZ_INT8, streams = g->m <= FEW_ROWS, own = streams && (cold || b->t.count == 1);
  const float *scales = scaled ? (const float *)((const char *)w->packed + rz_scales_at(w->out, g->in)) + j : NULL;
  rz_finish finish = {scales, w->bias ? w->bias + j : NULL, scaled && g->accumulate};
  rz_tile t = {.ld_in = w->out, .ld_out = w->out};
  long height = b->t.height, shares = b->t.count - own, stride = streams && !own ? 64 : 128;
  long lines = following && shares > 0 ? (g->steps * NR * 4 / shares + stride - 1) / stride : 0;
  const cell *a = b->a;
  for (long at = 0, i = b->row; at < b->t.count; at++, i += height) {
    if (at > 0) a += rz_tile_distance(height, g->steps);
    height = b->t.height - (at >= b->t.high);
    int ahead = own && at == 0;
    t.ahead = ahead ? AHEAD : 0, t.stride = ahead ? 128 : stride, t.lines = ahead ? g->steps : lines;
    t.following = ahead ? panel + AHEAD : following + (at - own) * lines * stride;
    t.out = w->y + i * w->out + j, t.in = g->accumulate && !scaled ? t.out : NULL;
    rz_run_tile(g->format, g->steps, a, panel, g->steps * NR, width, height, 1, 1, scaled || w->bias ? &finish : NULL, &t);
  }
}

static void few_item(void *arg, long item, int thread) {
  few_job *g = arg;
  long part = item % g->row_items, row = part * g->row_step, at = item / g->row_items * g->span, end = rz_min(at + g->span, g->first[g->count]);
  cell *a = rz_scratch(g->ctx, thread);
  few_rows b = {.g = g, .row = row, .rows = rz_min(g->row_step, g->m - row), .a = a};
  b.t = rz_tiles_of(b.rows);
  if (thread >= THREADS || g->packed[thread] != part + 1) rz_pack_tiling(g->format, a, &b.t, &g->a, row, b.rows, 0, g->steps);
  if (thread < THREADS) g->packed[thread] = (int)part + 1;
  long together = b.t.count == 1 ? rz_gemm_panels(b.t.height) : 1;
  // Items are handed out in turns: there this thread will most likely go on.
  long onward = at + g->span * rz_threads(g->ctx) / g->row_items;
  for (long w = 0, cold = 1; w < g->count; w++)
    while (at < rz_min(end, g->first[w + 1])) {
      const rz_weight *weight = &g->weights[w];
      long j = (at - g->first[w]) * NR, panels = at + together <= end && j + together * NR <= weight->out ? together : 1;
      long next = at + panels < end ? at + panels : onward;
      run_panels(&b, weight, panel_at(g, at), g->format == RZ_INT8 ? NULL : panel_at(g, next), j, rz_min(panels * NR, weight->out - j), (int)cold);
      at += panels, cold = 0;
    }
}

// The split that ends first by an estimate in cycles per step: a step of one row and one panel is one cycle, packing a cell of A 0.4. A few
// items per thread even out threads that are held up; small products are not worth waking many.
static void cut(few_job *g) {
  long panels = g->first[g->count], tiles = (g->m + MR - 1) / MR, threads = rz_threads(g->ctx), most = threads == 1 ? 1 : 4 * threads;
  double work = 2.0 * (double)g->m * (double)(panels * NR) * (double)g->in / 2e6, bytes = 4.0 * (double)g->steps * (double)(panels * NR) / 131072;
  most = rz_min(most, (long)(work > bytes ? work : bytes) + 1);
  double best = 0;
  for (long r = 1; r <= most && r <= tiles; r++)
    for (long c = 1; c <= most / r && c <= panels; c++) {
      long rows = (g->m + r - 1) / r, span = (panels + c - 1) / c, high = g->m <= FEW_ROWS ? rz_max(STREAM, rows) : rows;
      double rounds = (double)((r * c + threads - 1) / threads) + 0.2, packs = (double)((r + threads - 1) / threads);
      double time = rounds * (double)(high * span) + 0.4 * packs * (double)rows;
      if (best > 0 && time >= best) continue;
      best = time, g->row_step = rows, g->span = span;
    }
  g->row_items = (g->m + g->row_step - 1) / g->row_step, g->spans = (panels + g->span - 1) / g->span;
}

int rz_multiply_few(rz_context *ctx, const rz_weight *weights, long count, const float *x, long rows, long in, int accumulate, int format) {
  few_job g = {.ctx = ctx, .format = format, .accumulate = accumulate, .m = rows, .in = in, .steps = rz_steps(format, in), .count = count, .weights = weights};
  g.a = (rz_source){ROWS_F32, x, in, in};
  for (long w = 0; w < count; w++) g.first[w + 1] = g.first[w] + panels_of(weights[w].out);
  cut(&g);
  rz_tiling t = rz_tiles_of(g.row_step);
  if (rz_reserve(ctx, (size_t)(t.count * rz_tile_distance(t.height, g.steps) + VL) * sizeof(cell)) != RZ_OK) return RZ_OUT_OF_MEMORY;
  rz_parallel(ctx, few_item, &g, g.row_items * g.spans, 2.0 * (double)rows * (double)g.first[count] * NR * (double)in / 16);
  return RZ_OK;
}
