// The C side of the CPU device: every exported function, each the kernel of one op of src/engine/local/device/types.ts.
// Callers validate sizes; kernels validate only indices (tokens, rows), because those are data.
// Legend: R rows, D hidden, H query heads, K key/value heads, E head dim, F feed-forward, V vocabulary, N any count.
// Exactness: each output element is reduced in one fixed order that depends on neither R, other rows, nor the thread count.
#ifndef RZERO_H
#define RZERO_H
#include <stddef.h>
#include <stdint.h>

#define RZ_EXPORT __attribute__((visibility("default")))

// Result of functions that can fail.
enum { RZ_OK = 0, RZ_OUT_OF_MEMORY = -1, RZ_BAD_INDEX = -2 };

// --- context: a thread pool and its scratch memory (thread-pool.c) ---
typedef struct rz_context rz_context;
typedef void (*rz_task)(void *arg, long item, int thread);
RZ_EXPORT rz_context *rz_create(int threads);
RZ_EXPORT void rz_destroy(rz_context *ctx);
int rz_threads(const rz_context *ctx);
// Runs task(arg, item, thread) for item 0..items-1. `work` is roughly the time one thread needs, in tenths of a nanosecond (a float
// moved in a cache, 8 fused multiply-adds): small jobs stay on the calling thread.
void rz_parallel(rz_context *ctx, rz_task task, void *arg, long items, double work);
// Makes sure that each thread has `bytes` of scratch; contents do not survive the next call. RZ_OUT_OF_MEMORY on failure.
int rz_reserve(rz_context *ctx, size_t bytes);
void *rz_scratch(rz_context *ctx, int thread);
// Scratch seen by all threads of one op.
void *rz_shared(rz_context *ctx, size_t bytes);

// --- memory (memory.c) ---
RZ_EXPORT void *rz_alloc(size_t bytes); // zeroed, 64-byte aligned, NULL when there is not enough
RZ_EXPORT void rz_free(void *memory);
RZ_EXPORT void rz_zero(void *memory, size_t bytes);
RZ_EXPORT void rz_copy(void *dst, const void *src, size_t bytes);
// `bytes` bytes of a file from `offset`, read-only; elements lie at multiples of `align`. NULL on failure: report[0] is errno, or 0 where
// the path is no regular file or too short; report[1] is the file's size.
RZ_EXPORT void *rz_map(const char *path, int64_t offset, int64_t bytes, int64_t align, double *report);
RZ_EXPORT void rz_unmap(void *part, int64_t offset, int64_t bytes);

// --- f32 and bf16 (cast.c) ---
RZ_EXPORT void rz_to_bf16(rz_context *ctx, uint16_t *dst, const float *src, long count); // to nearest, ties to even; NaN stays NaN
RZ_EXPORT void rz_from_bf16(rz_context *ctx, float *dst, const uint16_t *src, long count);

// --- matrix products (gemm.c, gemm-few.c, gemm-weight.c); formats as `WeightFormat` in types.ts ---
enum { RZ_F32 = 0, RZ_BF16 = 1, RZ_INT8 = 2 };
RZ_EXPORT int rz_has_bf16_dot(void); // whether bf16 products run on an instruction of their own
RZ_EXPORT size_t rz_packed_bytes(long out, long in, int format);
RZ_EXPORT void rz_pack_weight(rz_context *ctx, void *packed, const void *w, long out, long in, int format, int from_bf16);
RZ_EXPORT int rz_linear(rz_context *ctx, float *y, const float *x, const void *packed, const float *bias, long rows, long out, long in,
                        int accumulate, int format);
// The same for two or three weights and one x; packed2 may be NULL.
RZ_EXPORT int rz_linears(rz_context *ctx, const float *x, long rows, long in, int format, float *y0, const void *packed0, const float *bias0,
                         long out0, float *y1, const void *packed1, const float *bias1, long out1, float *y2, const void *packed2,
                         const float *bias2, long out2);
RZ_EXPORT int rz_linear_backward_input(rz_context *ctx, float *dx, const float *dy, const void *packed, long rows, long out, long in,
                                       int accumulate, int format);
RZ_EXPORT int rz_linear_backward_weight(rz_context *ctx, float *dw, const float *dy, const float *x, long rows, long out, long in,
                                        int accumulate, int format);
RZ_EXPORT void rz_bias_backward(rz_context *ctx, float *dbias, const float *dy, long rows, long out);

// --- rows (embedding.c); `limit` is the number of rows that an index may name ---
RZ_EXPORT int rz_gather_rows(rz_context *ctx, void *y, const void *x, const int32_t *index, long rows, long row_bytes, long limit);
RZ_EXPORT int rz_gather_bf16(rz_context *ctx, float *y, const uint16_t *x, const int32_t *index, long rows, long dim, long limit); // widens
RZ_EXPORT int rz_scatter_rows(rz_context *ctx, void *y, const void *x, const int32_t *index, long rows, long row_bytes, long limit);
RZ_EXPORT int rz_scatter_add_rows(rz_context *ctx, float *y, const float *x, const int32_t *index, long rows, long dim, long limit);

// --- pointwise and norms (norm.c, rope.c, swiglu.c) ---
RZ_EXPORT void rz_add(rz_context *ctx, float *y, const float *a, const float *b, long count);
RZ_EXPORT void rz_rms_norm(rz_context *ctx, float *y, float *rstd, const float *x, const float *weight, long rows, long dim, float eps);
RZ_EXPORT int rz_rms_norm_backward(rz_context *ctx, float *dx, float *dweight, const float *dy, const float *x, const float *weight,
                                   const float *rstd, long rows, long dim, int accumulate);
RZ_EXPORT int rz_rope(rz_context *ctx, float *x, const float *cos, const float *sin, const int32_t *positions, long rows, long heads,
                      long head_dim, long limit, int inverse);
RZ_EXPORT void rz_swiglu(rz_context *ctx, float *y, const float *gate, const float *up, long count);
RZ_EXPORT void rz_swiglu_backward(rz_context *ctx, float *dgate, float *dup, const float *dy, const float *gate, const float *up, long count);

// --- attention (attention.c, attention-backward.c); `limit` is the number of key/value rows; `bf16` says that k and v are bf16, not f32 ---
RZ_EXPORT int rz_attention(rz_context *ctx, float *out, float *lse, const float *q, const void *k, const void *v,
                           const int32_t *prefix_start, const int32_t *prefix_length, const int32_t *start, const int32_t *length, long rows,
                           long heads, long kv_heads, long head_dim, float scale, long limit, int bf16);
RZ_EXPORT int rz_attention_backward(rz_context *ctx, float *dq, float *dk, float *dv, const float *dout, const float *out, const float *lse,
                                    const float *q, const void *k, const void *v, const int32_t *offsets, const int32_t *prefix,
                                    long sequences, long rows, long heads, long kv_heads, long head_dim, float scale, int bf16);

// --- vocabulary (logprob.c, sampling.c) ---
RZ_EXPORT int rz_logprob(rz_context *ctx, float *logprobs, float *lse, const float *logits, const int32_t *targets, long rows, long vocab);
RZ_EXPORT int rz_logprob_backward(rz_context *ctx, float *logits, const float *dlogprobs, const float *lse, const int32_t *targets, long rows,
                                  long vocab);
RZ_EXPORT int rz_sample_tokens(rz_context *ctx, int32_t *tokens, float *logprobs, const float *logits, const float *temperature,
                               const int32_t *top_k, const float *top_p, const float *uniforms, const int32_t *forced, long rows, long vocab);

// --- optimizer (adamw.c) ---
RZ_EXPORT double rz_sum_squares(rz_context *ctx, const float *x, long count); // negative: out of memory
// `first` is the index of the first element among all that step together. `packed`, or NULL: panels of param as a weight of rows of `in`.
RZ_EXPORT int rz_adamw(rz_context *ctx, float *param, float *grad, void *m, void *v, int bf16_moments, long count, double lr, double beta1,
                       double beta2, double eps, double weight_decay, long step, float grad_scale, long first, int keep_grad, void *packed,
                       long in, int format);

// --- lists of calls (call-list.c) ---
// Ends at the first call that fails, whose place in the list goes to *failed.
RZ_EXPORT int rz_run(rz_context *ctx, const double *list, long length, double *failed);

// --- measuring (peak.c) ---
RZ_EXPORT double rz_peak(rz_context *ctx, double seconds, int format); // GFLOP/s of independent chains on all threads; 0: no such instruction
RZ_EXPORT double rz_memory_bandwidth(rz_context *ctx, double seconds); // GB/s read by all threads, best pass; 0: out of memory
#endif
