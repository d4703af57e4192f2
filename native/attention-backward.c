// Backward of attention for packed causal sequences, some of which share an earlier one as prefix. Weights are recomputed from lse for a
// block of queries and a block of keys at a time; nothing of size R × R is kept.
// An item is one unit and one key/value head. A unit is a sequence without prefix, or a run of sequences with one prefix of about
// CHUNK_ROWS rows (the cut depends on the tree alone): the run's share of the prefix's gradient is kept apart and added at the end.
// Order per element: dq is a chain over keys ascending; dk and dv are chains over a unit's query rows ascending, within a row over the
// group's heads, and units are added in ascending order.
#include "attention.h"
#include <stdlib.h>

#define CHUNK_ROWS 1024

// Sequences [first, last); `prefix` is -1 or a sequence, `shares` where the unit's part of its dk, and then dv, begins.
typedef struct {
  long first, last, prefix;
  size_t shares;
} unit;

typedef struct {
  rz_context *ctx;
  float *dq, *dk, *dv, *shares;
  const float *dout, *out, *lse, *q;
  const void *k, *v;
  int bf16;
  const int32_t *offsets, *prefix;
  long heads, kv_heads, dim, group, queries;
  float scale;
  unit *units;
  long unit_count;
} backward_job;

// A block of rows for one key/value head. q and dout stand twice: query after query, and as panels of PANEL elements.
typedef struct {
  const backward_job *job;
  head_rows keys, values;
  long row, rows, kv, ldt;
  float *q, *dout, *q_panels, *dout_panels, *dq, *lse, *delta, *p, *ds, *panel;
} query_rows;

// Keys [first, first + n) for queries [t0, t1); the row of t0 sees the first `seen` of them, each later row one more. Their gradients go
// to rows of dk and dv.
typedef struct {
  long t0, t1, first, n, seen;
  float *dk, *dv;
} key_rows;

// to[t][j] = from[t]·row j for the queries that see any key of the panel.
static void products(const query_rows *b, const key_rows *k, const head_rows *rows, const float *from, float *to) {
  long dim = b->job->dim;
  for (long j = 0; j < k->n; j += PANEL) {
    long n = least(PANEL, k->n - j), t = k->t0 + most(0, j + 1 - k->seen) * b->job->group;
    rz_pack_keys(b->panel, PANEL, rows, k->first + j, n);
    rz_tiles(k->t1 - t, (n + VL - 1) / VL, dim, from + t * dim, dim, b->panel, PANEL, to + t * SCORE_STRIDE + j, SCORE_STRIDE, 0);
  }
}

// p = exp(q·k · scale - lse) and ds, the gradient of q·k; both 0 where a query does not see a key.
static void weights(const query_rows *b, const key_rows *k) {
  for (long t = k->t0; t < k->t1; t++) {
    float *p = b->p + t * SCORE_STRIDE, *ds = b->ds + t * SCORE_STRIDE;
    long n = least(k->n, k->seen + (t - k->t0) / b->job->group);
    float lse = b->lse[t], delta = b->delta[t], scale = b->job->scale;
    for (long j = 0; j < n; j += VL) {
      vf weight = exp_v(load(p + j) * scale - lse);
      store(p + j, weight);
      store(ds + j, weight * (load(ds + j) - delta) * scale);
    }
    for (long j = n; j < k->n; j++) p[j] = ds[j] = 0;
  }
}

// to[j] += Σ_t weights[t][j] · panels[t] for the keys' rows, over the queries that see the tile's first key.
static void key_gradients(const query_rows *b, const key_rows *k, const float *weights, const float *panels, float *to) {
  long dim = b->job->dim, stride = b->job->kv_heads * dim, tiles = (k->n + TILE_ROWS - 1) / TILE_ROWS;
  for (long e = 0; e < dim; e += PANEL, panels += b->job->queries * PANEL) {
    long width = least(PANEL, dim - e), nv = (width + VL - 1) / VL;
    for (long i = 0; i < tiles; i++) {
      long j = i * k->n / tiles, mr = (i + 1) * k->n / tiles - j, t = k->t0 + most(0, j + 1 - k->seen) * b->job->group;
      const float *a = weights + t * SCORE_STRIDE + j, *x = panels + t * PANEL;
      float *c = to + j * stride + e;
      if (width % VL == 0) {
        rz_tile_transposed(mr, nv)(k->t1 - t, a, SCORE_STRIDE, x, PANEL, c, stride, 1);
        continue;
      }
      float tile[TILE_ROWS * PANEL] = {0}; // whole vectors would touch the next head's elements
      for (long r = 0; r < mr; r++) memcpy(tile + r * PANEL, c + r * stride, (size_t)width * sizeof(float));
      rz_tile_transposed(mr, nv)(k->t1 - t, a, SCORE_STRIDE, x, PANEL, tile, PANEL, 1);
      for (long r = 0; r < mr; r++) memcpy(c + r * stride, tile + r * PANEL, (size_t)width * sizeof(float));
    }
  }
}

// dq[t] += Σ_j ds[t][j] · key j
static void query_gradients(const query_rows *b, const key_rows *k) {
  long dim = b->job->dim, m = k->t1 - k->t0, tiles = (m + TILE_ROWS - 1) / TILE_ROWS;
  for (long e = 0; e < dim; e += PANEL) {
    rz_pack_values(b->panel, PANEL, &b->keys, k->first, k->n, e);
    for (long i = 0; i < tiles; i++) {
      long t = i * m / tiles, last = (i + 1) * m / tiles, n = least(k->n, k->seen + (last - 1) / b->job->group);
      rz_tile(last - t, (least(PANEL, dim - e) + VL - 1) / VL)(n, b->ds + (k->t0 + t) * SCORE_STRIDE, SCORE_STRIDE, b->panel, PANEL,
                                                               b->dq + (k->t0 + t) * b->ldt + e, b->ldt, 1);
    }
  }
}

static void keys_backward(const query_rows *b, const key_rows *k) {
  products(b, k, &b->keys, b->q, b->p);
  products(b, k, &b->values, b->dout, b->ds);
  weights(b, k);
  key_gradients(b, k, b->p, b->dout_panels, k->dv);
  key_gradients(b, k, b->ds, b->q_panels, k->dk);
  query_gradients(b, k);
}

// Queries [t0, t1) with keys [first, first + n), see key_rows; dk and dv are the gradients of row `first`.
static void keys_in_blocks(const query_rows *b, long t0, long t1, long first, long n, long seen, float *dk, float *dv) {
  long stride = b->job->kv_heads * b->job->dim;
  for (long j = 0; j < n; j += KEY_BLOCK) {
    long skipped = most(0, j + 1 - seen); // rows that see none of this block
    key_rows k = {t0 + skipped * b->job->group, t1, first + j, least(KEY_BLOCK, n - j), seen + skipped - j, dk + j * stride, dv + j * stride};
    keys_backward(b, &k);
  }
}

static void load_queries(const query_rows *b) {
  const backward_job *j = b->job;
  long dim = j->dim, group = j->group;
  for (long t = 0; t < b->rows * group; t++) {
    long at = (b->row + t / group) * j->heads + b->kv * group + t % group;
    float *q = b->q + t * dim, *dout = b->dout + t * dim;
    memcpy(q, j->q + at * dim, (size_t)dim * sizeof(float));
    memcpy(dout, j->dout + at * dim, (size_t)dim * sizeof(float));
    lanes16 sum = {}; // out = Σ p·v, so Σ_j p_j dp_j = dout·out
    for (long e = 0; e < dim; e += LANES)
      for (int i = 0; i < PARTS; i++) {
        long x = e + i * VL;
        sum.part[i] = fma_v(load_upto(dout + x, dim - x, 0), load_upto(j->out + at * dim + x, dim - x, 0), sum.part[i]);
      }
    b->delta[t] = sum_lanes(sum);
    b->lse[t] = j->lse[at];
  }
  head_rows q = {b->q, dim, dim, 0}, dout = {b->dout, dim, dim, 0};
  for (long e = 0; e < dim; e += PANEL) {
    rz_pack_values(b->q_panels + e * j->queries, PANEL, &q, 0, b->rows * group, e);
    rz_pack_values(b->dout_panels + e * j->queries, PANEL, &dout, 0, b->rows * group, e);
  }
  memset(b->dq, 0, (size_t)(b->rows * group * b->ldt) * sizeof(float));
}

// Rows of the unit from b->row on: the prefix for all of them, then each sequence's own keys.
static void rows_backward(const query_rows *b, const unit *u, long sequence) {
  const backward_job *j = b->job;
  long dim = j->dim, group = j->group, stride = j->kv_heads * dim, end = b->row + b->rows;
  load_queries(b);
  if (u->prefix >= 0) {
    long first = j->offsets[u->prefix], n = j->offsets[u->prefix + 1] - first;
    float *dk = j->shares + u->shares + b->kv * dim;
    keys_in_blocks(b, 0, b->rows * group, first, n, n, dk, dk + n * stride);
  }
  for (long s = sequence; s < u->last && j->offsets[s] < end; s++) {
    long first = j->offsets[s], from = most(first, b->row), last = least(j->offsets[s + 1], end), at = first * stride + b->kv * dim;
    if (from >= last) continue;
    keys_in_blocks(b, (from - b->row) * group, (last - b->row) * group, first, last - first, from - first + 1, j->dk + at, j->dv + at);
  }
  for (long t = 0; t < b->rows * group; t++)
    memcpy(j->dq + ((b->row + t / group) * j->heads + b->kv * group + t % group) * dim, b->dq + t * b->ldt, (size_t)dim * sizeof(float));
}

static void zero_rows(float *to, long rows, long stride, long dim) {
  for (long r = 0; r < rows; r++) memset(to + r * stride, 0, (size_t)dim * sizeof(float));
}

static void backward_item(void *arg, long item, int thread) {
  const backward_job *j = arg;
  const unit *u = j->units + item / j->kv_heads;
  long kv = item % j->kv_heads, dim = j->dim, stride = j->kv_heads * dim, n = j->queries, rows = n / j->group;
  query_rows b = {.job = j, .kv = kv, .ldt = round_to(dim, VL)};
  b.keys = rows_of_head(j->k, kv, j->kv_heads, dim, j->bf16), b.values = rows_of_head(j->v, kv, j->kv_heads, dim, j->bf16);
  b.panel = rz_scratch(j->ctx, thread), b.p = b.panel + PANEL * most(dim, KEY_BLOCK), b.ds = b.p + n * SCORE_STRIDE;
  b.q_panels = b.ds + n * SCORE_STRIDE, b.dout_panels = b.q_panels + n * round_to(dim, PANEL);
  b.dq = b.dout_panels + n * round_to(dim, PANEL), b.q = b.dq + n * b.ldt, b.dout = b.q + n * dim;
  b.lse = b.dout + n * dim, b.delta = b.lse + n;
  long first = j->offsets[u->first], last = j->offsets[u->last];
  zero_rows(j->dk + first * stride + kv * dim, last - first, stride, dim);
  zero_rows(j->dv + first * stride + kv * dim, last - first, stride, dim);
  if (u->prefix >= 0) zero_rows(j->shares + u->shares + kv * dim, 2 * (j->offsets[u->prefix + 1] - j->offsets[u->prefix]), stride, dim);
  for (long row = first, s = u->first; row < last; row += rows) {
    while (j->offsets[s + 1] <= row) s++;
    b.row = row, b.rows = least(rows, last - row);
    rows_backward(&b, u, s);
  }
}

// Adds what the units with a prefix computed for it, unit after unit; an item is one row of the longest prefix.
static void add_shares(void *arg, long item, int thread) {
  (void)thread;
  const backward_job *j = arg;
  long stride = j->kv_heads * j->dim;
  for (const unit *u = j->units; u < j->units + j->unit_count; u++) {
    if (u->prefix < 0) continue;
    long first = j->offsets[u->prefix], n = j->offsets[u->prefix + 1] - first;
    if (item >= n) continue;
    const float *dk = j->shares + u->shares + item * stride, *dv = dk + n * stride;
    float *to_k = j->dk + (first + item) * stride, *to_v = j->dv + (first + item) * stride;
    for (long e = 0; e < stride; e++) to_k[e] += dk[e], to_v[e] += dv[e];
  }
}

// Rows of sequences ascending, prefixes earlier and without one themselves; *work is a rough count of operations.
static int check_sequences(const backward_job *j, long sequences, long rows, double *work) {
  if (sequences > 0 && j->offsets[0] < 0) return RZ_BAD_INDEX;
  for (long s = 0; s < sequences; s++) {
    long n = (long)j->offsets[s + 1] - j->offsets[s], p = j->prefix[s];
    if (n < 0 || j->offsets[s + 1] > rows || p < -1 || p >= s || (p >= 0 && j->prefix[p] >= 0)) return RZ_BAD_INDEX;
    long shared = p < 0 ? 0 : j->offsets[p + 1] - j->offsets[p];
    *work += (double)n * ((double)n / 2 + (double)shared) * (double)(j->heads * j->dim) / 2;
  }
  return RZ_OK;
}

// Cuts the sequences into units; returns the floats that shares of prefixes take and the longest such prefix.
static size_t cut(backward_job *j, long sequences, long *longest) {
  size_t shares = 0;
  for (long s = 0, next; s < sequences; s = next) {
    long p = j->prefix[s], n = p < 0 ? 0 : j->offsets[p + 1] - j->offsets[p], limit = most(CHUNK_ROWS, n);
    for (next = s + 1; p >= 0 && next < sequences && j->prefix[next] == p && j->offsets[next + 1] - j->offsets[s] <= limit;) next++;
    j->units[j->unit_count++] = (unit){s, next, p, shares};
    shares += 2 * (size_t)(n * j->kv_heads * j->dim);
    *longest = most(*longest, n);
  }
  return shares;
}

int rz_attention_backward(rz_context *ctx, float *dq, float *dk, float *dv, const float *dout, const float *out, const float *lse,
                          const float *q, const void *k, const void *v, const int32_t *offsets, const int32_t *prefix, long sequences,
                          long rows, long heads, long kv_heads, long head_dim, float scale, int bf16) {
  backward_job j = {.ctx = ctx, .dq = dq, .dk = dk, .dv = dv, .dout = dout, .out = out, .lse = lse, .q = q, .k = k, .v = v, .bf16 = bf16,
                    .offsets = offsets, .prefix = prefix, .heads = heads, .kv_heads = kv_heads, .dim = head_dim, .group = heads / kv_heads,
                    .scale = scale};
  double work = 0;
  if (check_sequences(&j, sequences, rows, &work) != RZ_OK) return RZ_BAD_INDEX;
  j.queries = most(1, QUERY_BLOCK / j.group) * j.group;
  j.units = malloc((size_t)(sequences + 1) * sizeof *j.units);
  if (!j.units) return RZ_OUT_OF_MEMORY;
  long longest = 0;
  size_t shares = cut(&j, sequences, &longest), n = (size_t)j.queries, dim = (size_t)head_dim;
  size_t scratch = PANEL * (size_t)most(head_dim, KEY_BLOCK) + n * (2 * SCORE_STRIDE + 3 * (dim + PANEL) + 2 * dim + 2) + LANES;
  j.shares = rz_shared(ctx, shares * sizeof(float));
  int ok = (j.shares || !shares) && rz_reserve(ctx, scratch * sizeof(float)) == RZ_OK;
  if (ok) {
    rz_parallel(ctx, backward_item, &j, j.unit_count * kv_heads, work);
    rz_parallel(ctx, add_shares, &j, longest, (double)shares);
  }
  free(j.units);
  return ok ? RZ_OK : RZ_OUT_OF_MEMORY;
}
