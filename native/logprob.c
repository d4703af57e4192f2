// Log-probabilities of target tokens from rows of logits, and their gradient in place.
#include "vocabulary.h"

#define SUM_BLOCK 1024 // floats summed in single precision before the sum goes on in double

size_t rz_block_bytes(long rows, long vocab) { return (size_t)(rows * column_blocks(vocab)) * (2 * sizeof(double) + 17 * sizeof(float)) + 128; }

block_sums rz_block_sums(void *memory, long rows, long vocab) {
  long blocks = column_blocks(vocab), count = rows * blocks;
  float *tops = memory;
  double *sum = (double *)(tops + LANES * count);
  return (block_sums){.blocks = blocks, .tops = tops, .sum = sum, .weight = sum + count, .max = (float *)(sum + 2 * count)};
}

// Σ exp((x − max) / temperature) of at most COLUMNS logits; temperature 1 divides nothing.
INLINE double sum_exp(const float *x, long n, float max, float temperature, int divide) {
  double total = 0;
  for (long from = 0; from < n; from += SUM_BLOCK) {
    long end = from + SUM_BLOCK < n ? from + SUM_BLOCK : n, i = from;
    lanes16 sum = {};
    for (; i + LANES <= end; i += LANES) {
      __builtin_prefetch(x + i + COLUMNS);
UNROLL
      for (int p = 0; p < PARTS; p++) {
        vf d = load(x + i + p * VL) - max;
        sum.part[p] += exp_v(divide ? d / temperature : d);
      }
    }
    if (i < end) {
UNROLL
      for (int p = 0; p < PARTS; p++) {
        vf d = load_upto(x + i + p * VL, end - i - p * VL, -INFINITY) - max;
        sum.part[p] += exp_v(divide ? d / temperature : d);
      }
    }
    total += (double)sum_lanes(sum);
  }
  return total;
}

typedef struct {
  block_sums to;
  const float *logits, *temperatures;
  long vocab;
} sum_job;

static void sum_item(void *arg, long item, int thread) {
  (void)thread;
  const sum_job *j = arg;
  long r = item / j->to.blocks, b = item % j->to.blocks, n = block_end(b, j->vocab) - b * COLUMNS, i = 0;
  const float *x = j->logits + r * j->vocab + b * COLUMNS;
  lanes16 top;
UNROLL
  for (int p = 0; p < PARTS; p++) top.part[p] = splat(LOWEST);
  for (; i + LANES <= n; i += LANES)
UNROLL
    for (int p = 0; p < PARTS; p++) top.part[p] = max_v(load(x + i + p * VL), top.part[p]);
  if (i < n)
UNROLL
    for (int p = 0; p < PARTS; p++) top.part[p] = max_v(load_upto(x + i + p * VL, n - i - p * VL, -INFINITY), top.part[p]);
  vf largest = top.part[0];
UNROLL
  for (int p = 1; p < PARTS; p++) largest = max_v(largest, top.part[p]);
  float max = max_lanes(largest), temperature = j->temperatures ? j->temperatures[r] : 1.0f;
  memcpy(j->to.tops + item * LANES, &top, sizeof top);
  j->to.max[item] = max;
  j->to.sum[item] = j->to.weight[item] = sum_exp(x, n, max, 1, 0);
  if (temperature != 1.0f && temperature != 0.0f) j->to.weight[item] = sum_exp(x, n, max, temperature, 1);
}

void rz_sum_blocks(rz_context *ctx, const block_sums *to, const float *logits, const float *temperatures, long rows, long vocab) {
  sum_job j = {*to, logits, temperatures, vocab};
  rz_parallel(ctx, sum_item, &j, rows * to->blocks, (double)rows * (double)vocab * 2);
}

double rz_join_blocks(const float *max, const double *sums, long blocks, float top, float temperature) {
  double total = 0;
  for (long b = 0; b < blocks; b += VL) {
    float scale[VL];
    store(scale, exp_v((load_upto(max + b, blocks - b, LOWEST) - top) / temperature));
    for (long i = 0; i < VL && b + i < blocks; i++) total += sums[b + i] * (double)scale[i];
  }
  return total;
}

float rz_top_of_blocks(const float *max, long blocks) {
  float top = max[0];
  for (long b = 1; b < blocks; b++) top = max[b] > top ? max[b] : top;
  return top;
}

float rz_row_lse(const block_sums *s, long r) {
  const float *max = s->max + r * s->blocks;
  float top = rz_top_of_blocks(max, s->blocks);
  return top + log_positive((float)rz_join_blocks(max, s->sum + r * s->blocks, s->blocks, top, 1));
}

typedef struct {
  block_sums sums;
  float *logprobs, *lse, *logits;
  const float *in_logits, *dlogprobs, *in_lse;
  const int32_t *targets;
  long vocab;
} logprob_job;

static void logprob_item(void *arg, long r, int thread) {
  (void)thread;
  logprob_job *j = arg;
  j->lse[r] = rz_row_lse(&j->sums, r);
  j->logprobs[r] = j->in_logits[r * j->vocab + j->targets[r]] - j->lse[r];
}

static int bad_targets(const int32_t *targets, long rows, long vocab) {
  for (long r = 0; r < rows; r++)
    if (targets[r] < 0 || targets[r] >= vocab) return 1;
  return 0;
}

int rz_logprob(rz_context *ctx, float *logprobs, float *lse, const float *logits, const int32_t *targets, long rows, long vocab) {
  if (bad_targets(targets, rows, vocab)) return RZ_BAD_INDEX;
  void *memory = rz_shared(ctx, rz_block_bytes(rows, vocab));
  if (!memory) return RZ_OUT_OF_MEMORY;
  logprob_job j = {.logprobs = logprobs, .lse = lse, .in_logits = logits, .targets = targets, .vocab = vocab};
  j.sums = rz_block_sums(memory, rows, vocab);
  rz_sum_blocks(ctx, &j.sums, logits, NULL, rows, vocab);
  rz_parallel(ctx, logprob_item, &j, rows, (double)(rows * (j.sums.blocks + 30)) * 10);
  return RZ_OK;
}

// logprob = logit[target] − lse: d logit[v] = dlogprob · (1[v = target] − exp(logit[v] − lse))
static void logprob_backward_item(void *arg, long item, int thread) {
  (void)thread;
  logprob_job *j = arg;
  long r = item / column_blocks(j->vocab), b = item % column_blocks(j->vocab), i = b * COLUMNS, end = block_end(b, j->vocab), t = j->targets[r];
  float *row = j->logits + r * j->vocab, lse = j->in_lse[r], d = j->dlogprobs[r], target = 0;
  int has_target = t >= i && t < end;
  if (has_target) target = row[t];
  for (; i + VL <= end; i += VL) store(row + i, exp_v(load(row + i) - lse) * -d);
  if (i < end) store_upto(row + i, exp_v(load_upto(row + i, end - i, 0) - lse) * -d, end - i);
  if (has_target) row[t] = d * (1.0f - exp_v(splat(target - lse))[0]);
}

int rz_logprob_backward(rz_context *ctx, float *logits, const float *dlogprobs, const float *lse, const int32_t *targets, long rows, long vocab) {
  if (bad_targets(targets, rows, vocab)) return RZ_BAD_INDEX;
  logprob_job j = {.logits = logits, .dlogprobs = dlogprobs, .in_lse = lse, .targets = targets, .vocab = vocab};
  rz_parallel(ctx, logprob_backward_item, &j, rows * column_blocks(vocab), (double)rows * (double)vocab * 2);
  return RZ_OK;
}
