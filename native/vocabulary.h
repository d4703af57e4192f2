// Rows of logits by fixed blocks of columns, so that all threads can work on one row: each block is summed up relative to its own
// largest logit, and blocks are put together in ascending order. Shared by logprob.c and sampling.c, which must agree to the bit.
#ifndef RZERO_VOCABULARY_H
#define RZERO_VOCABULARY_H
#include "rzero.h"
#include "simd.h"

#define COLUMNS 2048 // of a block
#define LOWEST (-3.40282347e38f)

// What is kept of each block: row r has entries [r · blocks, (r + 1) · blocks).
typedef struct {
  long blocks;    // per row
  float *max;     // largest logit, at least LOWEST
  double *sum;    // Σ exp(logit − max)
  double *weight; // Σ exp((logit − max) / temperature)
  float *tops;    // [16] each: the largest of every 16th logit
} block_sums;

INLINE long column_blocks(long vocab) { return (vocab + COLUMNS - 1) / COLUMNS; }
INLINE long block_end(long block, long vocab) { return (block + 1) * COLUMNS < vocab ? (block + 1) * COLUMNS : vocab; }

// Bytes of block_sums for `rows` rows, and its arrays laid into such memory.
size_t rz_block_bytes(long rows, long vocab);
block_sums rz_block_sums(void *memory, long rows, long vocab);
// Sums up all blocks of all rows. Temperatures may be NULL; those of 0 and 1 give `weight` = `sum`.
void rz_sum_blocks(rz_context *ctx, const block_sums *to, const float *logits, const float *temperatures, long rows, long vocab);
// Σ sums[b] · exp((max[b] − top) / temperature) over the blocks of one row.
double rz_join_blocks(const float *max, const double *sums, long blocks, float top, float temperature);
float rz_top_of_blocks(const float *max, long blocks);
// log Σ exp of row r, the one function behind every logprob.
float rz_row_lse(const block_sums *s, long r);
#endif
