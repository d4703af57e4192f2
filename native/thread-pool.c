// A persistent pool: items of a job are handed out by one atomic word. Idle threads spin for some microseconds, then sleep.
// The calling thread works too and waits only for items that were taken, never for a thread that is still asleep.
// Knows nothing of kernels; who computes which item can never change an item's result.
#include "rzero.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#define SMALL_WORK 40000.0 // operations below which waking another thread costs more than it saves
#define SPIN_NS 30000

struct rz_context {
  int threads;
  // Generation in the high half, items not yet taken in the low half. An item is taken by compare-and-swap, which fails if the
  // job has changed meanwhile; while any item is untaken, task/arg/items below belong to this generation.
  _Alignas(64) _Atomic uint64_t state;
  _Alignas(64) atomic_long done;
  _Alignas(64) _Atomic(rz_task) task;
  _Atomic(void *) arg;
  atomic_long items;
  pthread_mutex_t lock;
  pthread_cond_t wake;
  atomic_int sleepers;
  atomic_bool stop;
  pthread_t *handles;
  void **scratch;
  size_t scratch_bytes;
  void *shared;
  size_t shared_bytes;
};

typedef struct {
  rz_context *ctx;
  int thread;
} start_info;

static inline void cpu_pause(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

// Takes and runs items until none is left.
static void work(rz_context *ctx, int thread) {
  for (;;) {
    uint64_t state = atomic_load_explicit(&ctx->state, memory_order_acquire);
    uint32_t left = (uint32_t)state;
    if (left == 0) return;
    rz_task task = ctx->task;
    void *arg = ctx->arg;
    long item = ctx->items - (long)left;
    if (!atomic_compare_exchange_weak_explicit(&ctx->state, &state, state - 1, memory_order_acq_rel, memory_order_relaxed)) continue;
    task(arg, item, thread);
    atomic_fetch_add_explicit(&ctx->done, 1, memory_order_acq_rel);
  }
}

static bool has_work(rz_context *ctx) { return (uint32_t)atomic_load(&ctx->state) != 0; }

// Returns false when the pool is to end.
static bool wait_for_work(rz_context *ctx) {
  int64_t deadline = now_ns() + SPIN_NS;
  while (now_ns() < deadline) {
    for (int i = 0; i < 32; i++) {
      if (has_work(ctx)) return true;
      cpu_pause();
    }
    if (atomic_load(&ctx->stop)) return false;
  }
  pthread_mutex_lock(&ctx->lock);
  atomic_fetch_add(&ctx->sleepers, 1);
  while (!has_work(ctx) && !atomic_load(&ctx->stop)) pthread_cond_wait(&ctx->wake, &ctx->lock);
  atomic_fetch_sub(&ctx->sleepers, 1);
  pthread_mutex_unlock(&ctx->lock);
  return !atomic_load(&ctx->stop);
}

static void *run_thread(void *arg) {
  start_info info = *(start_info *)arg;
  free(arg);
  while (wait_for_work(info.ctx)) work(info.ctx, info.thread);
  return NULL;
}

void rz_parallel(rz_context *ctx, rz_task task, void *arg, long items, double amount) {
  if (ctx->threads == 1 || items < 2 || amount < SMALL_WORK || items > INT32_MAX) {
    for (long i = 0; i < items; i++) task(arg, i, 0);
    return;
  }
  ctx->task = task;
  ctx->arg = arg;
  ctx->items = items;
  atomic_store(&ctx->done, 0);
  uint64_t generation = (atomic_load(&ctx->state) >> 32) + 1;
  atomic_store(&ctx->state, generation << 32 | (uint64_t)items); // sequentially consistent: ordered before reading `sleepers`
  if (atomic_load(&ctx->sleepers) > 0) {
    pthread_mutex_lock(&ctx->lock);
    pthread_cond_broadcast(&ctx->wake);
    pthread_mutex_unlock(&ctx->lock);
  }
  work(ctx, 0);
  for (long spins = 0; atomic_load_explicit(&ctx->done, memory_order_acquire) < items; spins++) {
    if (spins < 2000) cpu_pause();
    else sched_yield(); // the other thread was preempted in the middle of an item
  }
}

rz_context *rz_create(int threads) {
  rz_context *ctx = rz_alloc(sizeof *ctx);
  if (!ctx) return NULL;
  if (threads < 1) threads = 1;
  pthread_mutex_init(&ctx->lock, NULL);
  pthread_cond_init(&ctx->wake, NULL);
  ctx->handles = calloc((size_t)threads, sizeof *ctx->handles);
  ctx->scratch = calloc((size_t)threads, sizeof *ctx->scratch);
  ctx->threads = 1;
  if (!ctx->handles || !ctx->scratch) {
    rz_destroy(ctx);
    return NULL;
  }
  for (int t = 1; t < threads; t++) {
    start_info *info = malloc(sizeof *info);
    if (!info) break;
    *info = (start_info){ctx, t};
    if (pthread_create(&ctx->handles[t], NULL, run_thread, info) != 0) {
      free(info);
      break; // fewer threads, the same results
    }
    ctx->threads = t + 1;
  }
  return ctx;
}

void rz_destroy(rz_context *ctx) {
  pthread_mutex_lock(&ctx->lock);
  atomic_store(&ctx->stop, true);
  pthread_cond_broadcast(&ctx->wake);
  pthread_mutex_unlock(&ctx->lock);
  for (int t = 1; t < ctx->threads; t++) pthread_join(ctx->handles[t], NULL);
  for (int t = 0; ctx->scratch && t < ctx->threads; t++) rz_free(ctx->scratch[t]);
  rz_free(ctx->shared);
  free(ctx->scratch);
  free(ctx->handles);
  pthread_cond_destroy(&ctx->wake);
  pthread_mutex_destroy(&ctx->lock);
  rz_free(ctx);
}

int rz_threads(const rz_context *ctx) { return ctx->threads; }

int rz_reserve(rz_context *ctx, size_t bytes) {
  if (bytes <= ctx->scratch_bytes) return RZ_OK;
  ctx->scratch_bytes = 0;
  for (int t = 0; t < ctx->threads; t++) {
    rz_free(ctx->scratch[t]);
    ctx->scratch[t] = rz_alloc(bytes);
    if (!ctx->scratch[t]) return RZ_OUT_OF_MEMORY;
  }
  ctx->scratch_bytes = bytes;
  return RZ_OK;
}

void *rz_scratch(rz_context *ctx, int thread) { return ctx->scratch[thread]; }

void *rz_shared(rz_context *ctx, size_t bytes) {
  if (bytes > ctx->shared_bytes) {
    rz_free(ctx->shared);
    ctx->shared_bytes = 0;
    ctx->shared = rz_alloc(bytes);
    if (ctx->shared) ctx->shared_bytes = bytes;
  }
  return ctx->shared;
}
