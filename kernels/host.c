/* The functions of host.h: which instruction sets there are, and the loop that takes a scan's range piece by piece.
 * Compiled once, without BW_ISA. */
#define _GNU_SOURCE
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "scan.h"

struct isa {
  const char *name;
  bw_piece *piece;
  int (*supported)(void);
};

static int always(void) { return 1; }
bw_piece bw_sha256d_generic, bw_scrypt_generic;

#if defined(__x86_64__)
#include <cpuid.h>
bw_piece bw_sha256d_avx512, bw_sha256d_shanivl, bw_sha256d_shani, bw_sha256d_avx2, bw_sha256d_sse2;
bw_piece bw_scrypt_avx512, bw_scrypt_avx2, bw_scrypt_sse2;
static int has_avx512(void) {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}
static int has_avx2(void) { return __builtin_cpu_supports("avx2"); }
/* cpuid leaf 7, ebx bit 29; older compilers have no name for it. */
static int has_shani(void) {
  unsigned a, b, c, d;
  return __builtin_cpu_supports("sse4.1") && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 29 & 1);
}
static int has_shanivl(void) { return has_shani() && has_avx512(); }

#elif defined(__aarch64__)
bw_piece bw_sha256d_armv8, bw_sha256d_neon, bw_scrypt_neon;
#if defined(__linux__)
#include <sys/auxv.h>
#define HWCAP_SHA2_BIT (1u << 6)
static int has_armv8(void) { return (getauxval(AT_HWCAP) & HWCAP_SHA2_BIT) != 0; }
#else
static int has_armv8(void) { return 1; } /* every Apple chip of this architecture has them */
#endif
#endif

static const struct isa sha256d_isas[] = {
#if defined(__x86_64__)
    {"avx512", bw_sha256d_avx512, has_avx512}, {"shanivl", bw_sha256d_shanivl, has_shanivl},
    {"shani", bw_sha256d_shani, has_shani},    {"avx2", bw_sha256d_avx2, has_avx2},
    {"sse2", bw_sha256d_sse2, always},
#elif defined(__aarch64__)
    {"armv8", bw_sha256d_armv8, has_armv8},
    {"neon", bw_sha256d_neon, always},
#endif
    {"generic", bw_sha256d_generic, always},
};
static const struct isa scrypt_isas[] = {
#if defined(__x86_64__)
    {"avx512", bw_scrypt_avx512, has_avx512},
    {"avx2", bw_scrypt_avx2, has_avx2},
    {"sse2", bw_scrypt_sse2, always},
#elif defined(__aarch64__)
    {"neon", bw_scrypt_neon, always},
#endif
    {"generic", bw_scrypt_generic, always},
};

static const struct {
  const struct isa *isas;
  int count;
  size_t scratch_bytes; /* of a thread */
} algorithms[] = {
    [BW_SHA256D] = {sha256d_isas, sizeof sha256d_isas / sizeof *sha256d_isas, 0},
    [BW_SCRYPT] = {scrypt_isas, sizeof scrypt_isas / sizeof *scrypt_isas, SCRYPT_SCRATCH_BYTES},
};

static const struct isa *find(int algorithm, int index) {
  if (algorithm < 0 || algorithm > BW_SCRYPT) return NULL;
  return index >= 0 && index < algorithms[algorithm].count ? &algorithms[algorithm].isas[index] : NULL;
}

const char *bw_isa(int algorithm, int index) {
  const struct isa *isa = find(algorithm, index);
  return isa ? isa->name : NULL;
}

int bw_supported(int algorithm, int index) {
  const struct isa *isa = find(algorithm, index);
  return isa && isa->supported();
}

static int can_roll(int algorithm, uint32_t versions) {
  return versions == 1 || (algorithm == BW_SHA256D && (versions == 2 || versions == 4 || versions == 8));
}

int bw_sha256d_job_bytes(void) { return (int)sizeof(sha256d_job); }

int bw_sha256d_prepare(const uint8_t *header, int share_bits, uint8_t *job) {
  sha256d_job made;
  if (sha256d_prepare(header, share_bits, &made)) return -1;
  memcpy(job, &made, sizeof made);
  return 0;
}

int bw_scan(int algorithm, int index, const uint8_t *headers, uint32_t versions, uint32_t sequence, uint32_t share_bits,
            struct bw_range *range, struct bw_shares *shares) {
  const size_t huge_page = (size_t)2 << 20;
  struct bw_work work = {.headers = headers, .versions = versions, .sequence = sequence};
  void *scratch = NULL;
#if defined(__x86_64__)
  /* Upper halves that someone left dirty cost each legacy-encoded instruction some hundred clocks. */
  if (__builtin_cpu_supports("avx")) __asm__ volatile("vzeroupper");
#endif
  if (!bw_supported(algorithm, index) || !can_roll(algorithm, versions)) return BW_WRONG_USE;
  for (uint32_t i = 0; i < versions; i++)
    if (sha256d_prepare(headers + 80 * i, (int)share_bits, &work.jobs[i])) return BW_WRONG_USE;
  bw_piece *piece = find(algorithm, index)->piece;
  const size_t bytes = algorithms[algorithm].scratch_bytes;
  if (bytes) {
    if (posix_memalign(&scratch, huge_page, bytes)) return BW_NO_MEMORY;
#if defined(MADV_HUGEPAGE)
    madvise(scratch, bytes, MADV_HUGEPAGE);
#endif
  }
  while (!__atomic_load_n(&range->stop, __ATOMIC_RELAXED)) {
    const uint64_t first = __atomic_fetch_add(&range->next, range->grain, __ATOMIC_RELAXED);
    if (first >= range->end) break;
    const uint64_t left = range->end - first;
    piece(&work, first, first + (left < range->grain ? left : range->grain), shares, scratch);
  }
  free(scratch);
  return 0;
}
