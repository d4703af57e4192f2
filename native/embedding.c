// Moving whole rows by index: embedding and its backward, gather, scatter. An index outside the table is RZ_BAD_INDEX and
// nothing is written.
#include "rzero.h"
#include "bf16.h"

#define ROW_BLOCK 64
#define COLUMN_BLOCK 64

typedef struct {
  void *y;
  const void *x;
  const int32_t *index;
  long rows, dim; // dim: bytes of a row where whole rows are copied, else elements
} rows_job;

static int bad_index(const int32_t *index, long rows, long limit) {
  int bad = 0;
  for (long r = 0; r < rows; r++) bad |= index[r] < 0 || index[r] >= limit;
  return bad;
}

static void gather_item(void *arg, long item, int thread) {
  (void)thread;
  rows_job *g = arg;
  for (long r = item * ROW_BLOCK; r < g->rows && r < (item + 1) * ROW_BLOCK; r++)
    memcpy((char *)g->y + r * g->dim, (const char *)g->x + g->index[r] * g->dim, (size_t)g->dim);
}

static void gather_bf16_item(void *arg, long item, int thread) {
  (void)thread;
  rows_job *g = arg;
  for (long r = item * ROW_BLOCK; r < g->rows && r < (item + 1) * ROW_BLOCK; r++) {
    float *y = (float *)g->y + r * g->dim;
    const bf16 *x = (const bf16 *)g->x + g->index[r] * g->dim;
    for (long d = 0; d < g->dim; d += VL) store_upto(y + d, from_bf16_v(load_bf16(x + d)), g->dim - d);
  }
}

static void scatter_item(void *arg, long item, int thread) {
  (void)thread;
  rows_job *g = arg;
  for (long r = item * ROW_BLOCK; r < g->rows && r < (item + 1) * ROW_BLOCK; r++)
    memcpy((char *)g->y + g->index[r] * g->dim, (const char *)g->x + r * g->dim, (size_t)g->dim);
}

// Items are column ranges: each thread walks all rows in order, so equal indices add up in row order.
static void scatter_add_item(void *arg, long item, int thread) {
  (void)thread;
  rows_job *g = arg;
  long from = item * COLUMN_BLOCK, to = from + COLUMN_BLOCK < g->dim ? from + COLUMN_BLOCK : g->dim;
  for (long r = 0; r < g->rows; r++) {
    float *y = (float *)g->y + g->index[r] * g->dim;
    const float *x = (const float *)g->x + r * g->dim;
    for (long d = from; d < to; d++) y[d] += x[d];
  }
}

int rz_gather_rows(rz_context *ctx, void *y, const void *x, const int32_t *index, long rows, long row_bytes, long limit) {
  if (bad_index(index, rows, limit)) return RZ_BAD_INDEX;
  rows_job g = {y, x, index, rows, row_bytes};
  rz_parallel(ctx, gather_item, &g, (rows + ROW_BLOCK - 1) / ROW_BLOCK, (double)rows * (double)row_bytes / 4);
  return RZ_OK;
}

int rz_gather_bf16(rz_context *ctx, float *y, const uint16_t *x, const int32_t *index, long rows, long dim, long limit) {
  if (bad_index(index, rows, limit)) return RZ_BAD_INDEX;
  rows_job g = {y, x, index, rows, dim};
  rz_parallel(ctx, gather_bf16_item, &g, (rows + ROW_BLOCK - 1) / ROW_BLOCK, (double)rows * (double)dim);
  return RZ_OK;
}

int rz_scatter_rows(rz_context *ctx, void *y, const void *x, const int32_t *index, long rows, long row_bytes, long limit) {
  if (bad_index(index, rows, limit)) return RZ_BAD_INDEX;
  rows_job g = {y, x, index, rows, row_bytes};
  rz_parallel(ctx, scatter_item, &g, (rows + ROW_BLOCK - 1) / ROW_BLOCK, (double)rows * (double)row_bytes / 4);
  return RZ_OK;
}

int rz_scatter_add_rows(rz_context *ctx, float *y, const float *x, const int32_t *index, long rows, long dim, long limit) {
  if (bad_index(index, rows, limit)) return RZ_BAD_INDEX;
  rows_job g = {y, x, index, rows, dim};
  rz_parallel(ctx, scatter_add_item, &g, (dim + COLUMN_BLOCK - 1) / COLUMN_BLOCK, (double)rows * (double)dim);
  return RZ_OK;
}
