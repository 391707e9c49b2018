/* SHA-256d nonce scan on the CPU. This text is compiled once per instruction set, with BW_ISA_<NAME> defined and the
 * compiler flags that it needs, and once without, for the choice at run time (bench/kernels_io.py lists them).
 *
 * Vector code hashes one nonce per lane with the rounds of sha256d.h. SHA instructions work on one nonce at a time, so
 * several are interleaved to hide their latency. */
#include <stddef.h>

#include "host.h"
#include "sha256d.h"

typedef void bw_sha256d_piece(const sha256d_job *job, uint32_t sequence, uint64_t first, uint64_t end,
                              struct bw_shares *shares);

/* ------------------------------------------------------------------------------------------------------------------ */
#if defined(BW_ISA_AVX512) || defined(BW_ISA_AVX2) || defined(BW_ISA_SSE2) || defined(BW_ISA_NEON) || \
    defined(BW_ISA_GENERIC) || defined(BW_ISA_SHANI) || defined(BW_ISA_ARMV8)

static void keep(struct bw_shares *shares, uint32_t sequence, uint32_t nonce) {
    const uint64_t at = __atomic_fetch_add(&shares->count, 1, __ATOMIC_RELAXED);
    if (at < shares->capacity) shares->entries[at] = (uint64_t)sequence << 32 | nonce;
}

#endif

/* ------------------------------------------------------------------------------------------------------------------
 * One nonce per lane. The lanes of a vector hold nonces that differ in their last bits alone, so that the swapped nonce
 * of lane i is that of lane 0 plus i << 24. */
#if defined(BW_ISA_AVX512)
#include <immintrin.h>
#define PIECE bw_sha256d_avx512
#define LANES 16
typedef uint32_t word __attribute__((vector_size(64)));
#define ROTR(x, n) ((word)_mm512_ror_epi32((__m512i)(x), n))
#define TERNARY(x, y, z, table) ((word)_mm512_ternarylogic_epi32((__m512i)(x), (__m512i)(y), (__m512i)(z), table))
#define XOR3(x, y, z) TERNARY(x, y, z, 0x96)
#define CH(e, f, g) TERNARY(e, f, g, 0xca)
#define MAJ(a, b, c) TERNARY(a, b, c, 0xe8)
static inline uint32_t hits(word last, uint32_t mask) {
    return _mm512_testn_epi32_mask((__m512i)last, _mm512_set1_epi32((int)mask));
}
static const word lane_steps = {0u << 24, 1u << 24, 2u << 24,  3u << 24,  4u << 24,  5u << 24,  6u << 24,  7u << 24,
                                8u << 24, 9u << 24, 10u << 24, 11u << 24, 12u << 24, 13u << 24, 14u << 24, 15u << 24};

#elif defined(BW_ISA_AVX2)
#include <immintrin.h>
#define PIECE bw_sha256d_avx2
#define LANES 8
typedef uint32_t word __attribute__((vector_size(32)));
static inline uint32_t hits(word last, uint32_t mask) {
    const __m256i masked = _mm256_and_si256((__m256i)last, _mm256_set1_epi32((int)mask));
    return (uint32_t)_mm256_movemask_ps((__m256)_mm256_cmpeq_epi32(masked, _mm256_setzero_si256()));
}
static const word lane_steps = {0u << 24, 1u << 24, 2u << 24, 3u << 24, 4u << 24, 5u << 24, 6u << 24, 7u << 24};

#elif defined(BW_ISA_SSE2)
#include <emmintrin.h>
#define PIECE bw_sha256d_sse2
#define LANES 4
typedef uint32_t word __attribute__((vector_size(16)));
static inline uint32_t hits(word last, uint32_t mask) {
    const __m128i masked = _mm_and_si128((__m128i)last, _mm_set1_epi32((int)mask));
    return (uint32_t)_mm_movemask_ps((__m128)_mm_cmpeq_epi32(masked, _mm_setzero_si128()));
}
static const word lane_steps = {0u << 24, 1u << 24, 2u << 24, 3u << 24};

#elif defined(BW_ISA_NEON)
#include <arm_neon.h>
#define PIECE bw_sha256d_neon
#define LANES 4
typedef uint32x4_t word;
/* Shift right, then shift left and insert: two instructions a rotate. */
#define ROTR(x, n) vsliq_n_u32(vshrq_n_u32(x, n), x, 32 - (n))
#define CH(e, f, g) vbslq_u32(e, f, g)
#define MAJ(a, b, c) vbslq_u32(veorq_u32(a, b), c, b)
static inline uint32_t hits(word last, uint32_t mask) {
    const word zero = vceqzq_u32(vandq_u32(last, vdupq_n_u32(mask)));
    const word bits = {1, 2, 4, 8};
    return vaddvq_u32(vandq_u32(zero, bits));
}
static const word lane_steps = {0u << 24, 1u << 24, 2u << 24, 3u << 24};

#elif defined(BW_ISA_GENERIC)
#define PIECE bw_sha256d_generic
#define LANES 1
typedef uint32_t word;
static inline uint32_t hits(word last, uint32_t mask) { return (last & mask) == 0; }
static const word lane_steps = 0;
#endif

#if defined(LANES)
#ifndef ROTR
#define ROTR(x, n) (((x) >> (n)) | ((x) << (32 - (n))))
#endif
#ifndef XOR3
#define XOR3(x, y, z) ((x) ^ (y) ^ (z))
#endif
#ifndef CH
#define CH(e, f, g) ((((f) ^ (g)) & (e)) ^ (g))
#endif
#ifndef MAJ
/* b ^ c of this round is a ^ b of the last, which the compiler sees and keeps. */
#define MAJ(a, b, c) ((((a) ^ (b)) & ((b) ^ (c))) ^ (b))
#endif

#define SHA256D_NAME hash_lanes
/* Not inlined: in a loop the compiler would lift the constants out of it, and spill them. */
#define SHA_FUNCTION static __attribute__((noinline))
#define SHA_WORD word
#define SHA_ADD(x, y) ((x) + (y))
#define SHA_ROTR ROTR
#define SHA_SHR(x, n) ((x) >> (n))
#define SHA_XOR3 XOR3
#define SHA_CH CH
#define SHA_MAJ MAJ
#define SHA_CONST(i, k) ((word){0} + (k))
#define SHA_JOB(field) ((word){0} + job->field)
#define SHA_ADDK(x, i, k) ((x) + (k))
#include "sha256d.h"

void PIECE(const sha256d_job *job, uint32_t sequence, uint64_t first, uint64_t end, struct bw_shares *shares) {
    for (uint64_t base = first & ~(uint64_t)(LANES - 1); base < end; base += LANES) {
        const word nonces = lane_steps + sha256d_swap((uint32_t)base);
        uint32_t found = hits(hash_lanes(job, nonces), job->mask);
        for (; found; found &= found - 1) {
            const uint64_t nonce = base + (uint64_t)__builtin_ctz(found);
            if (nonce >= first && nonce < end) keep(shares, sequence, (uint32_t)nonce);
        }
    }
}
#endif

/* ------------------------------------------------------------------------------------------------------------------
 * The choice at run time. */
#if !defined(LANES) && !defined(BW_ISA_SHANI) && !defined(BW_ISA_ARMV8)

bw_sha256d_piece bw_sha256d_generic;
static int always(void) { return 1; }

#if defined(__x86_64__)
bw_sha256d_piece bw_sha256d_avx512, bw_sha256d_avx2, bw_sha256d_shani, bw_sha256d_sse2;
static int has_avx512(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}
static int has_avx2(void) { return __builtin_cpu_supports("avx2"); }
#elif defined(__aarch64__)
bw_sha256d_piece bw_sha256d_neon;
#endif

static const struct {
    const char *name;
    bw_sha256d_piece *piece;
    int (*supported)(void);
} isas[] = {
#if defined(__x86_64__)
    {"avx512", bw_sha256d_avx512, has_avx512},
    {"avx2", bw_sha256d_avx2, has_avx2},
    {"sse2", bw_sha256d_sse2, always},
#elif defined(__aarch64__)
    {"neon", bw_sha256d_neon, always},
#endif
    {"generic", bw_sha256d_generic, always},
};
#define ISA_COUNT ((int)(sizeof isas / sizeof isas[0]))

const char *bw_sha256d_isa(int index) { return index >= 0 && index < ISA_COUNT ? isas[index].name : NULL; }

int bw_sha256d_supported(int index) { return index >= 0 && index < ISA_COUNT && isas[index].supported(); }

void bw_sha256d_scan(int index, const uint8_t *header, uint32_t sequence, uint32_t share_bits, struct bw_range *range,
                     struct bw_shares *shares) {
    sha256d_job job;
    if (!bw_sha256d_supported(index) || sha256d_prepare(header, (int)share_bits, &job)) return;
    while (!__atomic_load_n(&range->stop, __ATOMIC_RELAXED)) {
        const uint64_t first = __atomic_fetch_add(&range->next, range->grain, __ATOMIC_RELAXED);
        if (first >= range->end) return;
        const uint64_t left = range->end - first;
        isas[index].piece(&job, sequence, first, first + (left < range->grain ? left : range->grain), shares);
    }
}
#endif
