/* SHA-256d nonce scan on the CPU. This text is compiled once per instruction set, with BW_ISA_<NAME> defined and the
 * compiler flags that it needs, and once without, for the choice at run time (bench/kernels_io.py lists them).
 *
 * Vector code hashes one nonce per lane with the rounds of sha256d.h. SHA instructions work on one nonce at a time, so
 * several are interleaved to hide their latency. */
#include <string.h>
#include <stddef.h>

#include "host.h"
#include "sha256d.h"

typedef void bw_sha256d_piece(const sha256d_job *job, const uint8_t *header, uint32_t sequence, uint64_t first,
                              uint64_t end, struct bw_shares *shares);

/* ------------------------------------------------------------------------------------------------------------------ */
#if defined(BW_ISA_AVX512) || defined(BW_ISA_AVX2) || defined(BW_ISA_SSE2) || defined(BW_ISA_NEON) || \
    defined(BW_ISA_GENERIC) || defined(BW_ISA_SHANI) || defined(BW_ISA_SHANIVL) || defined(BW_ISA_ARMV8)

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

/* Constants are added from memory, by a pointer that the compiler cannot see through: left to itself it moves each one
 * through a scalar register to the port that is the bottleneck. */
static const uint32_t constant_table[SHA256D_CONSTANT_COUNT] = {SHA256D_CONSTANTS};

#define SHA256D_NAME hash_lanes
/* Not inlined: in a loop the compiler would lift the constants out of it, and spill them. */
#define SHA_FUNCTION static __attribute__((noinline))
#define SHA_PARAMETERS , const uint32_t *constants
#define SHA_WORD word
#define SHA_ADD(x, y) ((x) + (y))
#define SHA_ROTR ROTR
#define SHA_SHR(x, n) ((x) >> (n))
#define SHA_XOR3 XOR3
#define SHA_CH CH
#define SHA_MAJ MAJ
#define SHA_CONST(i, k) ((word){0} + constants[i])
#define SHA_JOB(field) ((word){0} + job->field)
#define SHA_ADDK(x, i, k) ((x) + constants[i])
#include "sha256d.h"

void PIECE(const sha256d_job *job, const uint8_t *header, uint32_t sequence, uint64_t first, uint64_t end,
           struct bw_shares *shares) {
    (void)header;
    const uint32_t *constants = constant_table;
    __asm__("" : "+r"(constants));
    for (uint64_t base = first & ~(uint64_t)(LANES - 1); base < end; base += LANES) {
        const word nonces = lane_steps + sha256d_swap((uint32_t)base);
        uint32_t found = hits(hash_lanes(job, nonces, constants), job->mask);
        for (; found; found &= found - 1) {
            const uint64_t nonce = base + (uint64_t)__builtin_ctz(found);
            if (nonce >= first && nonce < end) keep(shares, sequence, (uint32_t)nonce);
        }
    }
}
#endif

/* ------------------------------------------------------------------------------------------------------------------
 * SHA instructions: four rounds, or four words of the schedule, at a time. `left` and `right` are the two halves of the
 * state as the instructions want it. */
#if defined(BW_ISA_SHANI) || defined(BW_ISA_SHANIVL)
#include <immintrin.h>
#if defined(BW_ISA_SHANI)
#define SHA_PIECE bw_sha256d_shani
#else
/* Where AVX-512 offers sixteen more registers, four streams no longer pass through memory. */
#define SHA_PIECE bw_sha256d_shanivl
#endif
typedef __m128i quad;
#define QUAD(w0, w1, w2, w3) _mm_setr_epi32((int)(w0), (int)(w1), (int)(w2), (int)(w3))
#define QUAD_ADD _mm_add_epi32
/* W[t-16 + i] + sigma0(W[t-15 + i]). */
#define SCHEDULE_EARLY _mm_sha256msg1_epu32
#define SCHEDULE_LATE(early, w8, w12) _mm_sha256msg2_epu32(_mm_add_epi32(early, _mm_alignr_epi8(w12, w8, 4)), w12)
/* The same where W[t-7 + i] is zero, so that there is nothing to add. */
#define SCHEDULE_LATE_ZERO(early, w8, w12) _mm_sha256msg2_epu32(early, w12)
static inline void rounds(quad *left, quad *right, quad kw) {
    *right = _mm_sha256rnds2_epu32(*right, *left, kw);
    *left = _mm_sha256rnds2_epu32(*left, *right, _mm_shuffle_epi32(kw, 0x0e));
}
/* Rounds 0 and 1 are the header's own: done once for all nonces. */
static inline void rounds_fixed(quad *left, quad *right, quad kw) { *right = _mm_sha256rnds2_epu32(*right, *left, kw); }
static inline void rounds_first(quad *left, quad *right, quad kw) {
    *left = _mm_sha256rnds2_epu32(*left, *right, _mm_shuffle_epi32(kw, 0x0e));
}
/* Rounds 60 and 61, after which the word that decides lies in the lane of h. */
static inline void rounds_last(quad *left, quad *right, quad kw) { *right = _mm_sha256rnds2_epu32(*right, *left, kw); }
static inline void load_state(quad *left, quad *right, const sha256d_u32 s[8]) {
    *left = QUAD(s[5], s[4], s[1], s[0]);
    *right = QUAD(s[7], s[6], s[3], s[2]);
}
static inline void state_words(quad left, quad right, quad *w0, quad *w4) {
    const __m128 feba = _mm_castsi128_ps(left), hgdc = _mm_castsi128_ps(right);
    *w0 = _mm_castps_si128(_mm_shuffle_ps(feba, hgdc, _MM_SHUFFLE(2, 3, 2, 3)));
    *w4 = _mm_castps_si128(_mm_shuffle_ps(feba, hgdc, _MM_SHUFFLE(0, 1, 0, 1)));
}
static inline uint32_t last_word(quad right) { return (uint32_t)_mm_cvtsi128_si32(right); }

#elif defined(BW_ISA_ARMV8)
#include <arm_neon.h>
#define SHA_PIECE bw_sha256d_armv8
typedef uint32x4_t quad;
#define QUAD(w0, w1, w2, w3) ((quad){w0, w1, w2, w3})
#define QUAD_ADD vaddq_u32
#define SCHEDULE_EARLY vsha256su0q_u32
#define SCHEDULE_LATE vsha256su1q_u32
#define SCHEDULE_LATE_ZERO vsha256su1q_u32
static inline void rounds(quad *left, quad *right, quad kw) {
    const quad before = *left;
    *left = vsha256hq_u32(before, *right, kw);
    *right = vsha256h2q_u32(*right, before, kw);
}
/* One instruction does four rounds, and the nonce is in the first four. */
static inline void rounds_fixed(quad *left, quad *right, quad kw) { (void)left, (void)right, (void)kw; }
#define rounds_first rounds
#define rounds_last rounds
static inline void load_state(quad *left, quad *right, const sha256d_u32 s[8]) {
    *left = vld1q_u32(s);
    *right = vld1q_u32(s + 4);
}
static inline void state_words(quad left, quad right, quad *w0, quad *w4) {
    *w0 = left;
    *w4 = right;
}
static inline uint32_t last_word(quad right) { return vgetq_lane_u32(right, 3); }
#endif

#if defined(SHA_PIECE)
#ifndef STREAMS
#define STREAMS 4
#endif
#define EACH _Pragma("GCC unroll 8") for (int s = 0; s < STREAMS; s++)

/* What a header fixes, as the instructions want it. */
struct quads {
    quad left, right;     /* midstate */
    quad left2, right2;   /* state before the rounds that the nonce reaches */
    quad kw0;             /* K + W of rounds 0..3, without the nonce */
    quad w16_fixed;       /* W16..19 without the nonce */
    quad early20, w12;    /* parts of the schedule that no nonce reaches */
    quad early24, early28;
};

static const sha256d_u32 k_table[64] __attribute__((aligned(16))) = {
    SHA256D_K0,  SHA256D_K1,  SHA256D_K2,  SHA256D_K3,  SHA256D_K4,  SHA256D_K5,  SHA256D_K6,  SHA256D_K7,
    SHA256D_K8,  SHA256D_K9,  SHA256D_K10, SHA256D_K11, SHA256D_K12, SHA256D_K13, SHA256D_K14, SHA256D_K15,
    SHA256D_K16, SHA256D_K17, SHA256D_K18, SHA256D_K19, SHA256D_K20, SHA256D_K21, SHA256D_K22, SHA256D_K23,
    SHA256D_K24, SHA256D_K25, SHA256D_K26, SHA256D_K27, SHA256D_K28, SHA256D_K29, SHA256D_K30, SHA256D_K31,
    SHA256D_K32, SHA256D_K33, SHA256D_K34, SHA256D_K35, SHA256D_K36, SHA256D_K37, SHA256D_K38, SHA256D_K39,
    SHA256D_K40, SHA256D_K41, SHA256D_K42, SHA256D_K43, SHA256D_K44, SHA256D_K45, SHA256D_K46, SHA256D_K47,
    SHA256D_K48, SHA256D_K49, SHA256D_K50, SHA256D_K51, SHA256D_K52, SHA256D_K53, SHA256D_K54, SHA256D_K55,
    SHA256D_K56, SHA256D_K57, SHA256D_K58, SHA256D_K59, SHA256D_K60, SHA256D_K61, SHA256D_K62, SHA256D_K63};
static const sha256d_u32 iv_table[8] __attribute__((aligned(16))) = {SHA256D_IV0, SHA256D_IV1, SHA256D_IV2, SHA256D_IV3,
                                                                     SHA256D_IV4, SHA256D_IV5, SHA256D_IV6, SHA256D_IV7};
#define K(t) (*(const quad *)(k_table + (t)))

/* Words t..t+3 replace words t-16..t-13 in `w0`, beside the rounds of the four words before, which do not wait for
 * them: neither chain then stalls the other. */
#define ADVANCE(t, w0, w4, w8, w12)                                              \
    EACH {                                                                       \
        w0[s] = SCHEDULE_LATE(SCHEDULE_EARLY(w0[s], w4[s]), w8[s], w12[s]);      \
        rounds(&left[s], &right[s], QUAD_ADD(w12[s], K((t) - 4)));               \
    }

static void prepare_quads(const sha256d_job *job, const uint8_t *header, struct quads *fixed) {
    const quad w4 = QUAD(0x80000000u, 0, 0, 0), w8 = QUAD(0, 0, 0, 0), w12 = QUAD(0, 0, 0, 640);
    load_state(&fixed->left, &fixed->right, job->midstate);
    fixed->kw0 = QUAD_ADD(QUAD(sha256d_load(header + 64), sha256d_load(header + 68), sha256d_load(header + 72), 0), K(0));
    fixed->left2 = fixed->left;
    fixed->right2 = fixed->right;
    rounds_fixed(&fixed->left2, &fixed->right2, fixed->kw0);
    fixed->w16_fixed = QUAD(job->w16, job->w17, job->w18_fixed, job->w19_fixed);
    fixed->w12 = w12;
    fixed->early20 = SCHEDULE_EARLY(w4, w8);
    fixed->early24 = SCHEDULE_EARLY(w8, w12);
    fixed->early28 = SCHEDULE_EARLY(w12, QUAD(job->w16, 0, 0, 0));
}

/* Word 7 of the digest, less its initial value, of STREAMS nonces; `nonces` are {0, 0, 0, swapped nonce}. */
static inline void hash_streams(const struct quads *fixed, const quad nonces[STREAMS], uint32_t last[STREAMS]) {
    quad left[STREAMS], right[STREAMS], w0[STREAMS], w4[STREAMS], w8[STREAMS], w12[STREAMS];
    const quad zero = QUAD(0, 0, 0, 0);
    EACH left[s] = fixed->left2;
    EACH right[s] = fixed->right2;
    EACH rounds_first(&left[s], &right[s], QUAD_ADD(nonces[s], fixed->kw0));
    EACH rounds(&left[s], &right[s], QUAD_ADD(K(4), QUAD(0x80000000u, 0, 0, 0)));
    EACH rounds(&left[s], &right[s], K(8));
    EACH rounds(&left[s], &right[s], QUAD_ADD(K(12), QUAD(0, 0, 0, 640)));
    /* sigma0 of the nonce lands on W18, the nonce itself on W19. */
    EACH w0[s] = QUAD_ADD(SCHEDULE_EARLY(nonces[s], zero), fixed->w16_fixed);
    EACH w4[s] = SCHEDULE_LATE(fixed->early20, fixed->w12, w0[s]);
    EACH rounds(&left[s], &right[s], QUAD_ADD(w0[s], K(16)));
    EACH w8[s] = SCHEDULE_LATE(fixed->early24, w0[s], w4[s]);
    EACH rounds(&left[s], &right[s], QUAD_ADD(w4[s], K(20)));
    EACH w12[s] = SCHEDULE_LATE(fixed->early28, w4[s], w8[s]);
    EACH rounds(&left[s], &right[s], QUAD_ADD(w8[s], K(24)));
    ADVANCE(32, w0, w4, w8, w12)
    ADVANCE(36, w4, w8, w12, w0)
    ADVANCE(40, w8, w12, w0, w4)
    ADVANCE(44, w12, w0, w4, w8)
    ADVANCE(48, w0, w4, w8, w12)
    ADVANCE(52, w4, w8, w12, w0)
    ADVANCE(56, w8, w12, w0, w4)
    ADVANCE(60, w12, w0, w4, w8)
    EACH rounds(&left[s], &right[s], QUAD_ADD(w12[s], K(60)));

    /* The digest of the first is the message of the second. */
    EACH state_words(QUAD_ADD(left[s], fixed->left), QUAD_ADD(right[s], fixed->right), &w0[s], &w4[s]);
    EACH load_state(&left[s], &right[s], iv_table);
    EACH rounds(&left[s], &right[s], QUAD_ADD(w0[s], K(0)));
    EACH rounds(&left[s], &right[s], QUAD_ADD(w4[s], K(4)));
    EACH rounds(&left[s], &right[s], QUAD_ADD(K(8), QUAD(0x80000000u, 0, 0, 0)));
    /* W8..15 are the padding of every digest. W9..12 and their sigma0 are zero, which spares parts of W16..27. */
    const quad padding = QUAD(0x80000000u, 0, 0, 0), length = QUAD(0, 0, 0, 256);
    EACH {
        w0[s] = SCHEDULE_LATE_ZERO(SCHEDULE_EARLY(w0[s], w4[s]), padding, length);
        rounds(&left[s], &right[s], QUAD_ADD(length, K(12)));
    }
    EACH {
        w4[s] = SCHEDULE_LATE(SCHEDULE_EARLY(w4[s], padding), length, w0[s]);
        rounds(&left[s], &right[s], QUAD_ADD(w0[s], K(16)));
    }
    EACH {
        w8[s] = SCHEDULE_LATE(padding, w0[s], w4[s]);
        rounds(&left[s], &right[s], QUAD_ADD(w4[s], K(20)));
    }
    EACH w12[s] = length;
    ADVANCE(28, w12, w0, w4, w8)
    ADVANCE(32, w0, w4, w8, w12)
    ADVANCE(36, w4, w8, w12, w0)
    ADVANCE(40, w8, w12, w0, w4)
    ADVANCE(44, w12, w0, w4, w8)
    ADVANCE(48, w0, w4, w8, w12)
    ADVANCE(52, w4, w8, w12, w0)
    ADVANCE(56, w8, w12, w0, w4)
    ADVANCE(60, w12, w0, w4, w8)
    EACH rounds_last(&left[s], &right[s], QUAD_ADD(w12[s], K(60)));
    EACH last[s] = last_word(right[s]);
}

void SHA_PIECE(const sha256d_job *job, const uint8_t *header, uint32_t sequence, uint64_t first, uint64_t end,
               struct bw_shares *shares) {
    struct quads fixed;
    prepare_quads(job, header, &fixed);
    for (uint64_t base = first; base < end; base += STREAMS) {
        quad nonces[STREAMS];
        uint32_t last[STREAMS];
        EACH nonces[s] = QUAD(0, 0, 0, sha256d_swap((uint32_t)base + (uint32_t)s));
        hash_streams(&fixed, nonces, last);
        EACH {
            const uint64_t nonce = base + (uint64_t)s;
            if (((last[s] + SHA256D_IV7) & job->mask) == 0 && nonce < end) keep(shares, sequence, (uint32_t)nonce);
        }
    }
}
#endif

/* ------------------------------------------------------------------------------------------------------------------
 * The choice at run time. */
#if !defined(LANES) && !defined(SHA_PIECE)

bw_sha256d_piece bw_sha256d_generic;
static int always(void) { return 1; }

#if defined(__x86_64__)
#include <cpuid.h>
bw_sha256d_piece bw_sha256d_avx512, bw_sha256d_avx2, bw_sha256d_shani, bw_sha256d_shanivl, bw_sha256d_sse2;
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
#if defined(__linux__)
#include <sys/auxv.h>
#define HWCAP_SHA2_BIT (1u << 6)
static int has_armv8(void) { return (getauxval(AT_HWCAP) & HWCAP_SHA2_BIT) != 0; }
#else
static int has_armv8(void) { return 1; } /* every Apple chip of this architecture has them */
#endif
bw_sha256d_piece bw_sha256d_neon, bw_sha256d_armv8;
#endif

static const struct {
    const char *name;
    bw_sha256d_piece *piece;
    int (*supported)(void);
} isas[] = {
#if defined(__x86_64__)
    {"avx512", bw_sha256d_avx512, has_avx512},
    {"shanivl", bw_sha256d_shanivl, has_shanivl},
    {"shani", bw_sha256d_shani, has_shani},
    {"avx2", bw_sha256d_avx2, has_avx2},
    {"sse2", bw_sha256d_sse2, always},
#elif defined(__aarch64__)
    {"armv8", bw_sha256d_armv8, has_armv8},
    {"neon", bw_sha256d_neon, always},
#endif
    {"generic", bw_sha256d_generic, always},
};
#define ISA_COUNT ((int)(sizeof isas / sizeof isas[0]))

const char *bw_sha256d_isa(int index) { return index >= 0 && index < ISA_COUNT ? isas[index].name : NULL; }

int bw_sha256d_supported(int index) { return index >= 0 && index < ISA_COUNT && isas[index].supported(); }

int bw_sha256d_job_bytes(void) { return (int)sizeof(sha256d_job); }

int bw_sha256d_prepare(const uint8_t *header, int share_bits, uint8_t *job) {
    sha256d_job made;
    if (sha256d_prepare(header, share_bits, &made)) return -1;
    memcpy(job, &made, sizeof made);
    return 0;
}

void bw_sha256d_scan(int index, const uint8_t *header, uint32_t sequence, uint32_t share_bits, struct bw_range *range,
                     struct bw_shares *shares) {
    sha256d_job job;
#if defined(__x86_64__)
    /* Upper halves that someone left dirty cost each legacy-encoded instruction some hundred clocks. */
    if (__builtin_cpu_supports("avx")) __asm__ volatile("vzeroupper");
#endif
    if (!bw_sha256d_supported(index) || sha256d_prepare(header, (int)share_bits, &job)) return;
    while (!__atomic_load_n(&range->stop, __ATOMIC_RELAXED)) {
        const uint64_t first = __atomic_fetch_add(&range->next, range->grain, __ATOMIC_RELAXED);
        if (first >= range->end) return;
        const uint64_t left = range->end - first;
        isas[index].piece(&job, header, sequence, first, first + (left < range->grain ? left : range->grain), shares);
    }
}
#endif
