// The speed limit of this machine as this compiler sees it: independent f32 fused multiply-adds on every thread. For `bench`.
#include "rzero.h"
#include "simd.h"
#include <time.h>

#define CHAINS 10
#define STEPS 20000

#if defined(__AVX512F__)
#define WIDTH 16
#elif defined(__AVX__)
#define WIDTH 8
#else
#define WIDTH 4
#endif
typedef float vector __attribute__((vector_size(WIDTH * 4)));

static double seconds_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

typedef struct {
  double seconds;
  _Alignas(64) double gflops[256];
} peak_job;

static void peak_item(void *arg, long item, int thread) {
  (void)thread;
  peak_job *job = arg;
  vector acc[CHAINS] = {};
  volatile float one = 0.999f;
  vector a = one - (vector){}, b = (one * 1e-3f) - (vector){};
  double start = seconds_now(), spent = 0, rounds = 0;
  while (spent < job->seconds) {
    for (long s = 0; s < STEPS; s++)
#pragma GCC unroll 16
      for (int c = 0; c < CHAINS; c++) acc[c] = acc[c] * a + b;
    rounds++;
    spent = seconds_now() - start;
  }
  volatile float sink = 0;
  for (int c = 0; c < CHAINS; c++) sink += acc[c][0];
  job->gflops[item] = rounds * STEPS * CHAINS * WIDTH * 2 / spent / 1e9;
}

double rz_peak(rz_context *ctx, double seconds) {
  peak_job job = {.seconds = seconds};
  long threads = rz_threads(ctx) < 256 ? rz_threads(ctx) : 256;
  rz_parallel(ctx, peak_item, &job, threads, 1e12);
  double total = 0;
  for (long t = 0; t < threads; t++) total += job.gflops[t];
  return total;
}
