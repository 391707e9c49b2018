/* SHA-256d nonce scan on the CPU, compiled once per instruction set (scan.h).
 *
 * Vector code hashes one nonce per lane with the rounds of sha256d.h. SHA instructions work on one nonce at a time, so
 * several are interleaved to hide their latency. */
#if defined(BW_ISA_NEON)
/* Shift right, then shift left and insert: two instructions a rotate. */
#define ROTR(x, n) vsliq_n_u32(vshrq_n_u32(x, n), x, 32 - (n))
#define CH(e, f, g) vbslq_u32(e, f, g)
#define MAJ(a, b, c) vbslq_u32(veorq_u32(a, b), c, b)
#endif
#define GENERIC_LANES 1
#include "scan.h"

/* ------------------------------------------------------------------------------------------------------------------
 * One nonce per lane. The lanes of a vector hold nonces that differ in their last bits alone, so that the swapped nonce
 * of lane i is that of lane 0 plus i << 24. */
#if defined(LANES)
/* Bit i is set where the bits of `mask` are zero in lane i. */
#if defined(BW_ISA_AVX512)
static inline uint32_t hits(word last, uint32_t mask) {
  return _mm512_testn_epi32_mask((__m512i)last, _mm512_set1_epi32((int)mask));
}
#elif defined(BW_ISA_AVX2)
static inline uint32_t hits(word last, uint32_t mask) {
  const __m256i masked = _mm256_and_si256((__m256i)last, _mm256_set1_epi32((int)mask));
  return (uint32_t)_mm256_movemask_ps((__m256)_mm256_cmpeq_epi32(masked, _mm256_setzero_si256()));
}
#elif defined(BW_ISA_SSE2)
static inline uint32_t hits(word last, uint32_t mask) {
  const __m128i masked = _mm_and_si128((__m128i)last, _mm_set1_epi32((int)mask));
  return (uint32_t)_mm_movemask_ps((__m128)_mm_cmpeq_epi32(masked, _mm_setzero_si128()));
}
#elif defined(BW_ISA_NEON)
static inline uint32_t hits(word last, uint32_t mask) {
  const word zero = vceqzq_u32(vandq_u32(last, vdupq_n_u32(mask)));
  const word bits = {1, 2, 4, 8};
  return vaddvq_u32(vandq_u32(zero, bits));
}
#else
static inline uint32_t hits(word last, uint32_t mask) { return (last & mask) == 0; }
#endif

#define STEP(i) ((uint32_t)(i) << 24)
#define STEPS4(i) STEP(i), STEP(i + 1), STEP(i + 2), STEP(i + 3)
#if LANES == 16
static const word lane_steps = {STEPS4(0), STEPS4(4), STEPS4(8), STEPS4(12)};
#elif LANES == 8
static const word lane_steps = {STEPS4(0), STEPS4(4)};
#elif LANES == 4
static const word lane_steps = {STEPS4(0)};
#else
static const word lane_steps = 0;
#endif

/* Constants are added from memory, by a pointer that the compiler cannot see through: left to itself it moves each one
 * through a scalar register to the port that is the bottleneck. */
static const uint32_t constant_table[SHA256D_CONSTANT_COUNT] = {SHA256D_CONSTANTS};

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

#define SHA256D_NAME hash_lanes
#include "sha256d.h"
#define SHA256D_NAME expand_lanes
#define SHA_KEEPS_SCHEDULE
#include "sha256d.h"
#define SHA256D_NAME hash_expanded
#define SHA_TAKES_SCHEDULE
#include "sha256d.h"

void PIECE(sha256d)(const struct bw_work *work, uint64_t first, uint64_t end, struct bw_shares *shares, void *scratch) {
  (void)scratch;
  word kept[SHA256D_KEPT_WORDS];
  const uint32_t *constants = constant_table;
  __asm__("" : "+r"(constants));
  for (uint64_t base = first & ~(uint64_t)(LANES - 1); base < end; base += LANES) {
    const word nonces = lane_steps + sha256d_swap((uint32_t)base);
    if (work->versions > 1) expand_lanes(work->jobs, nonces, kept, constants);
    for (uint32_t version = 0; version < work->versions; version++) {
      const sha256d_job *job = &work->jobs[version];
      const word last =
          work->versions > 1 ? hash_expanded(job, nonces, kept, constants) : hash_lanes(job, nonces, constants);
      for (uint32_t found = hits(last, job->mask); found; found &= found - 1) {
        const uint64_t nonce = base + (uint64_t)__builtin_ctz(found);
        if (nonce >= first && nonce < end) keep_share(shares, work->sequence + version, nonce);
      }
    }
  }
}
#endif

/* ------------------------------------------------------------------------------------------------------------------
 * SHA instructions: four rounds, or four words of the schedule, at a time. `left` and `right` are the two halves of the
 * state as the instructions want it. */
#if defined(BW_ISA_SHANI) || defined(BW_ISA_SHANIVL)
/* SHANIVL: where AVX-512 offers sixteen more registers, four streams no longer pass through memory. */
#include <immintrin.h>
#define SHA_INSTRUCTIONS
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
#define SHA_INSTRUCTIONS
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

#if defined(SHA_INSTRUCTIONS)
#ifndef STREAMS
#define STREAMS 4
#endif
#define EACH _Pragma("GCC unroll 8") for (int s = 0; s < STREAMS; s++)

/* What a header fixes, as the instructions want it. */
struct states {
  quad left, right;   /* midstate */
  quad left2, right2; /* state before the rounds that the nonce reaches */
};
struct quads {
  struct states of[MOST_VERSIONS]; /* the headers, which differ in these alone */
  quad kw0;                        /* K + W of rounds 0..3, without the nonce */
  quad w16_fixed;                  /* W16..19 without the nonce */
  quad early20, w12;               /* parts of the schedule that no nonce reaches */
  quad early24, early28;
};

static const sha256d_u32 k_table[64] __attribute__((aligned(16))) = {SHA256D_ROUND_CONSTANTS};
static const sha256d_u32 iv_table[8] __attribute__((aligned(16))) = {SHA256D_INITIAL};
#define K(t) (*(const quad *)(k_table + (t)))

/* Rounds t..t+3 with their words in `w`; K + W is stored where `kept` is not NULL. */
#define ROUNDS(t, w) \
  { \
    const quad kw = QUAD_ADD(w[s], K(t)); \
    if (kept) kept[(t) / 4 - 4][s] = kw; \
    rounds(&left[s], &right[s], kw); \
  }

/* Words t..t+3 replace words t-16..t-13 in `w0`, interleaved with the rounds of the four words before, which do not
 * wait for them: neither chain then stalls the other. */
#define ADVANCE(t, w0, w4, w8, w12) \
  EACH { \
    w0[s] = SCHEDULE_LATE(SCHEDULE_EARLY(w0[s], w4[s]), w8[s], w12[s]); \
    ROUNDS((t) - 4, w12) \
  }

static void prepare_quads(const struct bw_work *work, struct quads *fixed) {
  const quad w4 = QUAD(0x80000000u, 0, 0, 0), w8 = QUAD(0, 0, 0, 0), w12 = QUAD(0, 0, 0, 640);
  const sha256d_job *job = work->jobs;
  const uint8_t *tail = work->headers + 64;
  fixed->kw0 = QUAD_ADD(QUAD(sha256d_load(tail), sha256d_load(tail + 4), sha256d_load(tail + 8), 0), K(0));
  for (uint32_t i = 0; i < work->versions; i++) {
    load_state(&fixed->of[i].left, &fixed->of[i].right, job[i].midstate);
    fixed->of[i].left2 = fixed->of[i].left;
    fixed->of[i].right2 = fixed->of[i].right;
    rounds_fixed(&fixed->of[i].left2, &fixed->of[i].right2, fixed->kw0);
  }
  fixed->w16_fixed = QUAD(job->w16, job->w17, job->w18_fixed, job->w19_fixed);
  fixed->w12 = w12;
  fixed->early20 = SCHEDULE_EARLY(w4, w8);
  fixed->early24 = SCHEDULE_EARLY(w8, w12);
  fixed->early28 = SCHEDULE_EARLY(w12, QUAD(job->w16, 0, 0, 0));
}

/* Rounds 0..15 of the first compression, whose message is the header's end: `nonces` are {0, 0, 0, swapped nonce}. */
#define FIRST_ROUNDS(version) \
  EACH left[s] = fixed->of[version].left2; \
  EACH right[s] = fixed->of[version].right2; \
  EACH rounds_first(&left[s], &right[s], QUAD_ADD(nonces[s], fixed->kw0)); \
  EACH rounds(&left[s], &right[s], QUAD_ADD(K(4), QUAD(0x80000000u, 0, 0, 0))); \
  EACH rounds(&left[s], &right[s], K(8)); \
  EACH rounds(&left[s], &right[s], QUAD_ADD(K(12), QUAD(0, 0, 0, 640)));

/* The second compression of STREAMS hashes, whose message is the digest of the first: word 7 of its digest, less its
 * initial value. `left` and `right`: the state after the rounds of the first. */
static inline void hash_digests(const struct states *header, quad left[STREAMS], quad right[STREAMS],
                                uint32_t last[STREAMS]) {
  quad w0[STREAMS], w4[STREAMS], w8[STREAMS], w12[STREAMS];
  quad(*const kept)[STREAMS] = NULL;
  EACH state_words(QUAD_ADD(left[s], header->left), QUAD_ADD(right[s], header->right), &w0[s], &w4[s]);
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

/* Rounds 16..63 of the first compression; K + W of them go to `kept`, where that is not NULL. */
static inline __attribute__((always_inline)) void later_rounds(const struct quads *fixed, const quad nonces[STREAMS],
                                                               quad left[STREAMS], quad right[STREAMS],
                                                               quad (*kept)[STREAMS]) {
  quad w0[STREAMS], w4[STREAMS], w8[STREAMS], w12[STREAMS];
  const quad zero = QUAD(0, 0, 0, 0);
  /* sigma0 of the nonce lands on W18, the nonce itself on W19. */
  EACH
    w0[s] = QUAD_ADD(SCHEDULE_EARLY(nonces[s], zero), fixed->w16_fixed);
  EACH w4[s] = SCHEDULE_LATE(fixed->early20, fixed->w12, w0[s]);
  EACH ROUNDS(16, w0) EACH w8[s] = SCHEDULE_LATE(fixed->early24, w0[s], w4[s]);
  EACH ROUNDS(20, w4) EACH w12[s] = SCHEDULE_LATE(fixed->early28, w4[s], w8[s]);
  EACH ROUNDS(24, w8)
  ADVANCE(32, w0, w4, w8, w12)
  ADVANCE(36, w4, w8, w12, w0)
  ADVANCE(40, w8, w12, w0, w4)
  ADVANCE(44, w12, w0, w4, w8)
  ADVANCE(48, w0, w4, w8, w12)
  ADVANCE(52, w4, w8, w12, w0)
  ADVANCE(56, w8, w12, w0, w4)
  ADVANCE(60, w12, w0, w4, w8)
  EACH ROUNDS(60, w12)
}

/* Word 7 of the digest, less its initial value, of STREAMS nonces of the first header. */
#define HASH static __attribute__((noinline)) void
HASH hash_streams(const struct quads *fixed, const quad nonces[STREAMS], uint32_t last[STREAMS]) {
  quad left[STREAMS], right[STREAMS];
  FIRST_ROUNDS(0)
  later_rounds(fixed, nonces, left, right, NULL);
  hash_digests(&fixed->of[0], left, right, last);
}

/* The same, and K + W of rounds 16..63 for the headers that differ in their version. Expanding the schedule alone would
 * leave the unit of the rounds idle. */
HASH hash_keeping(const struct quads *fixed, const quad nonces[STREAMS], quad (*kept)[STREAMS],
                  uint32_t last[STREAMS]) {
  quad left[STREAMS], right[STREAMS];
  FIRST_ROUNDS(0)
  later_rounds(fixed, nonces, left, right, kept);
  hash_digests(&fixed->of[0], left, right, last);
}

/* The same nonces of another header. */
HASH hash_expanded(const struct quads *fixed, uint32_t version, const quad nonces[STREAMS], quad (*kept)[STREAMS],
                   uint32_t last[STREAMS]) {
  quad left[STREAMS], right[STREAMS];
  FIRST_ROUNDS(version)
  _Pragma("GCC unroll 12") for (int i = 0; i < 12; i++) EACH rounds(&left[s], &right[s], kept[i][s]);
  hash_digests(&fixed->of[version], left, right, last);
}

void PIECE(sha256d)(const struct bw_work *work, uint64_t first, uint64_t end, struct bw_shares *shares, void *scratch) {
  (void)scratch;
  struct quads fixed;
  quad kept[12][STREAMS];
  prepare_quads(work, &fixed);
  for (uint64_t base = first; base < end; base += STREAMS) {
    quad nonces[STREAMS];
    uint32_t last[STREAMS];
    EACH nonces[s] = QUAD(0, 0, 0, sha256d_swap((uint32_t)base + (uint32_t)s));
    for (uint32_t version = 0; version < work->versions; version++) {
      if (work->versions == 1)
        hash_streams(&fixed, nonces, last);
      else if (version == 0)
        hash_keeping(&fixed, nonces, kept, last);
      else
        hash_expanded(&fixed, version, nonces, kept, last);
      EACH {
        const uint64_t nonce = base + (uint64_t)s;
        if (((last[s] + SHA256D_IV7) & work->jobs->mask) == 0 && nonce < end)
          keep_share(shares, work->sequence + version, nonce);
      }
    }
  }
}
#endif
