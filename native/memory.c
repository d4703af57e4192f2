// Device memory: aligned, zeroed, plain copies, and parts of files mapped read-only. Knows nothing of dtypes.
#include "rzero.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SLACK 64 // bytes after every block: full-width reads past the last element stay inside
#define HEADER 64 // bytes before it, which say how it was made
#define HUGE_PAGE ((size_t)2 << 20)
#define HUGE_BLOCK (4 * HUGE_PAGE) // from here on a block is worth pages of its own

typedef struct {
  void *base;
  size_t mapped; // bytes, 0 from malloc
} header;

// Large blocks come from the system as zero pages, made when first touched, huge where it has them: reading is then a tenth faster.
static char *map_zeros(size_t size, header *h) {
  h->mapped = size + HUGE_PAGE;
  h->base = mmap(NULL, h->mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (h->base == MAP_FAILED) return NULL;
  char *start = (char *)(((uintptr_t)h->base + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE);
#ifdef MADV_HUGEPAGE
  madvise(start, size, MADV_HUGEPAGE);
#endif
  return start;
}

void *rz_alloc(size_t bytes) {
  header h = {0};
  char *start = NULL;
  if (bytes > SIZE_MAX / 4) return NULL;
  size_t size = (HEADER + bytes + SLACK + 63) / 64 * 64;
  if (size >= HUGE_BLOCK) {
    start = map_zeros(size, &h);
  } else if (posix_memalign(&h.base, 64, size) == 0) {
    start = memset(h.base, 0, size);
  }
  if (!start) return NULL;
  memcpy(start, &h, sizeof h);
  return start + HEADER;
}

void rz_free(void *memory) {
  header h;
  if (!memory) return;
  memcpy(&h, (char *)memory - HEADER, sizeof h);
  if (h.mapped) munmap(h.base, h.mapped);
  else free(h.base);
}
void rz_zero(void *memory, size_t bytes) { memset(memory, 0, bytes); }
void rz_copy(void *dst, const void *src, size_t bytes) { memmove(dst, src, bytes); }

// Where the block of a mapped part begins and how long it is: whole pages of the file, and one of zeros for the slack.
static size_t page_size(void) { return (size_t)sysconf(_SC_PAGESIZE); }
static size_t before_part(int64_t offset) { return (size_t)offset % page_size(); }
static size_t file_pages(int64_t offset, int64_t bytes) {
  return (before_part(offset) + (size_t)bytes + page_size() - 1) / page_size() * page_size();
}

static int read_all(int file, char *to, int64_t offset, int64_t bytes) {
  while (bytes > 0) {
    ssize_t got = pread(file, to, (size_t)bytes, (off_t)offset);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return -1;
    to += got, offset += got, bytes -= got;
  }
  return 0;
}

// The part's first byte. A part whose elements would not be aligned (`align` bytes) is read into memory instead.
static void *map_part(int file, int64_t offset, int64_t bytes, int64_t align) {
  size_t pages = file_pages(offset, bytes), size = pages + page_size();
  char *block = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (block == MAP_FAILED) return NULL;
  char *part = block + before_part(offset);
  if (offset % align != 0) {
    // as far into its block as the mapped part would be, less what makes it aligned
    part -= offset % align;
    if (read_all(file, part, offset, bytes) == 0 && mprotect(block, size, PROT_READ) == 0) return part;
  } else if (mprotect(block, size, PROT_READ) == 0) {
    if (bytes == 0) return part;
    if (mmap(block, pages, PROT_READ, MAP_PRIVATE | MAP_FIXED, file, (off_t)(offset - (int64_t)before_part(offset))) != MAP_FAILED) return part;
  }
  int why = errno;
  munmap(block, size);
  errno = why;
  return NULL;
}

void *rz_map(const char *path, int64_t offset, int64_t bytes, int64_t align, double *report) {
  struct stat about;
  void *part = NULL;
  report[0] = report[1] = 0;
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0 || fstat(file, &about) != 0) {
    report[0] = errno;
  } else {
    report[1] = (double)about.st_size;
    if (S_ISREG(about.st_mode) && offset <= about.st_size && bytes <= about.st_size - offset) {
      part = map_part(file, offset, bytes, align);
      if (!part) report[0] = errno;
    }
  }
  if (file >= 0) close(file);
  return part;
}

void rz_unmap(void *part, int64_t offset, int64_t bytes) {
  char *block = (char *)((uintptr_t)part / page_size() * page_size());
  munmap(block, file_pages(offset, bytes) + page_size());
}
