// Attention of query rows over the keys each row may see: a shared prefix, then its own segment, both rows of one key/value buffer.
// Rows with one prefix stand in a block that reads it once; so do neighbouring rows of one causal sequence for their own keys.
// Order: a score is a chain over E; keys go in blocks of KEY_BLOCK by their index in the row's sequence. Within a block maximum, sum and
// weighted values go by index; blocks are merged in ascending order. So a split into two segments, other rows and threads cannot change a bit.
#include "attention.h"

typedef struct {
  rz_context *ctx;
  float *out, *lse;
  const float *q;
  const void *k, *v;
  int bf16;
  const int32_t *prefix_start, *prefix_length, *start, *length;
  long rows, heads, kv_heads, dim, group;
  float scale;
  const int32_t *blocks; // first row of each block, and where the last one ends
  long block_count, queries, kv_step;
} attention_job;

// One block of rows for one key/value head. `own` results are those of one key block, before they are merged.
typedef struct {
  const attention_job *job;
  long row, rows, prefix, prefix_start;
  head_rows keys, values;
  head_rows next_keys; // of the head that follows; `at` is NULL after the last
  float *q, *scores, *sums, *own, *panel;
  float *max, *total, *own_max, *own_total;
  int32_t *seen; // keys of each query
} row_block;

// Keys [first, first + n) of the buffers for queries [t0, t1), at `column` of the scores. The row of t0 sees the first `seen` of them, each
// later row one more.
typedef struct {
  long t0, t1, first, n, column, seen;
} key_part;

static void score_part(const row_block *b, const key_part *p) {
  long dim = b->job->dim;
  for (long j = 0; j < p->n; j += PANEL) {
    long n = least(PANEL, p->n - j), from = p->t0 + most(0, j + 1 - p->seen) * b->job->group;
    rz_pack_keys(b->panel, PANEL, &b->keys, p->first + j, n);
    rz_tiles(p->t1 - from, (n + VL - 1) / VL, dim, b->q + from * dim, dim, b->panel, PANEL,
             b->scores + from * SCORE_STRIDE + p->column + j, SCORE_STRIDE, 0);
  }
}

// One tile of queries: what its first row sees for all of them, then what each later row sees beyond it.
static void weigh_tile(const row_block *b, const key_part *p, long t, long mr, long nv, const float *v, long ldv, float *to, long ldt, int load_c) {
  long group = b->job->group, row = (t - p->t0) / group;
  long common = least(p->seen + row, p->n);
  const float *weights = b->scores + t * SCORE_STRIDE + p->column;
  rz_tile(mr, nv)(common, weights, SCORE_STRIDE, v, ldv, to, ldt, load_c);
  if (common == p->n) return;
  for (long i = (row + 1) * group + p->t0 - t; i < mr; i += group) {
    long more = least(p->seen + (t + i - p->t0) / group, p->n) - common;
    rz_tile(least(group, mr - i), nv)(more, weights + i * SCORE_STRIDE + common, SCORE_STRIDE, v + common * ldv, ldv, to + i * ldt, ldt, 1);
  }
}

static void weigh_part(const row_block *b, const key_part *p, float *to, int load_c) {
  long dim = b->job->dim, ldt = round_to(dim, VL), m = p->t1 - p->t0, width = m <= FEW ? WIDE_PANEL : PANEL;
  // Few queries do not repay copying the values.
  int direct = !b->values.bf16 && dim % VL == 0 && m <= 2 * FEW;
  long tiles = (m + TILE_ROWS - 1) / TILE_ROWS;
  for (long e = 0; e < dim; e += width) {
    long nv = (least(width, dim - e) + VL - 1) / VL, ldv = direct ? b->values.stride : width;
    const float *v = direct ? (const float *)b->values.at + p->first * ldv + e : b->panel;
    if (!direct) rz_pack_values(b->panel, width, &b->values, p->first, p->n, e);
    for (long i = 0; i < tiles; i++) {
      long t = p->t0 + i * m / tiles, mr = p->t0 + (i + 1) * m / tiles - t;
      weigh_tile(b, p, t, mr, nv, v, ldv, to + t * ldt + e, ldt, load_c);
    }
  }
}

// The first n lanes of x, `fill` in the others.
INLINE vf keep(vf x, long n, float fill) {
  float all[VL];
  store(all, x);
  return load_upto(all, n, fill);
}

// The maximum of scores · scale, lane by lane.
INLINE vf top_lanes(const float *scores, long n, float scale) {
  vf top = splat(-INFINITY);
  long j = 0;
  for (; j + VL <= n; j += VL) top = max_v(load(scores + j) * scale, top);
  return j < n ? max_v(keep(load(scores + j) * scale, n - j, -INFINITY), top) : top;
}

// scores become exp(scores · scale - max); their sum by j mod 16. Reads and writes up to 15 floats past n.
INLINE lanes16 soften(float *scores, long n, float scale, float max) {
  lanes16 sum = {};
  long j = 0;
  for (; j + LANES <= n; j += LANES)
UNROLL
    for (int i = 0; i < PARTS; i++) {
      vf p = exp_v(load(scores + j + i * VL) * scale - max);
      store(scores + j + i * VL, p);
      sum.part[i] += p;
    }
  if (j == n) return sum;
UNROLL
  for (int i = 0; i < PARTS; i++) {
    vf p = keep(exp_v(load(scores + j + i * VL) * scale - max), n - j - i * VL, 0);
    store(scores + j + i * VL, p);
    sum.part[i] += p;
  }
  return sum;
}

// Weights, maximum and sum of VL queries from t on; those past the last one, or with no key in the block, come out as anything.
static void soften_queries(const row_block *b, long t, long low, float *max, float *total) {
  const attention_job *j = b->job;
  long count = least(VL, b->rows * j->group - t), n[VL];
  float *scores = b->scores + t * SCORE_STRIDE, scale = j->scale;
  vf top[VL] = {};
  lanes16 sum[VL] = {};
  for (long i = 0; i < count; i++) {
    n[i] = least(KEY_BLOCK, b->seen[t + i] - low);
    top[i] = top_lanes(scores + i * SCORE_STRIDE, n[i], scale);
  }
  store(max + t, max_lanes_each(top));
  for (long i = 0; i < count; i++)
    if (n[i] > 0) sum[i] = soften(scores + i * SCORE_STRIDE, n[i], scale, max[t + i]);
  store(total + t, sum_lanes_each(sum));
}

// Takes the results of one more key block of query t into those of the blocks before it.
static void merge(const row_block *b, long t) {
  long ldt = round_to(b->job->dim, VL);
  float top = b->max[t] > b->own_max[t] ? b->max[t] : b->own_max[t];
  float old[VL] = {b->max[t] - top, b->own_max[t] - top};
  vf factors = exp_v(load(old));
  memcpy(old, &factors, sizeof old);
  float *sums = b->sums + t * ldt, *own = b->own + t * ldt;
  for (long e = 0; e < ldt; e += VL) store(sums + e, fma_v(load(own + e), splat(old[1]), load(sums + e) * old[0]));
  b->total[t] = b->total[t] * old[0] + b->own_total[t] * old[1];
  b->max[t] = top;
}

// The keys of block [low, low + KEY_BLOCK) in the own segments of the causal run of rows from row i on; returns where the run ends.
static long own_part(const row_block *b, long low, long i, key_part *p) {
  const attention_job *j = b->job;
  const int32_t *start = j->start + b->row, *length = j->length + b->row;
  long from = most(low - b->prefix, 0), end = low + KEY_BLOCK - b->prefix, next = i + 1; // from, end: in the own segment
  while (next < b->rows && start[next] == start[i] && length[next] == length[next - 1] + 1) next++;
  long first = i + least(most(0, from + 1 - length[i]), next - 1 - i); // rows before see none of these
  *p = (key_part){first * j->group, next * j->group, start[i] + from, least(end, length[next - 1]) - from, b->prefix + from - low, length[first] - from};
  return next;
}

// --- few queries of one row: keys and values are read where they lie ---

static int is_few(const row_block *b, const key_part *p) { return p->t1 - p->t0 == b->job->group && b->job->group <= FEW; }
static long row_of(const row_block *b, const key_part *p) { return p->t0 / b->job->group; }

// What a row sees of key block `low`; without its prefix if `own` is 1.
static void find_places(const row_block *b, long row, long low, int own, row_places *p) {
  const attention_job *j = b->job;
  long prefix = j->prefix_length[row], from = most(low - prefix, 0), end = least(low + KEY_BLOCK - prefix, j->length[row]);
  p->n = 0;
  if (!own) rz_add_places(p, &b->keys, j->prefix_start[row] + low, least(prefix - low, KEY_BLOCK));
  rz_add_places(p, &b->keys, j->start[row] + from, end - from);
}

// Of the first head, whose keys nobody has fetched.
static void fetch_row(const row_block *b) {
  row_places first;
  rows_ahead keys = {&b->keys, &first};
  find_places(b, b->row, 0, 0, &first);
  rz_fetch(&keys, 0, KEY_BLOCK);
}

static void score_row(const row_block *b, long i, long column, const row_places *here) {
  long group = b->job->group, t = i * group;
  rows_ahead values = {&b->values, here};
  rz_score_few(group, b->scores + t * SCORE_STRIDE + column, SCORE_STRIDE, b->q + t * b->job->dim, &b->keys, here, &values);
}

// Fetches the keys that come next: in the row's next block, or of the next head.
static void weigh_row(const row_block *b, long i, long low, int own, long column, const row_places *here, float *to, int load_c) {
  long group = b->job->group, t = i * group, ldt = round_to(b->job->dim, VL);
  int more = b->seen[t] > low + KEY_BLOCK;
  row_places next;
  const row_places *places = here;
  if (more || low) find_places(b, b->row + i, more ? low + KEY_BLOCK : 0, own, &next), places = &next;
  rows_ahead ahead = {more ? &b->keys : b->next_keys.at ? &b->next_keys : NULL, places};
  rz_weigh_few(group, to + t * ldt, ldt, b->scores + t * SCORE_STRIDE + column, SCORE_STRIDE, &b->values, here, load_c, &ahead);
}

static void score_own(const row_block *b, long low) {
  key_part p;
  row_places here;
  for (long i = 0, next; i < b->rows; i = next) {
    next = own_part(b, low, i, &p);
    if (p.n <= 0) continue;
    if (!is_few(b, &p)) score_part(b, &p);
    else find_places(b, b->row + row_of(b, &p), low, 1, &here), score_row(b, row_of(b, &p), p.column, &here);
  }
}

static void weigh_own(const row_block *b, long low, float *to, int load_c) {
  key_part p;
  row_places here;
  for (long i = 0, next; i < b->rows; i = next) {
    next = own_part(b, low, i, &p);
    if (p.n <= 0) continue;
    if (!is_few(b, &p)) weigh_part(b, &p, to, load_c);
    else find_places(b, b->row + row_of(b, &p), low, 1, &here), weigh_row(b, row_of(b, &p), low, 1, p.column, &here, to, load_c);
  }
}

static void key_block(const row_block *b, long low) {
  const attention_job *j = b->job;
  long shared = least(b->prefix - low, KEY_BLOCK), queries = b->rows * j->group;
  key_part p = {0, queries, b->prefix_start + low, shared, 0, shared};
  float *to = low ? b->own : b->sums, *max = low ? b->own_max : b->max, *total = low ? b->own_total : b->total;
  int few = b->rows == 1 && is_few(b, &p);
  row_places here;
  if (few) find_places(b, b->row, low, 0, &here), score_row(b, 0, 0, &here);
  if (!few && shared > 0) score_part(b, &p);
  if (!few && shared < KEY_BLOCK) score_own(b, low);
  for (long t = 0; t < queries; t += VL) soften_queries(b, t, low, max, total);
  if (few) weigh_row(b, 0, low, 0, 0, &here, to, 0);
  if (!few && shared > 0) weigh_part(b, &p, to, 0);
  if (!few && shared < KEY_BLOCK) weigh_own(b, low, to, shared > 0);
  for (long t = 0; low && t < queries; t++)
    if (b->seen[t] > low) merge(b, t);
}

static void attend(const row_block *b, long kv) {
  const attention_job *j = b->job;
  long dim = j->dim, group = j->group, longest = 0, ldt = round_to(dim, VL);
  for (long r = 0; r < b->rows; r++) {
    memcpy(b->q + r * group * dim, j->q + ((b->row + r) * j->heads + kv * group) * dim, (size_t)(group * dim) * sizeof(float));
    long seen = b->prefix + j->length[b->row + r];
    for (long g = 0; g < group; g++) b->seen[r * group + g] = (int32_t)seen;
    longest = most(longest, seen);
  }
  for (long low = 0; low < longest; low += KEY_BLOCK) key_block(b, low);
  for (long r = 0, t = 0; r < b->rows; r++)
    for (long g = 0; g < group; g++, t++) {
      long at = (b->row + r) * j->heads + kv * group + g;
      float total = b->total[t], share = 1.0f / total;
      j->lse[at] = b->max[t] + log_positive(total);
      for (long e = 0; e < dim; e += VL) store_upto(j->out + at * dim + e, load(b->sums + t * ldt + e) * share, dim - e);
    }
}

static void attention_item(void *arg, long item, int thread) {
  const attention_job *j = arg;
  long parts = (j->kv_heads + j->kv_step - 1) / j->kv_step, dim = j->dim, ldt = round_to(dim, VL), n = round_to(j->queries, LANES);
  // The last rows of a sequence see most keys: they come first.
  long block = j->block_count - 1 - item / parts, kv = item % parts * j->kv_step, row = j->blocks[block];
  row_block b = {.job = j, .row = row, .rows = j->blocks[block + 1] - row, .prefix = j->prefix_length[row], .prefix_start = j->prefix_start[row]};
  b.max = rz_scratch(j->ctx, thread), b.total = b.max + n, b.own_max = b.total + n, b.own_total = b.own_max + n;
  b.seen = (int32_t *)(b.own_total + n), b.panel = b.own_total + 2 * n;
  b.sums = b.panel + WIDE_PANEL * most(dim, KEY_BLOCK), b.own = b.sums + n * ldt;
  b.scores = b.own + n * ldt, b.q = b.scores + n * SCORE_STRIDE;
  for (long first = kv, end = least(kv + j->kv_step, j->kv_heads); kv < end; kv++) {
    b.keys = rows_of_head(j->k, kv, j->kv_heads, dim, j->bf16), b.values = rows_of_head(j->v, kv, j->kv_heads, dim, j->bf16);
    b.next_keys = kv + 1 < j->kv_heads ? rows_of_head(j->k, kv + 1, j->kv_heads, dim, j->bf16) : (head_rows){0};
    if (kv == first && b.rows == 1) fetch_row(&b);
    attend(&b, kv);
  }
}

static size_t scratch_floats(const attention_job *j) {
  size_t n = (size_t)round_to(j->queries, LANES), dim = (size_t)j->dim;
  return n * (5 + 2 * (size_t)round_to(j->dim, VL) + SCORE_STRIDE + dim) + WIDE_PANEL * (size_t)most(j->dim, KEY_BLOCK) + LANES;
}

// Segments inside the buffer and not empty together; *total is the number of keys of all rows.
static int check_segments(const attention_job *j, long limit, double *total) {
  for (long r = 0; r < j->rows; r++) {
    long a = j->prefix_start[r], an = j->prefix_length[r], b = j->start[r], bn = j->length[r];
    if (an < 0 || bn < 0 || an + bn < 1 || (an && (a < 0 || a + an > limit)) || (bn && (b < 0 || b + bn > limit))) return RZ_BAD_INDEX;
    *total += (double)(an + bn);
  }
  return RZ_OK;
}

// Cuts the rows into blocks of at most `rows` that share a prefix, or have none: then rows of other sequences make a new block of one that
// fills a vector of queries.
static long cut(const attention_job *j, int32_t *blocks, long rows) {
  long count = 0, few = most(1, LANES / j->group);
  for (long r = 0, first = 0; r < j->rows; r++) {
    int same = r && j->prefix_length[r] == j->prefix_length[first];
    if (same && j->prefix_length[r]) same = j->prefix_start[r] == j->prefix_start[first];
    else if (same) same = j->start[r] == j->start[first] || r - first < few;
    if (same && r - first < rows) continue;
    blocks[count++] = (int32_t)r;
    first = r;
  }
  blocks[count] = (int32_t)j->rows;
  return count;
}

int rz_attention(rz_context *ctx, float *out, float *lse, const float *q, const void *k, const void *v, const int32_t *prefix_start,
                 const int32_t *prefix_length, const int32_t *start, const int32_t *length, long rows, long heads, long kv_heads,
                 long head_dim, float scale, long limit, int bf16) {
  attention_job j = {.ctx = ctx, .out = out, .lse = lse, .q = q, .k = k, .v = v, .bf16 = bf16, .prefix_start = prefix_start,
                     .prefix_length = prefix_length, .start = start, .length = length, .rows = rows, .heads = heads, .kv_heads = kv_heads,
                     .dim = head_dim, .group = heads / kv_heads, .scale = scale};
  double total = 0;
  if (check_segments(&j, limit, &total) != RZ_OK) return RZ_BAD_INDEX;
  int32_t *blocks = rz_shared(ctx, (size_t)(rows + 1) * sizeof(int32_t));
  if (!blocks) return RZ_OUT_OF_MEMORY;
  long threads = rz_threads(ctx), block_rows = most(1, QUERY_BLOCK / j.group);
  j.block_count = cut(&j, blocks, block_rows);
  while (threads > 1 && j.block_count * kv_heads < 4 * threads && block_rows > 8) j.block_count = cut(&j, blocks, block_rows /= 2);
  j.blocks = blocks, j.queries = least(block_rows, rows) * j.group;
  long parts = least((8 * threads + j.block_count - 1) / most(1, j.block_count), kv_heads);
  j.kv_step = (kv_heads + parts - 1) / parts;
  if (rz_reserve(ctx, scratch_floats(&j) * sizeof(float)) != RZ_OK) return RZ_OUT_OF_MEMORY;
  rz_parallel(ctx, attention_item, &j, j.block_count * ((kv_heads + j.kv_step - 1) / j.kv_step), total * (double)(heads * head_dim) / 8);
  return RZ_OK;
}
