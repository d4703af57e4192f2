// One token per row of logits: greedy, forced, or drawn after temperature, top-k and top-p.
// "Likeliest first" is by logit descending, then id ascending. The draw walks the kept tokens by ascending id, in double precision.
// Knows nothing of random numbers: the caller brings one uniform per row.
#include "rzero.h"
#include "simd.h"

typedef struct {
  rz_context *ctx;
  int32_t *tokens;
  float *logprobs;
  const float *logits, *temperature, *top_p, *uniforms;
  const int32_t *top_k, *forced;
  long rows, vocab;
} sampling_job;

static inline int before(const float *row, int32_t a, int32_t b) { return row[a] > row[b] || (row[a] == row[b] && a < b); }

static int32_t argmax(const float *row, long vocab) {
  int32_t best = 0;
  for (long i = 1; i < vocab; i++)
    if (row[i] > row[best]) best = (int32_t)i;
  return best;
}

static void sift_down(int32_t *heap, long n, const float *row, long at) {
  int32_t id = heap[at];
  for (long child; (child = 2 * at + 1) < n; at = child) {
    if (child + 1 < n && before(row, heap[child + 1], heap[child])) child++;
    if (!before(row, heap[child], id)) break;
    heap[at] = heap[child];
  }
  heap[at] = id;
}

// Takes the likeliest id off the heap of *n ids; it then stands at heap[*n], so taken ids lie from the end, likeliest last.
static int32_t pop(int32_t *heap, long *n, const float *row) {
  int32_t first = heap[0];
  heap[0] = heap[--*n];
  heap[*n] = first;
  sift_down(heap, *n, row, 0);
  return first;
}

// The least likely token that top-k and top-p keep.
static int32_t last_kept(const float *row, const float *weights, long vocab, long top_k, float top_p, int32_t *heap) {
  long n = vocab, count = top_k > 0 && top_k < vocab ? top_k : vocab;
  for (long i = 0; i < vocab; i++) heap[i] = (int32_t)i;
  for (long i = vocab / 2 - 1; i >= 0; i--) sift_down(heap, n, row, i);
  double mass = 0;
  int32_t last = heap[0];
  if (count < vocab) {
    for (long i = 0; i < count; i++) mass += (double)weights[last = pop(heap, &n, row)];
  } else {
    for (long i = 0; i < vocab; i++) mass += (double)weights[i];
  }
  if (!(top_p < 1.0f)) return last;
  double goal = (double)top_p * mass, reached = 0;
  for (long i = 0; i < count && (i == 0 || reached < goal); i++) {
    last = count < vocab ? heap[vocab - 1 - i] : pop(heap, &n, row);
    reached += (double)weights[last];
  }
  return last;
}

static int32_t draw(const float *row, long vocab, float temperature, long top_k, float top_p, float uniform, float *weights, int32_t *heap) {
  int32_t best = argmax(row, vocab);
  if (temperature == 0.0f) return best;
  for (long i = 0; i < vocab; i += VL) store(weights + i, exp_v((load_upto(row + i, vocab - i, -INFINITY) - row[best]) / temperature));
  if ((top_k > 0 && top_k < vocab) || top_p < 1.0f) {
    int32_t last = last_kept(row, weights, vocab, top_k, top_p, heap);
    for (long i = 0; i < vocab; i++)
      if (before(row, last, (int32_t)i)) weights[i] = 0;
  }
  double mass = 0, walked = 0;
  for (long i = 0; i < vocab; i++) mass += (double)weights[i];
  int32_t token = best;
  for (long i = 0; i < vocab; i++) {
    if (!(weights[i] > 0)) continue;
    token = (int32_t)i;
    walked += (double)weights[i];
    if (walked > (double)uniform * mass) break;
  }
  return token;
}

static void sampling_item(void *arg, long r, int thread) {
  sampling_job *j = arg;
  const float *row = j->logits + r * j->vocab;
  float *weights = rz_scratch(j->ctx, thread);
  int32_t *heap = (int32_t *)(weights + j->vocab + LANES);
  int32_t token = j->forced[r];
  if (token < 0) token = draw(row, j->vocab, j->temperature[r], j->top_k[r], j->top_p[r], j->uniforms[r], weights, heap);
  j->tokens[r] = token;
  j->logprobs[r] = row[token] - rz_row_lse(row, j->vocab);
}

int rz_sample_tokens(rz_context *ctx, int32_t *tokens, float *logprobs, const float *logits, const float *temperature, const int32_t *top_k,
                     const float *top_p, const float *uniforms, const int32_t *forced, long rows, long vocab) {
  for (long r = 0; r < rows; r++)
    if (forced[r] >= vocab) return RZ_BAD_INDEX;
  if (rz_reserve(ctx, (size_t)(2 * vocab + 2 * LANES) * 4) != RZ_OK) return RZ_OUT_OF_MEMORY;
  sampling_job j = {ctx, tokens, logprobs, logits, temperature, top_p, uniforms, top_k, forced, rows, vocab};
  rz_parallel(ctx, sampling_item, &j, rows, (double)rows * (double)vocab * 4);
  return RZ_OK;
}
