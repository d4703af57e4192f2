// Device memory: aligned, zeroed, and plain copies. Knows nothing of dtypes.
#include "rzero.h"
#include <stdlib.h>
#include <string.h>

void *rz_alloc(size_t bytes) {
  void *memory = NULL;
  if (bytes > SIZE_MAX / 2) return NULL;
  // 64 bytes more than asked for: full-width reads past the last element stay inside the block.
  size_t size = (bytes + 127) / 64 * 64;
  if (posix_memalign(&memory, 64, size) != 0) return NULL;
  memset(memory, 0, size);
  return memory;
}

void rz_free(void *memory) { free(memory); }
void rz_zero(void *memory, size_t bytes) { memset(memory, 0, bytes); }
void rz_copy(void *dst, const void *src, size_t bytes) { memmove(dst, src, bytes); }
