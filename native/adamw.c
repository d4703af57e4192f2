// The optimizer: AdamW in PyTorch's order of operations (torch/optim/adamw.py, single tensor), and the sum of squares for clipping.
#include "rzero.h"
#include "simd.h"

#define BLOCK 8192

typedef struct {
  float *param, *m, *v, *grad;
  double *sums;
  long count;
  float decay, beta1, beta2, one_minus_beta1, one_minus_beta2, step_size, root_correction, eps, grad_scale;
} adam_job;

static void adam_item(void *arg, long item, int thread) {
  (void)thread;
  const adam_job *a = arg;
  long end = (item + 1) * BLOCK < a->count ? (item + 1) * BLOCK : a->count;
  float *restrict param = a->param, *restrict ms = a->m, *restrict vs = a->v, *restrict grad = a->grad;
  const adam_job c = *a;
  for (long i = item * BLOCK; i < end; i++) {
    float g = grad[i] * c.grad_scale;
    grad[i] = 0;
    float p = param[i] * c.decay;
    float m = ms[i] + c.one_minus_beta1 * (g - ms[i]);
    float v = vs[i] * c.beta2 + c.one_minus_beta2 * g * g;
    float denominator = sqrtf(v) / c.root_correction + c.eps;
    ms[i] = m;
    vs[i] = v;
    param[i] = p - c.step_size * m / denominator;
  }
}

void rz_adamw(rz_context *ctx, float *param, float *grad, float *m, float *v, long count, double lr, double beta1, double beta2,
              double eps, double weight_decay, long step, float grad_scale) {
  double power1 = pow(beta1, (double)step), power2 = pow(beta2, (double)step);
  adam_job a = {.param = param,
                .m = m,
                .v = v,
                .grad = grad,
                .count = count,
                .decay = (float)(1.0 - lr * weight_decay),
                .beta1 = (float)beta1,
                .beta2 = (float)beta2,
                .one_minus_beta1 = (float)(1.0 - beta1),
                .one_minus_beta2 = (float)(1.0 - beta2),
                .step_size = (float)(lr / (1.0 - power1)),
                .root_correction = (float)sqrt(1.0 - power2),
                .eps = (float)eps,
                .grad_scale = grad_scale};
  rz_parallel(ctx, adam_item, &a, (count + BLOCK - 1) / BLOCK, (double)count);
}

typedef double d8 __attribute__((vector_size(64)));
typedef float v8u __attribute__((vector_size(32), aligned(4), may_alias));

static void square_item(void *arg, long item, int thread) {
  (void)thread;
  adam_job *a = arg;
  long i = item * BLOCK, end = i + BLOCK < a->count ? i + BLOCK : a->count;
  d8 sum = {};
  for (; i + 8 <= end; i += 8) {
    d8 x = __builtin_convertvector(*(const v8u *)(a->grad + i), d8);
    sum += x * x;
  }
  double total = ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
  for (; i < end; i++) total += (double)a->grad[i] * (double)a->grad[i];
  a->sums[item] = total;
}

double rz_sum_squares(rz_context *ctx, const float *x, long count) {
  long blocks = (count + BLOCK - 1) / BLOCK;
  double *sums = rz_shared(ctx, (size_t)(blocks + 1) * sizeof(double));
  if (!sums) return RZ_OUT_OF_MEMORY;
  adam_job a = {.grad = (float *)x, .count = count, .sums = sums};
  rz_parallel(ctx, square_item, &a, blocks, (double)count / 2);
  double total = 0;
  for (long b = 0; b < blocks; b++) total += sums[b];
  return total;
}
