// Root-mean-square norm of rows, its backward, and addition. Used for hidden states and, per head, for query and key norms.
// Rows go by four: the sum over one row is a chain of additions, and four chains keep the processor busy.
#include "rzero.h"
#include "simd.h"

#define ROW_BLOCK 64 // rows per item of the backward pass; also the block of the weight gradient's fixed summation order
#define ITEM_FLOATS 4096
#define COLUMN_BLOCK 512
#define ADD_BLOCK 8192

typedef struct {
  float *y, *rstd, *dweight;
  const float *x, *weight, *dy;
  long rows, dim, item_rows;
  float eps;
  float *partial; // [blocks, dim] weight gradients
  int accumulate;
} norm_job;

// Σ x² of neighbouring rows; `rows` is known when compiling.
INLINE void square_sums(float *sums, const float *x, long dim, int rows) {
  lanes16 sum[4] = {};
  long d = 0;
  for (; d + LANES <= dim; d += LANES)
UNROLL
    for (int r = 0; r < rows; r++)
UNROLL
      for (int p = 0; p < PARTS; p++) {
        vf v = load(x + r * dim + d + p * VL);
        sum[r].part[p] = fma_v(v, v, sum[r].part[p]);
      }
  for (int r = 0; r < rows; r++) {
    if (d < dim)
UNROLL
      for (int p = 0; p < PARTS; p++) {
        vf v = load_upto(x + r * dim + d + p * VL, dim - d - p * VL, 0);
        sum[r].part[p] = fma_v(v, v, sum[r].part[p]);
      }
    sums[r] = sum_lanes(sum[r]);
  }
}

INLINE void norm_rows(const norm_job *n, long r, int rows) {
  float sums[4];
  long dim = n->dim;
  square_sums(sums, n->x + r * dim, dim, rows);
  for (int i = 0; i < rows; i++) {
    const float *x = n->x + (r + i) * dim;
    float *y = n->y + (r + i) * dim, rstd = n->rstd[r + i] = 1.0f / sqrtf(sums[i] / (float)dim + n->eps);
    long d = 0;
    for (; d + VL <= dim; d += VL) store(y + d, load(x + d) * rstd * load(n->weight + d));
    if (d < dim) store_upto(y + d, load_upto(x + d, dim - d, 0) * rstd * load_upto(n->weight + d, dim - d, 0), dim - d);
  }
}

static void norm_item(void *arg, long item, int thread) {
  (void)thread;
  const norm_job *n = arg;
  long r = item * n->item_rows, end = r + n->item_rows < n->rows ? r + n->item_rows : n->rows;
  for (; r + 4 <= end; r += 4) norm_rows(n, r, 4);
  for (; r < end; r++) norm_rows(n, r, 1);
}

void rz_rms_norm(rz_context *ctx, float *y, float *rstd, const float *x, const float *weight, long rows, long dim, float eps) {
  long item_rows = ITEM_FLOATS / dim / 4 * 4;
  if (item_rows < 4) item_rows = rows < 4 * rz_threads(ctx) ? 1 : 4;
  norm_job n = {.y = y, .rstd = rstd, .x = x, .weight = weight, .rows = rows, .dim = dim, .item_rows = item_rows, .eps = eps};
  rz_parallel(ctx, norm_item, &n, (rows + item_rows - 1) / item_rows, (double)rows * (double)dim);
}

// Σ dy · weight · x of neighbouring rows.
INLINE void pull_sums(float *sums, const float *dy, const float *weight, const float *x, long dim, int rows) {
  lanes16 sum[4] = {};
  long d = 0;
  for (; d + LANES <= dim; d += LANES)
UNROLL
    for (int p = 0; p < PARTS; p++) {
      vf w = load(weight + d + p * VL);
UNROLL
      for (int r = 0; r < rows; r++) {
        long at = r * dim + d + p * VL;
        sum[r].part[p] = fma_v(load(dy + at) * w, load(x + at), sum[r].part[p]);
      }
    }
  for (int r = 0; r < rows; r++) {
    if (d < dim)
UNROLL
      for (int p = 0; p < PARTS; p++) {
        long at = r * dim + d + p * VL, left = dim - d - p * VL;
        vf scaled = load_upto(dy + at, left, 0) * load_upto(weight + d + p * VL, left, 0);
        sum[r].part[p] = fma_v(scaled, load_upto(x + at, left, 0), sum[r].part[p]);
      }
    sums[r] = sum_lanes(sum[r]);
  }
}

// y = x · s · w with s = rstd: dx = s · (dy·w) − s³ · x · Σ(dy·w·x) / D, dw = Σ_r dy · x · s
INLINE void norm_backward_rows(const norm_job *n, float *dweight, long from, int rows) {
  long dim = n->dim;
  const float *x = n->x + from * dim, *dy = n->dy + from * dim, *rstd = n->rstd + from;
  float *dx = n->y + from * dim, pull[4];
  pull_sums(pull, dy, n->weight, x, dim, rows);
  for (int r = 0; r < rows; r++) pull[r] = pull[r] * rstd[r] * rstd[r] * rstd[r] / (float)dim;
  for (long d = 0; d < dim; d += VL) {
    long left = dim - d;
    vf w = load_upto(n->weight + d, left, 0), dw = load_upto(dweight + d, left, 0);
UNROLL
    for (int r = 0; r < rows; r++) {
      long at = r * dim + d;
      vf vx = load_upto(x + at, left, 0), vdy = load_upto(dy + at, left, 0);
      vf gradient = vdy * w * rstd[r] - vx * pull[r];
      dw = dw + vdy * (vx * rstd[r]);
      if (n->accumulate) gradient += load_upto(dx + at, left, 0);
      store_upto(dx + at, gradient, left);
    }
    store_upto(dweight + d, dw, left);
  }
}

static void norm_backward_item(void *arg, long item, int thread) {
  (void)thread;
  const norm_job *n = arg;
  float *dweight = n->partial + item * n->dim;
  memset(dweight, 0, (size_t)n->dim * sizeof(float));
  long r = item * ROW_BLOCK, end = r + ROW_BLOCK < n->rows ? r + ROW_BLOCK : n->rows;
  for (; r + 4 <= end; r += 4) norm_backward_rows(n, dweight, r, 4);
  for (; r < end; r++) norm_backward_rows(n, dweight, r, 1);
}

static void dweight_item(void *arg, long item, int thread) {
  (void)thread;
  const norm_job *n = arg;
  long from = item * COLUMN_BLOCK, to = from + COLUMN_BLOCK < n->dim ? from + COLUMN_BLOCK : n->dim;
  for (long b = 0; b * ROW_BLOCK < n->rows; b++)
    for (long d = from; d < to; d++) n->dweight[d] += n->partial[b * n->dim + d];
}

int rz_rms_norm_backward(rz_context *ctx, float *dx, float *dweight, const float *dy, const float *x, const float *weight, const float *rstd,
                         long rows, long dim, int accumulate) {
  long blocks = (rows + ROW_BLOCK - 1) / ROW_BLOCK;
  float *partial = rz_shared(ctx, (size_t)(blocks * dim) * sizeof(float));
  if (!partial) return RZ_OUT_OF_MEMORY;
  norm_job n = {.y = dx, .rstd = (float *)rstd, .dweight = dweight, .x = x, .weight = weight, .dy = dy, .rows = rows, .dim = dim, .partial = partial, .accumulate = accumulate};
  rz_parallel(ctx, norm_backward_item, &n, blocks, (double)rows * (double)dim * 2);
  rz_parallel(ctx, dweight_item, &n, (dim + COLUMN_BLOCK - 1) / COLUMN_BLOCK, (double)(blocks * dim));
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
  rz_parallel(ctx, add_item, &j, (count + ADD_BLOCK - 1) / ADD_BLOCK, (double)count);
}
