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
} attention_job;

static void attend(const attention_job *j, long r, long h, float *scores) {
  long dim = j->head_dim, stride = j->kv_heads * dim, kv = h / (j->heads / j->kv_heads) * dim;
  long prefix = j->prefix_length[r], own = j->length[r], n = prefix + own;
  const float *q = j->q + (r * j->heads + h) * dim;
  long prefix_at = j->prefix_start[r] * stride + kv, own_at = j->start[r] * stride + kv;
  score_keys(scores, q, j->k + prefix_at, prefix, stride, dim, j->scale);
  score_keys(scores + prefix, q, j->k + own_at, own, stride, dim, j->scale);
  float max, sum = soften(scores, n, &max);
  j->lse[r * j->heads + h] = max + log_positive(sum);
  float *out = j->out + (r * j->heads + h) * dim;
  memset(out, 0, (size_t)dim * sizeof(float));
  add_weighted(out, scores, j->v + prefix_at, prefix, stride, dim);
  add_weighted(out, scores + prefix, j->v + own_at, own, stride, dim);
  for (long e = 0; e < dim; e++) out[e] /= sum;
}

static void attention_item(void *arg, long item, int thread) {
  attention_job *j = arg;
  float *scores = rz_scratch(j->ctx, thread);
  for (long r = item * ROW_BLOCK; r < j->rows && r < (item + 1) * ROW_BLOCK; r++)
    for (long h = 0; h < j->heads; h++) attend(j, r, h, scores);
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
  attention_job j = {ctx, out, lse, q, k, v, prefix_start, prefix_length, start, length, rows, heads, kv_heads, head_dim, scale};
  long longest = 0;
  double total = 0;
  if (check_segments(&j, limit, &longest, &total) != RZ_OK) return RZ_BAD_INDEX;
  if (rz_reserve(ctx, (size_t)(longest + LANES) * sizeof(float)) != RZ_OK) return RZ_OUT_OF_MEMORY;
  rz_parallel(ctx, attention_item, &j, (rows + ROW_BLOCK - 1) / ROW_BLOCK, total * (double)(heads * head_dim) / 4);
  return RZ_OK;
}
