// One token per row of logits: greedy, forced, or drawn after temperature, top-k and top-p.
// "Likeliest first" is by logit descending, then id ascending. The draw walks the kept tokens by ascending id, in double precision.
// Without filters one pass over the logits is enough. With them, a second pass collects the logits above a bound that no kept token can
// lie below, and the exact choice is made among these.
// Knows nothing of random numbers: the caller brings one uniform per row.
#include "vocabulary.h"

#define COLLECTED (1L << 22) // ids held at a time

typedef struct {
  rz_context *ctx;
  block_sums sums;
  int32_t *tokens;
  float *logprobs, *bound; // bound: of filtered rows
  const float *logits, *temperature, *top_p, *uniforms;
  const int32_t *top_k, *forced;
  long vocab;
  const int32_t *filtered; // rows, a group at a time
  int32_t *ids;            // [filtered row, vocab]: block b's ids begin at column b · COLUMNS
  int32_t *counts;         // [filtered row, blocks]
} sampling_job;

INLINE int any(vi mask) {
#if defined(__AVX512F__)
  return _mm512_test_epi32_mask((__m512i)mask, (__m512i)mask) != 0;
#else
  int32_t bits = 0;
UNROLL
  for (int i = 0; i < VL; i++) bits |= mask[i];
  return bits != 0;
#endif
}

INLINE float weight_of(float logit, float top, float temperature) { return exp_v((splat(logit) - top) / temperature)[0]; }

// --- keys: ascending from the likeliest token; no two are equal ---

INLINE uint64_t key_of(const float *row, int32_t id) {
  float x = row[id] + 0.0f; // -0 is 0
  uint32_t u;
  memcpy(&u, &x, sizeof u);
  uint32_t descending = u & 0x80000000 ? u : ~u & 0x7fffffff;
  return (uint64_t)descending << 32 | (uint32_t)id;
}

INLINE float logit_of(uint64_t key) {
  uint32_t descending = (uint32_t)(key >> 32), u = descending & 0x80000000 ? descending : ~descending & 0x7fffffff;
  float x;
  memcpy(&x, &u, sizeof x);
  return x;
}

// Splits keys [lo, hi) around one of them, whose place it returns.
static long split(uint64_t *keys, long lo, long hi) {
  uint64_t a = keys[lo], b = keys[lo + (hi - lo) / 2], c = keys[hi - 1];
  uint64_t pivot = a < b ? (b < c ? b : a < c ? c : a) : (a < c ? a : b < c ? c : b);
  long at = pivot == a ? lo : pivot == b ? lo + (hi - lo) / 2 : hi - 1, s = lo;
  keys[at] = keys[hi - 1];
  for (long i = lo; i < hi - 1; i++) {
    uint64_t key = keys[i];
    keys[i] = keys[s];
    keys[s] = key;
    s += key < pivot;
  }
  keys[hi - 1] = keys[s];
  keys[s] = pivot;
  return s;
}

// Brings the k smallest of n keys to the front, the largest of them to k - 1.
static void select_first(uint64_t *keys, long n, long k) {
  for (long lo = 0, hi = n; hi - lo > 1;) {
    long s = split(keys, lo, hi);
    if (s == k - 1) return;
    if (s < k) lo = s + 1;
    else hi = s;
  }
}

static double mass_of(const uint64_t *keys, long n, float top, float temperature) {
  double mass = 0;
  for (long i = 0; i < n; i += VL) {
    vf logits = splat(-INFINITY);
    for (long l = 0; l < VL && i + l < n; l++) logits[l] = logit_of(keys[i + l]);
    vf weights = exp_v((logits - top) / temperature);
    for (int l = 0; l < VL; l++) mass += (double)weights[l];
  }
  return mass;
}

// The last key of the smallest set of likeliest tokens whose mass reaches `goal`.
static uint64_t last_of_mass(uint64_t *keys, long n, double goal, float top, float temperature) {
  long lo = 0, hi = n;
  for (double reached = 0; hi - lo > 1;) {
    long s = split(keys, lo, hi);
    double left = mass_of(keys + lo, s - lo, top, temperature);
    if (s > lo && reached + left >= goal) {
      hi = s;
      continue;
    }
    reached += left + (double)weight_of(logit_of(keys[s]), top, temperature);
    if (reached >= goal || s == hi - 1) return keys[s];
    lo = s + 1;
  }
  return keys[lo];
}

// --- rows without filters ---

// The lowest id among the largest logits.
static int32_t argmax(const sampling_job *j, const float *row, const float *max, float top) {
  for (long b = 0; b < j->sums.blocks; b++) {
    if (max[b] != top) continue;
    for (long i = b * COLUMNS; i < block_end(b, j->vocab); i++)
      if (row[i] == top) return (int32_t)i;
  }
  return 0; // no logit is a number
}

// The token of block b at which the weights, relative to the block's largest logit, walk past `goal`; else the last that has any.
static int32_t walk_block(const float *row, long b, long vocab, float max, float temperature, double goal) {
  double walked = 0;
  long end = block_end(b, vocab), last = b * COLUMNS;
  for (long i = b * COLUMNS; i < end; i += LANES) {
    lanes16 weights;
    float each[LANES];
UNROLL
    for (int p = 0; p < PARTS; p++) weights.part[p] = exp_v((load_upto(row + i + p * VL, end - i - p * VL, -INFINITY) - max) / temperature);
    double sum = (double)sum_lanes(weights);
    if (!(sum > 0)) continue;
    last = i;
    if (walked + sum <= goal) {
      walked += sum;
      continue;
    }
    memcpy(each, &weights, sizeof each);
    for (int l = 0; l < LANES; l++) {
      walked += (double)each[l];
      if (each[l] > 0 && walked > goal) return (int32_t)(i + l);
    }
  }
  long token = last;
  for (long i = last; i < end && i < last + LANES; i++)
    if (weight_of(row[i], max, temperature) > 0) token = i;
  return (int32_t)token;
}

static int32_t draw(const sampling_job *j, long r, const float *row, const float *max, float top) {
  const double *weight = j->sums.weight + r * j->sums.blocks;
  float temperature = j->temperature[r];
  double goal = (double)j->uniforms[r] * rz_join_blocks(max, weight, j->sums.blocks, top, temperature), walked = 0, into = 0;
  long last = 0;
  for (long b = 0; b < j->sums.blocks; b++) {
    double scale = (double)weight_of(max[b], top, temperature), mass = weight[b] * scale;
    if (!(mass > 0)) continue;
    last = b;
    into = (goal - walked) / scale;
    walked += mass;
    if (walked > goal) break;
  }
  return walk_block(row, last, j->vocab, max[last], temperature, into);
}

// --- rows with filters ---

INLINE int uses_top_k(const sampling_job *j, long r) { return j->top_k[r] > 0 && j->top_k[r] < j->vocab; }
INLINE int is_filtered(const sampling_job *j, long r) {
  return j->forced[r] < 0 && j->temperature[r] != 0.0f && (uses_top_k(j, r) || j->top_p[r] < 1.0f);
}

// No kept token has a logit below this. The k-th largest of any k logits bounds top-k; tokens so unlikely that all of them together
// would weigh less than what top-p cuts off bound top-p.
static float bound_of(const sampling_job *j, long r, const float *max, float top, uint64_t *keys) {
  long blocks = j->sums.blocks;
  float temperature = j->temperature[r], top_p = j->top_p[r];
  if (uses_top_k(j, r)) {
    const float *tops = j->sums.tops + r * blocks * LANES;
    if (j->top_k[r] > blocks * LANES) return LOWEST;
    for (long i = 0; i < blocks * LANES; i++) keys[i] = key_of(tops, (int32_t)i);
    select_first(keys, blocks * LANES, j->top_k[r]);
    return logit_of(keys[j->top_k[r] - 1]);
  }
  if (!(top_p > 0)) return top;
  double mass = rz_join_blocks(max, j->sums.weight + r * blocks, blocks, top, temperature);
  float bound = top + temperature * log_positive((float)(0.99 * (1.0 - (double)top_p) * mass / (double)j->vocab));
  return bound > LOWEST ? bound : LOWEST;
}

static void collect_item(void *arg, long item, int thread) {
  (void)thread;
  const sampling_job *j = arg;
  long blocks = j->sums.blocks, f = item / blocks, b = item % blocks, r = j->filtered[f], count = 0, end = block_end(b, j->vocab);
  const float *row = j->logits + r * j->vocab;
  int32_t *ids = j->ids + f * j->vocab + b * COLUMNS;
  float bound = j->bound[r];
  for (long i = b * COLUMNS; i < end; i += VL) {
    vi above = load_upto(row + i, end - i, -INFINITY) >= bound;
    if (!any(above)) continue;
    for (long l = 0; l < VL && i + l < end; l++) {
      ids[count] = (int32_t)(i + l);
      count -= above[l];
    }
  }
  j->counts[item] = (int32_t)count;
}

static void choose_item(void *arg, long f, int thread) {
  sampling_job *j = arg;
  long blocks = j->sums.blocks, r = j->filtered[f], n = 0, kept = 0;
  const float *row = j->logits + r * j->vocab;
  float top = rz_top_of_blocks(j->sums.max + r * blocks, blocks), temperature = j->temperature[r], top_p = j->top_p[r];
  int32_t *ids = j->ids + f * j->vocab;
  uint64_t *keys = rz_scratch(j->ctx, thread);
  for (long b = 0; b < blocks; b++) // together at the front, still ascending
    for (long i = 0; i < j->counts[f * blocks + b]; i++, n++) keys[n] = key_of(row, ids[n] = ids[b * COLUMNS + i]);
  j->tokens[r] = 0;
  if (n == 0) return; // no logit is a number
  long k = uses_top_k(j, r) && j->top_k[r] < n ? j->top_k[r] : n;
  if (k < n) select_first(keys, n, k);
  uint64_t last = UINT64_MAX;
  if (top_p < 1.0f) {
    double mass = uses_top_k(j, r) ? mass_of(keys, k, top, temperature)
                                   : rz_join_blocks(j->sums.max + r * blocks, j->sums.weight + r * blocks, blocks, top, temperature);
    last = last_of_mass(keys, k, (double)top_p * mass, top, temperature);
  } else if (k < n) {
    last = keys[k - 1];
  }
  float *weights = (float *)(keys + j->vocab + LANES * blocks);
  for (long i = 0; i < n; i++)
    if (key_of(row, ids[i]) <= last) weights[kept] = row[ids[i]], ids[kept++] = ids[i];
  double mass = 0, walked = 0;
  for (long i = 0; i < kept; i += VL) store(weights + i, exp_v((load_upto(weights + i, kept - i, -INFINITY) - top) / temperature));
  for (long i = 0; i < kept; i++) mass += (double)weights[i];
  for (long i = 0; i < kept; i++) {
    if (!(weights[i] > 0)) continue;
    j->tokens[r] = ids[i];
    walked += (double)weights[i];
    if (walked > (double)j->uniforms[r] * mass) break;
  }
}

static void row_item(void *arg, long r, int thread) {
  sampling_job *j = arg;
  const float *row = j->logits + r * j->vocab, *max = j->sums.max + r * j->sums.blocks;
  float top = rz_top_of_blocks(max, j->sums.blocks);
  if (is_filtered(j, r)) j->bound[r] = bound_of(j, r, max, top, rz_scratch(j->ctx, thread));
  else j->tokens[r] = j->forced[r] >= 0 ? j->forced[r] : j->temperature[r] == 0.0f ? argmax(j, row, max, top) : draw(j, r, row, max, top);
}

static void logprob_item(void *arg, long r, int thread) {
  (void)thread;
  sampling_job *j = arg;
  j->logprobs[r] = j->logits[r * j->vocab + j->tokens[r]] - rz_row_lse(&j->sums, r);
}

int rz_sample_tokens(rz_context *ctx, int32_t *tokens, float *logprobs, const float *logits, const float *temperature, const int32_t *top_k,
                     const float *top_p, const float *uniforms, const int32_t *forced, long rows, long vocab) {
  sampling_job j = {.ctx = ctx, .tokens = tokens, .logprobs = logprobs, .logits = logits, .temperature = temperature, .top_p = top_p,
                    .uniforms = uniforms, .top_k = top_k, .forced = forced, .vocab = vocab};
  long blocks = column_blocks(vocab), filtered = 0;
  for (long r = 0; r < rows; r++) {
    if (forced[r] >= vocab) return RZ_BAD_INDEX;
    filtered += is_filtered(&j, r);
  }
  long group = COLLECTED / vocab + 1 < filtered ? COLLECTED / vocab + 1 : filtered;
  size_t sums = (rz_block_bytes(rows, vocab) + 63) / 64 * 64;
  char *memory = rz_shared(ctx, sums + (size_t)(2 * rows + group * (blocks + vocab)) * 4);
  if (!memory || (filtered && rz_reserve(ctx, (size_t)(vocab + LANES * blocks) * 12) != RZ_OK)) return RZ_OUT_OF_MEMORY;
  j.sums = rz_block_sums(memory, rows, vocab);
  j.bound = (float *)(memory + sums);
  int32_t *list = (int32_t *)(j.bound + rows);
  j.counts = list + rows;
  j.ids = j.counts + group * blocks;
  filtered = 0;
  for (long r = 0; r < rows; r++)
    if (is_filtered(&j, r)) list[filtered++] = (int32_t)r;
  rz_sum_blocks(ctx, &j.sums, logits, temperature, rows, vocab);
  rz_parallel(ctx, row_item, &j, rows, (double)rows * (double)(vocab < COLUMNS ? vocab : COLUMNS) * 4);
  for (long from = 0; from < filtered; from += group) {
    long count = from + group < filtered ? group : filtered - from;
    j.filtered = list + from;
    rz_parallel(ctx, collect_item, &j, count * blocks, (double)count * (double)vocab * 2);
    rz_parallel(ctx, choose_item, &j, count, (double)count * (double)vocab * 8);
  }
  rz_parallel(ctx, logprob_item, &j, rows, (double)(rows * (blocks + 30)) * 10);
  return RZ_OK;
}
