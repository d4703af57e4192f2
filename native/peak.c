// The limits of this machine as this compiler sees them, for `bench`: multiply-adds in f32 and bf16 on independent chains, and reading
// memory, each on every thread.
#include "rzero.h"
#include "bf16.h"
#include <time.h>
#include <unistd.h>

#define CHAINS (VL == 8 ? 12 : 16) // more than latency × throughput; fewer than registers
#define STEPS 20000

static double seconds_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

// Makes the compiler believe that x is used.
INLINE void keep(vf x) { __asm__ volatile("" : : "m"(x)); }

typedef struct {
  double seconds;
  int format;
  const float *memory;
  long span; // floats of memory per item
  _Alignas(64) double rate[256];
} peak_job;

INLINE vf step(int format, vf sum, vf a, vf b) {
  return format == RZ_BF16 ? bf16_dot(sum, a, b) : fma_v(a, b, sum);
}

// GFLOP/s of this thread.
INLINE double chains(int format, double seconds) {
  volatile float unknown = 1e-3f; // to the compiler, which would merge equal chains
  vf acc[CHAINS], a = splat(unknown), b = splat(unknown);
UNROLL
  for (int c = 0; c < CHAINS; c++) acc[c] = splat(unknown);
  double start = seconds_now(), spent = 0, rounds = 0;
  while (spent < seconds) {
    for (long s = 0; s < STEPS; s++)
UNROLL
      for (int c = 0; c < CHAINS; c++) acc[c] = step(format, acc[c], a, b);
    rounds++;
    spent = seconds_now() - start;
  }
UNROLL
  for (int c = 1; c < CHAINS; c++) acc[0] += acc[c];
  keep(acc[0]);
  return rounds * STEPS * CHAINS * VL * (format == RZ_BF16 ? 4 : 2) / spent / 1e9;
}

static void peak_item(void *arg, long item, int thread) {
  (void)thread;
  peak_job *job = arg;
  job->rate[item] = job->format == RZ_BF16 ? chains(RZ_BF16, job->seconds) : chains(RZ_F32, job->seconds);
}

static long job_threads(rz_context *ctx) { return rz_threads(ctx) < 256 ? rz_threads(ctx) : 256; }

double rz_peak(rz_context *ctx, double seconds, int format) {
  if (format == RZ_BF16 && !BF16_DOT) return 0;
  peak_job job = {.seconds = seconds, .format = format};
  long threads = job_threads(ctx);
  rz_parallel(ctx, peak_item, &job, threads, 1e12);
  double total = 0;
  for (long t = 0; t < threads; t++) total += job.rate[t];
  return total;
}

static void read_item(void *arg, long item, int thread) {
  (void)thread;
  peak_job *job = arg;
  const float *from = job->memory + item * job->span;
  vf sum[8] = {};
  for (long i = 0; i + 8 * VL <= job->span; i += 8 * VL)
UNROLL
    for (int c = 0; c < 8; c++) sum[c] += load(from + i + c * VL);
UNROLL
  for (int c = 1; c < 8; c++) sum[0] += sum[c];
  keep(sum[0]);
}

double rz_memory_bandwidth(rz_context *ctx, double seconds) {
  long cache = 0;
#ifdef _SC_LEVEL3_CACHE_SIZE
  cache = sysconf(_SC_LEVEL3_CACHE_SIZE);
#endif
  long bytes = 4 * cache > 256L << 20 ? 4 * cache : 256L << 20, threads = job_threads(ctx);
  float *memory = rz_alloc((size_t)bytes);
  if (!memory) return 0;
  memset(memory, 1, (size_t)bytes); // untouched pages would all be one page of zeros
  peak_job job = {.memory = memory, .span = bytes / 4 / (4 * threads) / 64 * 64};
  double best = 0, start = seconds_now();
  while (seconds_now() - start < seconds || best == 0) {
    double before = seconds_now();
    rz_parallel(ctx, read_item, &job, 4 * threads, 1e12);
    double rate = (double)(job.span * 16 * threads) / (seconds_now() - before) / 1e9;
    if (rate > best) best = rate;
  }
  rz_free(memory);
  return best;
}
