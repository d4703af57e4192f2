// Log-probabilities of target tokens from rows of logits, and their gradient in place.
#include "rzero.h"
#include "simd.h"

#define SUM_BLOCK 1024 // floats summed in single precision before the sum goes on in double

typedef struct {
  float *logprobs, *lse, *logits;
  const float *in_logits, *dlogprobs, *in_lse;
  const int32_t *targets;
  long rows, vocab;
} logprob_job;

// log Σ exp(row), the one function behind every logprob, so that sampling and training agree to the bit.
float rz_row_lse(const float *row, long vocab) {
  vf top = splat(-INFINITY);
  for (long i = 0; i < vocab; i += VL) top = max_v(load_upto(row + i, vocab - i, -INFINITY), top);
  float max = max_lanes(top);
  double total = 0;
  for (long b = 0; b < vocab; b += SUM_BLOCK) {
    long end = b + SUM_BLOCK < vocab ? b + SUM_BLOCK : vocab;
    lanes16 sum = {};
    for (long i = b; i < end; i += LANES) {
UNROLL
      for (int part = 0; part < PARTS; part++) sum.part[part] += exp_v(load_upto(row + i + part * VL, end - i - part * VL, -INFINITY) - max);
    }
    total += (double)sum_lanes(sum);
  }
  return max + log_positive((float)total);
}

static void logprob_item(void *arg, long r, int thread) {
  (void)thread;
  logprob_job *j = arg;
  const float *row = j->in_logits + r * j->vocab;
  j->lse[r] = rz_row_lse(row, j->vocab);
  j->logprobs[r] = row[j->targets[r]] - j->lse[r];
}

static int bad_targets(const int32_t *targets, long rows, long vocab) {
  for (long r = 0; r < rows; r++)
    if (targets[r] < 0 || targets[r] >= vocab) return 1;
  return 0;
}

int rz_logprob(rz_context *ctx, float *logprobs, float *lse, const float *logits, const int32_t *targets, long rows, long vocab) {
  if (bad_targets(targets, rows, vocab)) return RZ_BAD_INDEX;
  logprob_job j = {.logprobs = logprobs, .lse = lse, .in_logits = logits, .targets = targets, .rows = rows, .vocab = vocab};
  rz_parallel(ctx, logprob_item, &j, rows, (double)rows * (double)vocab);
  return RZ_OK;
}

// logprob = logit[target] − lse: d logit[v] = dlogprob · (1[v = target] − exp(logit[v] − lse))
static void logprob_backward_item(void *arg, long r, int thread) {
  (void)thread;
  logprob_job *j = arg;
  float *row = j->logits + r * j->vocab, lse = j->in_lse[r], d = j->dlogprobs[r];
  float target = row[j->targets[r]];
  for (long i = 0; i < j->vocab; i += VL) store_upto(row + i, exp_v(load_upto(row + i, j->vocab - i, 0) - lse) * -d, j->vocab - i);
  row[j->targets[r]] = d * (1.0f - exp_v(splat(target - lse))[0]);
}

int rz_logprob_backward(rz_context *ctx, float *logits, const float *dlogprobs, const float *lse, const int32_t *targets, long rows, long vocab) {
  if (bad_targets(targets, rows, vocab)) return RZ_BAD_INDEX;
  logprob_job j = {.logits = logits, .dlogprobs = dlogprobs, .in_lse = lse, .targets = targets, .rows = rows, .vocab = vocab};
  rz_parallel(ctx, logprob_backward_item, &j, rows, (double)rows * (double)vocab);
  return RZ_OK;
}
