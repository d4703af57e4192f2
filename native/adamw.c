// The optimizer: AdamW in PyTorch's order of operations (torch/optim/adamw.py, single tensor), and the sum of squares for clipping.
// A weight's panels can be renewed on the way, while its rows are in the cache. Moments in bf16 are rounded by chance: to nearest, one that moves by less than half a unit in its last place would stand still.
#include "rzero.h"
#include "gemm.h"

#define BLOCK 8192

typedef struct {
  rz_context *ctx;
  float *param, *grad;
  void *m, *v; // floats or bf16
  double *sums;
  long count;
  float decay, beta2, one_minus_beta1, one_minus_beta2, step_size, root_correction, eps, grad_scale;
  uint32_t key; // of this step
  long first;
  int keep; // the gradient
  cell *packed;
  long in;
  int format, half;
} adam_job;

#if defined(__AVX512F__)
INLINE vf sqrt_v(vf x) { return (vf)_mm512_sqrt_ps((__m512)x); }
#elif defined(__AVX__)
INLINE vf sqrt_v(vf x) { return (vf)_mm256_sqrt_ps((__m256)x); }
#elif defined(__aarch64__)
INLINE vf sqrt_v(vf x) { return (vf)vsqrtq_f32((float32x4_t)x); }
#else
INLINE vf sqrt_v(vf x) {
  for (int i = 0; i < VL; i++) x[i] = sqrtf(x[i]);
  return x;
}
#endif

// A 32-bit hash (Wellons' lowbias32): every bit of the result depends on every bit of x.
INLINE vu hash_v(vu x) {
  x = (x ^ x >> 16) * 0x7feb352d;
  x = (x ^ x >> 15) * 0x846ca68b;
  return x ^ x >> 16;
}

INLINE vu counters(long from) {
  vu lane;
  for (int i = 0; i < VL; i++) lane[i] = (uint32_t)i;
  return lane + (uint32_t)from;
}

INLINE void adam_vector(const adam_job *c, long i, long left, int half) {
  vf ms, vs, g = load_upto(c->grad + i, left, 0) * c->grad_scale, p = load_upto(c->param + i, left, 0) * c->decay;
  if (half) {
    ms = from_bf16_v(load_bf16((bf16 *)c->m + i));
    vs = from_bf16_v(load_bf16((bf16 *)c->v + i));
  } else {
    ms = load_upto((float *)c->m + i, left, 0);
    vs = load_upto((float *)c->v + i, left, 0);
  }
  vf m = ms + c->one_minus_beta1 * (g - ms);
  vf v = vs * c->beta2 + c->one_minus_beta2 * g * g;
  vf denominator = sqrt_v(v) / c->root_correction + c->eps;
  store_upto(c->param + i, p - c->step_size * m / denominator, left);
  if (!c->keep) store_upto(c->grad + i, splat(0), left);
  if (half) {
    vu random = hash_v(counters(c->first + i) * 0x9e3779b1 + c->key); // 16 bits for each moment
    store_bf16_upto((bf16 *)c->m + i, to_bf16_random_v(m, random & 0xffff), left);
    store_bf16_upto((bf16 *)c->v + i, to_bf16_random_v(v, random >> 16), left);
  } else {
    store_upto((float *)c->m + i, m, left);
    store_upto((float *)c->v + i, v, left);
  }
}

INLINE void adam_block(const adam_job *job, long i, long end, int half) {
  const adam_job c = *job;
  for (; i + VL <= end; i += VL) adam_vector(&c, i, VL, half);
  if (i < end) adam_vector(&c, i, end - i, half);
}

static void adam_range(const adam_job *c, long from, long end) {
  if (c->half) adam_block(c, from, end, 1);
  else adam_block(c, from, end, 0);
}

static void adam_item(void *arg, long item, int thread) {
  (void)thread;
  const adam_job *c = arg;
  adam_range(c, item * BLOCK, rz_min((item + 1) * BLOCK, c->count));
}

// The rows of one panel. A large weight's panels go by way of scratch: memory past the caches is not read before it is written.
static void adam_panel(void *arg, long panel, int thread) {
  const adam_job *c = arg;
  long row = panel * NR, rows = rz_min(NR, c->count / c->in - row), steps = rz_steps(c->format, c->in);
  rz_source from = {ROWS_F32, c->param, c->in, c->in};
  adam_range(c, row * c->in, (row + rows) * c->in);
  cell *to = c->packed + panel * NR * steps, *by = c->count < STREAMED ? to : rz_scratch(c->ctx, thread);
  rz_pack(c->format, by, NR, &from, row, rows, 0, steps);
  if (by == to) return;
  for (long i = 0; i < NR * steps; i += VL) stream_v(to + i, load(by + i));
  stream_end();
}

int rz_adamw(rz_context *ctx, float *param, float *grad, void *m, void *v, int bf16_moments, long count, double lr, double beta1,
              double beta2, double eps, double weight_decay, long step, float grad_scale, long first, int keep_grad, void *packed, long in,
              int format) {
  double power1 = pow(beta1, (double)step), power2 = pow(beta2, (double)step);
  if (packed && count >= STREAMED && rz_reserve(ctx, NR * (size_t)rz_steps(format, in) * sizeof(cell)) != RZ_OK) return RZ_OUT_OF_MEMORY;
  adam_job a = {.ctx = ctx,
                .param = param,
                .grad = grad,
                .m = m,
                .v = v,
                .count = count,
                .decay = (float)(1.0 - lr * weight_decay),
                .beta2 = (float)beta2,
                .one_minus_beta1 = (float)(1.0 - beta1),
                .one_minus_beta2 = (float)(1.0 - beta2),
                .step_size = (float)(lr / (1.0 - power1)),
                .root_correction = (float)sqrt(1.0 - power2),
                .eps = (float)eps,
                .grad_scale = grad_scale,
                .key = hash_v((vu){} + (uint32_t)step)[0],
                .first = first,
                .keep = keep_grad,
                .packed = packed,
                .in = in,
                .format = format,
                .half = bf16_moments};
  if (packed) rz_parallel(ctx, adam_panel, &a, (count / in + NR - 1) / NR, (double)count * 6);
  else rz_parallel(ctx, adam_item, &a, (count + BLOCK - 1) / BLOCK, (double)count * 5);
  return RZ_OK;
}

typedef double d8 __attribute__((vector_size(64)));
typedef float v8u __attribute__((vector_size(32), aligned(4), may_alias));

// Four chains of eight: one would wait for its own additions.
static void square_item(void *arg, long item, int thread) {
  (void)thread;
  adam_job *a = arg;
  long i = item * BLOCK, end = i + BLOCK < a->count ? i + BLOCK : a->count;
  const float *x = a->grad;
  d8 chain[4] = {};
  for (; i + 32 <= end; i += 32) {
UNROLL
    for (int c = 0; c < 4; c++) {
      d8 wide = __builtin_convertvector(*(const v8u *)(x + i + 8 * c), d8);
      chain[c] += wide * wide;
    }
  }
  d8 sum = (chain[0] + chain[1]) + (chain[2] + chain[3]);
  double total = ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
  for (; i < end; i++) total += (double)x[i] * (double)x[i];
  a->sums[item] = total;
}

double rz_sum_squares(rz_context *ctx, const float *x, long count) {
  long blocks = (count + BLOCK - 1) / BLOCK;
  double *sums = rz_shared(ctx, (size_t)(blocks + 1) * sizeof(double));
  if (!sums) return RZ_OUT_OF_MEMORY;
  adam_job a = {.grad = (float *)x, .count = count, .sums = sums};
  rz_parallel(ctx, square_item, &a, blocks, (double)count);
  double total = 0;
  for (long b = 0; b < blocks; b++) total += sums[b];
  return total;
}
