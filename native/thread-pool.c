// A persistent pool: items of a job are handed out by one atomic word, several at a time while many are left. Idle threads spin for
// some microseconds, then sleep. The calling thread works too and waits only for items that were taken, never for a thread that is
// still asleep. Small jobs take few threads: each that joins in costs the others the cache lines it reads.
// Knows nothing of kernels; who computes which item can never change an item's result.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE // sched_getaffinity
#endif
#include "rzero.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define WORK_PER_THREAD 5000.0 // with less, setting a thread going costs more than it saves (decoding 8 to 32 rows of a tiny model)
#define SPIN_NS 100000 // longer than JavaScript takes between two steps of a tiny model: waking a thread costs as much as a small product
#define SHARES 8 // a thread takes this part of what would be its share of the items left

// What a helping thread sleeps on.
typedef struct {
  _Alignas(64) atomic_bool asleep;
  pthread_mutex_t lock;
  pthread_cond_t wake;
  pthread_t handle;
  void *scratch;
} rz_thread;

struct rz_context {
  int threads;
  int busy; // threads that work at a time: more than there are CPUs would only take turns
  // Generation in the high half, items not yet taken in the low half. Items are taken by compare-and-swap, which fails if the
  // job has changed meanwhile; while any item is untaken, task/arg/items/helpers below belong to this generation.
  _Alignas(64) _Atomic uint64_t state;
  _Atomic(rz_task) task;
  _Atomic(void *) arg;
  atomic_long items;
  atomic_int helpers; // threads 1..helpers take part
  atomic_bool stop;
  _Alignas(64) atomic_long done;
  _Alignas(64) rz_thread *each;
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

static long available_cpus(void) {
#ifdef CPU_COUNT
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
#endif
  return sysconf(_SC_NPROCESSORS_ONLN);
}

// Takes and runs items until none is left.
static void work(rz_context *ctx, int thread) {
  for (;;) {
    uint64_t state = atomic_load_explicit(&ctx->state, memory_order_acquire);
    uint32_t left = (uint32_t)state;
    if (left == 0) return;
    rz_task task = ctx->task;
    void *arg = ctx->arg;
    long first = ctx->items - (long)left, helpers = ctx->helpers, take = (long)left / (SHARES * (helpers + 1));
    if (thread > helpers) return;
    if (take < 1) take = 1;
    if (!atomic_compare_exchange_weak_explicit(&ctx->state, &state, state - (uint64_t)take, memory_order_acq_rel, memory_order_relaxed)) continue;
    for (long item = first; item < first + take; item++) task(arg, item, thread);
    atomic_fetch_add_explicit(&ctx->done, take, memory_order_acq_rel);
  }
}

static bool has_work(rz_context *ctx, int thread) { return (uint32_t)atomic_load(&ctx->state) != 0 && thread <= atomic_load(&ctx->helpers); }

static void wake(rz_context *ctx, int thread) {
  if (thread > atomic_load(&ctx->helpers) || !atomic_load(&ctx->each[thread].asleep)) return;
  pthread_mutex_lock(&ctx->each[thread].lock);
  pthread_cond_signal(&ctx->each[thread].wake);
  pthread_mutex_unlock(&ctx->each[thread].lock);
}

// A tree: no thread has to wake more than two, so 64 are awake after six steps.
static void wake_children(rz_context *ctx, int thread) {
  wake(ctx, 2 * thread + 1);
  wake(ctx, 2 * thread + 2);
}

// Returns false when the pool is to end.
static bool wait_for_work(rz_context *ctx, int thread) {
  rz_thread *me = &ctx->each[thread];
  int64_t deadline = now_ns() + SPIN_NS;
  while (now_ns() < deadline) {
    for (int i = 0; i < 32; i++) {
      if (has_work(ctx, thread)) return true;
      cpu_pause();
    }
    if (atomic_load(&ctx->stop)) return false;
  }
  pthread_mutex_lock(&me->lock);
  atomic_store(&me->asleep, true); // before the state is read again: the caller writes it before reading this
  while (!has_work(ctx, thread) && !atomic_load(&ctx->stop)) pthread_cond_wait(&me->wake, &me->lock);
  atomic_store(&me->asleep, false);
  pthread_mutex_unlock(&me->lock);
  return !atomic_load(&ctx->stop);
}

static void *run_thread(void *arg) {
  start_info info = *(start_info *)arg;
  free(arg);
  while (wait_for_work(info.ctx, info.thread)) {
    wake_children(info.ctx, info.thread);
    work(info.ctx, info.thread);
  }
  return NULL;
}

void rz_parallel(rz_context *ctx, rz_task task, void *arg, long items, double amount) {
  int helpers = (int)(amount / WORK_PER_THREAD < ctx->busy ? amount / WORK_PER_THREAD : ctx->busy) - 1;
  if (helpers > items - 1) helpers = (int)items - 1;
  if (helpers < 1 || items > INT32_MAX) {
    for (long i = 0; i < items; i++) task(arg, i, 0);
    return;
  }
  ctx->task = task;
  ctx->arg = arg;
  ctx->items = items;
  ctx->helpers = helpers;
  atomic_store(&ctx->done, 0);
  uint64_t generation = (atomic_load(&ctx->state) >> 32) + 1;
  atomic_store(&ctx->state, generation << 32 | (uint64_t)items); // sequentially consistent: ordered before reading who is asleep
  wake_children(ctx, 0);
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
  ctx->threads = 1;
  ctx->each = rz_alloc((size_t)threads * sizeof *ctx->each);
  if (!ctx->each) {
    rz_free(ctx);
    return NULL;
  }
  for (int t = 1; t < threads; t++) {
    start_info *info = malloc(sizeof *info);
    if (!info) break;
    *info = (start_info){ctx, t};
    pthread_mutex_init(&ctx->each[t].lock, NULL);
    pthread_cond_init(&ctx->each[t].wake, NULL);
    if (pthread_create(&ctx->each[t].handle, NULL, run_thread, info) != 0) {
      free(info);
      break; // fewer threads, the same results
    }
    ctx->threads = t + 1;
  }
  long cpus = available_cpus();
  ctx->busy = cpus < ctx->threads ? (int)cpus : ctx->threads;
  return ctx;
}

void rz_destroy(rz_context *ctx) {
  atomic_store(&ctx->stop, true);
  for (int t = 1; t < ctx->threads; t++) {
    rz_thread *each = &ctx->each[t];
    pthread_mutex_lock(&each->lock);
    pthread_cond_signal(&each->wake);
    pthread_mutex_unlock(&each->lock);
    pthread_join(each->handle, NULL);
    pthread_cond_destroy(&each->wake);
    pthread_mutex_destroy(&each->lock);
  }
  for (int t = 0; t < ctx->threads; t++) rz_free(ctx->each[t].scratch);
  rz_free(ctx->each);
  rz_free(ctx->shared);
  rz_free(ctx);
}

int rz_threads(const rz_context *ctx) { return ctx->threads; }

int rz_reserve(rz_context *ctx, size_t bytes) {
  if (bytes <= ctx->scratch_bytes) return RZ_OK;
  ctx->scratch_bytes = 0;
  for (int t = 0; t < ctx->threads; t++) {
    rz_free(ctx->each[t].scratch);
    ctx->each[t].scratch = rz_alloc(bytes);
    if (!ctx->each[t].scratch) return RZ_OUT_OF_MEMORY;
  }
  ctx->scratch_bytes = bytes;
  return RZ_OK;
}

void *rz_scratch(rz_context *ctx, int thread) { return ctx->each[thread].scratch; }

void *rz_shared(rz_context *ctx, size_t bytes) {
  if (bytes > ctx->shared_bytes) {
    rz_free(ctx->shared);
    ctx->shared_bytes = 0;
    ctx->shared = rz_alloc(bytes);
    if (ctx->shared) ctx->shared_bytes = bytes;
  }
  return ctx->shared;
}
