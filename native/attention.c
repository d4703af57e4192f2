// Attention of query rows over the keys each row may see: a shared prefix, then its own segment, both rows of one key/value buffer.
// Scores, their maximum, their sum and the weighted values all go by the key's index in that sequence, so a split into two
// segments, other rows and threads cannot change a bit.
#include "attention.h"

#define ROW_BLOCK 4

typedef struct {
  rz_context *ctx;
  float *out, *lse;
  const float *q, *k, *v;
  const int32_t *prefix_start, *prefix_length, *start, *length;
  long rows, heads, kv_heads, head_dim;
  float scale;
  long width; // of a row of scores in scratch
} attention_job;

static long round_lanes(long n) { return (n + LANES - 1) & -LANES; }

// Row r, the query heads of key/value head kv.
static void attend(const attention_job *j, long r, long kv, float *scratch) {
  long dim = j->head_dim, stride = j->kv_heads * dim, group = j->heads / j->kv_heads, head = r * j->heads + kv * group;
  long prefix = j->prefix_length[r], own = j->length[r];
  long prefix_at = prefix ? j->prefix_start[r] * stride + kv * dim : 0, own_at = own ? j->start[r] * stride + kv * dim : 0;
  float *sums = scratch, *scores = scratch + round_lanes(group);
  for (long g = 0; g < group; g++) {
    const float *q = j->q + (head + g) * dim;
    float *s = scores + g * j->width, max;
    score_keys(s, q, j->k + prefix_at, prefix, stride, dim, j->scale);
    score_keys(s + prefix, q, j->k + own_at, own, stride, dim, j->scale);
    sums[g] = soften(s, prefix + own, &max);
    j->lse[head + g] = max + log_positive(sums[g]);
  }
  segment values[2] = {{j->v + prefix_at, prefix}, {j->v + own_at, own}};
  weighted_sum(j->out + head * dim, scores, j->width, sums, values, stride, dim, group);
}

static void attention_item(void *arg, long item, int thread) {
  attention_job *j = arg;
  for (long r = item * ROW_BLOCK; r < j->rows && r < (item + 1) * ROW_BLOCK; r++)
    for (long kv = 0; kv < j->kv_heads; kv++) attend(j, r, kv, rz_scratch(j->ctx, thread));
}

// Segments inside the buffer and not empty together; *longest is the most keys of a row, *total those of all rows.
static int check_segments(const attention_job *j, long limit, long *longest, double *total) {
  for (long r = 0; r < j->rows; r++) {
    long a = j->prefix_start[r], an = j->prefix_length[r], b = j->start[r], bn = j->length[r];
    if (an < 0 || bn < 0 || an + bn < 1 || (an && (a < 0 || a + an > limit)) || (bn && (b < 0 || b + bn > limit))) return RZ_BAD_INDEX;
    if (an + bn > *longest) *longest = an + bn;
    *total += (double)(an + bn);
  }
  return RZ_OK;
}

int rz_attention(rz_context *ctx, float *out, float *lse, const float *q, const float *k, const float *v, const int32_t *prefix_start,
                 const int32_t *prefix_length, const int32_t *start, const int32_t *length, long rows, long heads, long kv_heads,
                 long head_dim, float scale, long limit) {
  attention_job j = {ctx, out, lse, q, k, v, prefix_start, prefix_length, start, length, rows, heads, kv_heads, head_dim, scale, 0};
  long longest = 0;
  double total = 0;
  if (check_segments(&j, limit, &longest, &total) != RZ_OK) return RZ_BAD_INDEX;
  long group = heads / kv_heads;
  j.width = round_lanes(longest) + 2 * LANES; // score_keys writes past its keys
  if (rz_reserve(ctx, (size_t)(round_lanes(group) + group * j.width) * sizeof(float)) != RZ_OK) return RZ_OUT_OF_MEMORY;
  rz_parallel(ctx, attention_item, &j, (rows + ROW_BLOCK - 1) / ROW_BLOCK, total * (double)(heads * head_dim) / 4);
  return RZ_OK;
}
