// Backward of attention for packed causal sequences. An item is one sequence and one key/value head; within it queries go in
// ascending order, and for each the query heads of the group. Weights are recomputed from lse; nothing of size R × R is kept.
#include "attention.h"

typedef struct {
  rz_context *ctx;
  float *dq, *dk, *dv;
  const float *dout, *out, *lse, *q, *k, *v;
  const int32_t *offsets;
  long heads, kv_heads, head_dim, longest;
  float scale;
} backward_job;

// rows[j] += weights[j] · x
static inline void add_outer(float *rows, const float *weights, const float *x, long n, long stride, long dim) {
  for (long e = 0; e < dim; e += LANES) {
    if (e + LANES <= dim) {
      v16 vx = load(x + e);
      for (long j = 0; j < n; j++) store(rows + j * stride + e, load(rows + j * stride + e) + vx * weights[j]);
    } else {
      v16 vx = load_part(x + e, dim - e, 0);
      for (long j = 0; j < n; j++) {
        float *to = rows + j * stride + e;
        store_part(to, load_part(to, dim - e, 0) + vx * weights[j], dim - e);
      }
    }
  }
}

// One query row of one head against keys 0..n-1 of its sequence.
static void query_backward(const backward_job *b, long r, long h, long n, long kv_at, float *p, float *dp) {
  long dim = b->head_dim, stride = b->kv_heads * dim, at = (r * b->heads + h) * dim;
  float lse = b->lse[r * b->heads + h];
  // out = Σ p·v, so Σ_j p_j dp_j = dout·out
  float delta = sum_lanes(dot_lanes(b->dout + at, b->out + at, dim));
  score_keys(p, b->q + at, b->k + kv_at, n, stride, dim, b->scale);
  score_keys(dp, b->dout + at, b->v + kv_at, n, stride, dim, 1.0f);
  for (long j = 0; j < n; j += LANES) {
    v16 weight = exp16(load(p + j) - lse);
    store(p + j, weight);
    store(dp + j, weight * (load(dp + j) - delta) * b->scale); // the gradient of q·k
  }
  add_outer(b->dv + kv_at, p, b->dout + at, n, stride, dim);
  add_outer(b->dk + kv_at, dp, b->q + at, n, stride, dim);
  add_weighted(b->dq + at, dp, b->k + kv_at, n, stride, dim);
}

static void backward_item(void *arg, long item, int thread) {
  backward_job *b = arg;
  long s = item / b->kv_heads, kv = item % b->kv_heads, group = b->heads / b->kv_heads;
  long first = b->offsets[s], last = b->offsets[s + 1];
  long stride = b->kv_heads * b->head_dim, kv_at = first * stride + kv * b->head_dim;
  size_t bytes = (size_t)b->head_dim * sizeof(float);
  float *p = rz_scratch(b->ctx, thread), *dp = p + b->longest;
  for (long r = first; r < last; r++) {
    memset(b->dk + kv_at + (r - first) * stride, 0, bytes);
    memset(b->dv + kv_at + (r - first) * stride, 0, bytes);
    for (long h = kv * group; h < (kv + 1) * group; h++) {
      memset(b->dq + (r * b->heads + h) * b->head_dim, 0, bytes);
      query_backward(b, r, h, r - first + 1, kv_at, p, dp);
    }
  }
}

int rz_attention_backward(rz_context *ctx, float *dq, float *dk, float *dv, const float *dout, const float *out, const float *lse,
                          const float *q, const float *k, const float *v, const int32_t *offsets, long sequences, long rows, long heads,
                          long kv_heads, long head_dim, float scale) {
  long longest = 0;
  double work = 0;
  for (long s = 0; s < sequences; s++) {
    long first = offsets[s], n = offsets[s + 1] - first;
    if (first < 0 || n < 0 || first + n > rows) return RZ_BAD_INDEX;
    if (n > longest) longest = n;
    work += (double)n * (double)n * (double)(heads * head_dim) / 4;
  }
  longest = (longest + 2 * LANES) & -LANES;
  if (rz_reserve(ctx, (size_t)(2 * longest) * sizeof(float)) != RZ_OK) return RZ_OUT_OF_MEMORY;
  backward_job b = {ctx, dq, dk, dv, dout, out, lse, q, k, v, offsets, heads, kv_heads, head_dim, longest, scale};
  rz_parallel(ctx, backward_item, &b, sequences * kv_heads, work);
  return RZ_OK;
}
