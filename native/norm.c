// Root-mean-square norm of rows, its backward, and addition. Used for hidden states and, per head, for query and key norms.
#include "rzero.h"
#include "simd.h"

#define ROW_BLOCK 64 // rows per item; also the block of the weight gradient's fixed summation order
#define ADD_BLOCK 16384

typedef struct {
  float *y, *rstd;
  const float *x, *weight, *dy;
  long rows, dim;
  float eps;
  float *partial; // [blocks, dim] weight gradients
  int accumulate;
} norm_job;

static void norm_item(void *arg, long item, int thread) {
  (void)thread;
  norm_job *n = arg;
  for (long r = item * ROW_BLOCK; r < n->rows && r < (item + 1) * ROW_BLOCK; r++) {
    const float *x = n->x + r * n->dim;
    lanes16 sum = {};
    for (long d = 0; d < n->dim; d += LANES) {
UNROLL
      for (int i = 0; i < PARTS; i++) {
        vf part = load_upto(x + d + i * VL, n->dim - d - i * VL, 0);
        sum.part[i] = fma_v(part, part, sum.part[i]);
      }
    }
    float rstd = 1.0f / sqrtf(sum_lanes(sum) / (float)n->dim + n->eps);
    n->rstd[r] = rstd;
    for (long d = 0; d < n->dim; d += VL) {
      long left = n->dim - d;
      store_upto(n->y + r * n->dim + d, load_upto(x + d, left, 0) * rstd * load_upto(n->weight + d, left, 0), left);
    }
  }
}

void rz_rms_norm(rz_context *ctx, float *y, float *rstd, const float *x, const float *weight, long rows, long dim, float eps) {
  norm_job n = {.y = y, .rstd = rstd, .x = x, .weight = weight, .rows = rows, .dim = dim, .eps = eps};
  rz_parallel(ctx, norm_item, &n, (rows + ROW_BLOCK - 1) / ROW_BLOCK, (double)rows * (double)dim / 4);
}

// y = x · s · w with s = rstd: dx = s · (dy·w) − s³ · x · Σ(dy·w·x) / D, dw = Σ_r dy · x · s
static void norm_backward_item(void *arg, long item, int thread) {
  (void)thread;
  norm_job *n = arg;
  long dim = n->dim;
  float *dweight = n->partial + item * dim;
  memset(dweight, 0, (size_t)dim * sizeof(float));
  for (long r = item * ROW_BLOCK; r < n->rows && r < (item + 1) * ROW_BLOCK; r++) {
    const float *x = n->x + r * dim, *dy = n->dy + r * dim;
    float *dx = n->y + r * dim, s = n->rstd[r];
    lanes16 sum = {};
    for (long d = 0; d < dim; d += LANES) {
UNROLL
      for (int i = 0; i < PARTS; i++) {
        long at = d + i * VL, left = dim - at;
        vf scaled = load_upto(dy + at, left, 0) * load_upto(n->weight + at, left, 0);
        sum.part[i] = fma_v(scaled, load_upto(x + at, left, 0), sum.part[i]);
      }
    }
    float pull = sum_lanes(sum) * s * s * s / (float)dim;
    for (long d = 0; d < dim; d += VL) {
      long left = dim - d;
      vf vx = load_upto(x + d, left, 0), vdy = load_upto(dy + d, left, 0);
      vf gradient = vdy * load_upto(n->weight + d, left, 0) * s - vx * pull;
      store_upto(dweight + d, load_upto(dweight + d, left, 0) + vdy * (vx * s), left);
      if (n->accumulate) gradient += load_upto(dx + d, left, 0);
      store_upto(dx + d, gradient, left);
    }
  }
}

int rz_rms_norm_backward(rz_context *ctx, float *dx, float *dweight, const float *dy, const float *x, const float *weight, const float *rstd,
                         long rows, long dim, int accumulate) {
  long blocks = (rows + ROW_BLOCK - 1) / ROW_BLOCK;
  float *partial = rz_shared(ctx, (size_t)(blocks * dim) * sizeof(float));
  if (!partial) return RZ_OUT_OF_MEMORY;
  norm_job n = {.y = dx, .rstd = (float *)rstd, .x = x, .weight = weight, .dy = dy, .rows = rows, .dim = dim, .partial = partial, .accumulate = accumulate};
  rz_parallel(ctx, norm_backward_item, &n, blocks, (double)rows * (double)dim / 2);
  for (long b = 0; b < blocks; b++)
    for (long d = 0; d < dim; d++) dweight[d] += partial[b * dim + d];
  return RZ_OK;
}

typedef struct {
  float *y;
  const float *a, *b;
  long count;
} add_job;

static void add_item(void *arg, long item, int thread) {
  (void)thread;
  add_job *j = arg;
  long end = (item + 1) * ADD_BLOCK < j->count ? (item + 1) * ADD_BLOCK : j->count;
  for (long i = item * ADD_BLOCK; i < end; i++) j->y[i] = j->a[i] + j->b[i];
}

void rz_add(rz_context *ctx, float *y, const float *a, const float *b, long count) {
  add_job j = {y, a, b, count};
  rz_parallel(ctx, add_item, &j, (count + ADD_BLOCK - 1) / ADD_BLOCK, (double)count / 4);
}
