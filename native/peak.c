// The speed limit of this machine as this compiler sees it: independent f32 fused multiply-adds on every thread. For `bench`.
#include "rzero.h"
#include "simd.h"
#include <time.h>

#define CHAINS 10
#define STEPS 20000

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
  vf acc[CHAINS] = {};
  volatile float one = 0.999f;
  vf a = splat(one), b = splat(one * 1e-3f);
  double start = seconds_now(), spent = 0, rounds = 0;
  while (spent < job->seconds) {
    for (long s = 0; s < STEPS; s++)
UNROLL
      for (int c = 0; c < CHAINS; c++) acc[c] = fma_v(acc[c], a, b);
    rounds++;
    spent = seconds_now() - start;
  }
  volatile float sink = 0;
  for (int c = 0; c < CHAINS; c++) sink += acc[c][0];
  (void)sink;
  job->gflops[item] = rounds * STEPS * CHAINS * VL * 2 / spent / 1e9;
}

double rz_peak(rz_context *ctx, double seconds) {
  peak_job job = {.seconds = seconds};
  long threads = rz_threads(ctx) < 256 ? rz_threads(ctx) : 256;
  rz_parallel(ctx, peak_item, &job, threads, 1e12);
  double total = 0;
  for (long t = 0; t < threads; t++) total += job.gflops[t];
  return total;
}
