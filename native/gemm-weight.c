// Weights [out, in] as Hugging Face stores them, packed once into the panels that `linear` reads: f32, pairs of bf16, or int8 with
// one scale per output row. Knows nothing of the products.
#include "gemm.h"

int rz_has_bf16_dot(void) { return BF16_DOT; }

size_t rz_packed_bytes(long out, long in, int format) {
  size_t columns = (size_t)rz_round_up(out, NR);
  if (format == RZ_INT8) return rz_scales_at(out, in) + columns * sizeof(float);
  return columns * (size_t)rz_steps(format, in) * sizeof(cell);
}

typedef struct {
  void *packed;
  rz_source from;
  long out, in, steps;
  int format;
  long span, spans; // an item is `span` steps of one panel
} packing;

static void pack_item(void *arg, long item, int thread) {
  (void)thread;
  const packing *p = arg;
  long panel = item / p->spans, first = item % p->spans * p->span;
  cell *to = (cell *)p->packed + panel * NR * p->steps + first * NR;
  rz_pack(p->format, to, NR, &p->from, panel * NR, rz_min(NR, p->out - panel * NR), first, rz_min(p->span, p->steps - first));
}

static float largest(const rz_source *s, long row) {
  vf most = {};
  for (long k = 0; k < s->length; k += VL) {
    long left = s->length - k;
    vf x = s->kind == ROWS_BF16 ? from_bf16_only((const bf16 *)s->from + row * s->stride + k, left)
                                : load_only((const float *)s->from + row * s->stride + k, left);
    most = max_v(max_v(x, -x), most);
  }
  return max_lanes(most);
}

// A panel of int8: w ≈ scale · q with scale = max|w| / 127 of each row, q to the nearest, ties to even.
static void pack_int8_panel(void *arg, long panel, int thread) {
  (void)thread;
  const packing *p = arg;
  int8_t *to = (int8_t *)p->packed + panel * NR * p->in;
  float *scales = (float *)((char *)p->packed + rz_scales_at(p->out, p->in)) + panel * NR;
  long rows = rz_min(NR, p->out - panel * NR);
  float inverse[NR] = {0};
  for (long r = 0; r < NR; r++) {
    float most = r < rows ? largest(&p->from, panel * NR + r) : 0.0f;
    scales[r] = most / 127.0f;
    inverse[r] = most > 0 ? 127.0f / most : 0.0f;
  }
  cell block[VL * NR];
  for (long k = 0; k < p->in; k += VL) {
    long n = rz_min(VL, p->in - k);
    memset(block, 0, sizeof block);
    rz_pack(RZ_F32, block, NR, &p->from, panel * NR, rows, k, n);
    for (long i = 0; i < n * NR; i += VL) {
      vf q = load(block + i) * load(inverse + i % NR) + 12582912.0f; // 1.5 · 2^23: the integer is now in the low bits
      for (int lane = 0; lane < VL; lane++) to[k * NR + i + lane] = (int8_t)((vi)q)[lane];
    }
  }
}

void rz_pack_weight(rz_context *ctx, void *packed, const void *w, long out, long in, int format, int from_bf16) {
  packing p = {packed, {from_bf16 ? ROWS_BF16 : ROWS_F32, w, in, in}, out, in, rz_steps(format, in), format, 0, 0};
  long panels = (out + NR - 1) / NR;
  if (format == RZ_INT8) {
    rz_parallel(ctx, pack_int8_panel, &p, panels, (double)out * (double)in);
    return;
  }
  p.span = 4096, p.spans = (p.steps + p.span - 1) / p.span;
  rz_parallel(ctx, pack_item, &p, panels * p.spans, (double)out * (double)in);
}
