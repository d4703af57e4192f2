// Backward of attention for packed causal sequences. An item is one sequence and one key/value head; queries go in blocks of a few
// rows in ascending order. Weights are recomputed from lse; nothing of size R × R is kept.
// Order per element: dq over keys as in attention.h; dk and dv over query rows ascending, within a row over the group's heads.
#include "attention.h"

#define QUERY_BLOCK 8
#define KEY_BLOCK 4

typedef struct {
  rz_context *ctx;
  float *dq, *dk, *dv;
  const float *dout, *out, *lse, *q, *k, *v;
  const int32_t *offsets;
  long heads, kv_heads, head_dim, width;
  float scale;
} backward_job;

// The rows of one block: p = exp(q·k · scale − lse) and ds, the gradient of q·k, both [rows · group, width] in scratch.
typedef struct {
  long first, rows, keys, kv_at;
  float *p, *ds;
} query_block;

// One query row of one head against its first n keys; p and ds are 0 from there to `keys`.
static void query_weights(const backward_job *b, long at, long n, const query_block *block, float *p, float *ds) {
  long dim = b->head_dim, stride = b->kv_heads * dim;
  float lse = b->lse[at];
  // out = Σ p·v, so Σ_j p_j dp_j = dout·out
  float delta = sum_lanes(dot_lanes(b->dout + at * dim, b->out + at * dim, dim));
  score_keys(p, b->q + at * dim, b->k + block->kv_at, n, stride, dim, b->scale);
  score_keys(ds, b->dout + at * dim, b->v + block->kv_at, n, stride, dim, 1.0f);
  for (long j = 0; j < n; j += VL) {
    vf weight = exp_v(load(p + j) - lse);
    store(p + j, weight);
    store(ds + j, weight * (load(ds + j) - delta) * b->scale);
  }
  for (long j = n; j < block->keys; j++) p[j] = ds[j] = 0;
}

// dv[j] += Σ p[i][j] · dout[i], dk[j] += Σ ds[i][j] · q[i] for `keys` keys from j, elements [e, e + VL·vectors) of E.
INLINE void keys_backward_of(const backward_job *b, const query_block *block, long head, long j, long e, int keys, int vectors, long width) {
  long dim = b->head_dim, stride = b->kv_heads * dim, group = b->heads / b->kv_heads;
  float *to_k = b->dk + block->kv_at + j * stride + e, *to_v = b->dv + block->kv_at + j * stride + e;
  vf dk[KEY_BLOCK][2], dv[KEY_BLOCK][2];
UNROLL
  for (int i = 0; i < keys * vectors; i++) {
    int key = i / vectors, v = i % vectors;
    dk[key][v] = load(to_k + key * stride + v * VL);
    dv[key][v] = load(to_v + key * stride + v * VL);
  }
  for (long r = 0; r < block->rows; r++) {
    for (long g = 0; g < group; g++) {
      const float *q = b->q + ((block->first + r) * b->heads + head + g) * dim + e;
      const float *dout = b->dout + ((block->first + r) * b->heads + head + g) * dim + e;
      const float *p = block->p + (r * group + g) * b->width + j, *ds = block->ds + (r * group + g) * b->width + j;
UNROLL
      for (int i = 0; i < keys * vectors; i++) {
        int key = i / vectors, v = i % vectors;
        dk[key][v] = fma_v(load(q + v * VL), splat(ds[key]), dk[key][v]);
        dv[key][v] = fma_v(load(dout + v * VL), splat(p[key]), dv[key][v]);
      }
    }
  }
UNROLL
  for (int i = 0; i < keys * vectors; i++) {
    int key = i / vectors, v = i % vectors;
    store_upto(to_k + key * stride + v * VL, dk[key][v], width - v * VL);
    store_upto(to_v + key * stride + v * VL, dv[key][v], width - v * VL);
  }
}

static void keys_backward(const backward_job *b, const query_block *block, long head) {
  for (long e = 0; e < b->head_dim; e += 2 * VL) {
    long width = b->head_dim - e, j = 0;
    int two = width > VL;
    for (; j + KEY_BLOCK <= block->keys; j += KEY_BLOCK) {
      if (two) keys_backward_of(b, block, head, j, e, KEY_BLOCK, 2, width);
      else keys_backward_of(b, block, head, j, e, KEY_BLOCK, 1, width);
    }
    for (; j < block->keys; j++) {
      if (two) keys_backward_of(b, block, head, j, e, 1, 2, width);
      else keys_backward_of(b, block, head, j, e, 1, 1, width);
    }
  }
}

static void backward_item(void *arg, long item, int thread) {
  backward_job *b = arg;
  long s = item / b->kv_heads, kv = item % b->kv_heads, group = b->heads / b->kv_heads, dim = b->head_dim;
  long first = b->offsets[s], last = b->offsets[s + 1], stride = b->kv_heads * dim, kv_at = first * stride + kv * dim;
  float *ones = rz_scratch(b->ctx, thread), *p = ones + group, *ds = p + QUERY_BLOCK * group * b->width;
  for (long g = 0; g < group; g++) ones[g] = 1.0f;
  for (long r = 0; r < last - first; r++) {
    memset(b->dk + kv_at + r * stride, 0, (size_t)dim * sizeof(float));
    memset(b->dv + kv_at + r * stride, 0, (size_t)dim * sizeof(float));
  }
  for (long r0 = first; r0 < last; r0 += QUERY_BLOCK) {
    long rows = last - r0 < QUERY_BLOCK ? last - r0 : QUERY_BLOCK;
    query_block block = {r0, rows, r0 + rows - first, kv_at, p, ds};
    for (long r = 0; r < rows; r++) {
      long n = r0 + r - first + 1, at = (r0 + r) * b->heads + kv * group;
      float *row_p = p + r * group * b->width, *row_ds = ds + r * group * b->width;
      for (long g = 0; g < group; g++) query_weights(b, at + g, n, &block, row_p + g * b->width, row_ds + g * b->width);
      segment keys[2] = {{b->k + kv_at, n}, {b->k + kv_at, 0}};
      weighted_sum(b->dq + at * dim, row_ds, b->width, ones, keys, stride, dim, group);
    }
    keys_backward(b, &block, kv * group);
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
  long group = heads / kv_heads, width = ((longest + LANES - 1) & -LANES) + LANES;
  if (rz_reserve(ctx, (size_t)(group + 2 * QUERY_BLOCK * group * width) * sizeof(float)) != RZ_OK) return RZ_OUT_OF_MEMORY;
  backward_job b = {ctx, dq, dk, dv, dout, out, lse, q, k, v, offsets, heads, kv_heads, head_dim, width, scale};
  rz_parallel(ctx, backward_item, &b, sequences * kv_heads, work);
  return RZ_OK;
}
