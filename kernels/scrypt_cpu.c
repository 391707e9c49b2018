/* scrypt nonce scan on the CPU (N = 1024, r = 1, p = 1, as Litecoin and Dogecoin mine it; RFC 7914), compiled once per
 * instruction set (scan.h).
 *
 * Two shapes of vector are used. SHA-256 (PBKDF2 at both ends) takes one hash per 32-bit lane. Salsa20/8 takes one hash
 * per 128-bit lane, its 16 words on four diagonals, so that a row of the scratchpad stays whole: 128 consecutive bytes,
 * read from wherever that hash wants it. Several vectors are interleaved, for one alone waits for its own results. */
/* Vectors of 128 bits, which the compiler turns into whatever the machine has. */
#define GENERIC_LANES 4
#include "scan.h"

enum { ROWS = 1024, ROW_WORDS = 32 };

#ifndef STREAMS
#define STREAMS 4
#endif

typedef uint32_t quads
    __attribute__((vector_size(4 * LANES)));           /* one hash per 128-bit lane; a `word` has one per lane */
enum { HASHES = LANES / 4, GROUP = HASHES * STREAMS }; /* of one vector, and of all that run together */
_Static_assert(LANES % GROUP == 0 && GROUP * ROWS * ROW_WORDS * 4 <= SCRYPT_SCRATCH_BYTES, "groups fill the lanes");

#define EACH _Pragma("GCC unroll 8") for (int s = 0; s < STREAMS; s++)
#if defined(BW_ISA_AVX512)
#define TURN(x, order) ((quads)_mm512_shuffle_epi32((__m512i)(x), order))
#elif defined(BW_ISA_AVX2)
#define TURN(x, order) ((quads)_mm256_shuffle_epi32((__m256i)(x), order))
#else
#define TURN(x, order) __builtin_shuffle(x, (quads){(order) & 3, (order) >> 2 & 3, (order) >> 4 & 3, (order) >> 6 & 3})
#if defined(__clang__)
#undef TURN
#define TURN(x, order) __builtin_shufflevector(x, x, (order) & 3, (order) >> 2 & 3, (order) >> 4 & 3, (order) >> 6 & 3)
#endif
#endif
#define SPLAT(k) ((word){0} + (k))

/* ---- SHA-256, a hash per lane ------------------------------------------------------------------------------------ */

static const uint32_t round_constants[64] = {SHA256D_ROUND_CONSTANTS};

/* to = from + compression of w, which is spent. */
static __attribute__((noinline)) void compress(word to[8], const word from[8], word w[16]) {
  word s[8];
  for (int i = 0; i < 8; i++) s[i] = from[i];
  for (int group = 0; group < 64; group += 16) {
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) {
      /* The names rotate instead of the values: a is s[-i], b is s[1 - i], and so on. */
      const word a = s[(16 - i) & 7], b = s[(17 - i) & 7], c = s[(18 - i) & 7];
      const word e = s[(20 - i) & 7], f = s[(21 - i) & 7], g = s[(22 - i) & 7];
      const word t1 = XOR3(ROTR(e, 6), ROTR(e, 11), ROTR(e, 25)) +
                      (CH(e, f, g) + ((s[(23 - i) & 7] + round_constants[group + i]) + w[i]));
      s[(19 - i) & 7] += t1;
      s[(23 - i) & 7] = XOR3(ROTR(a, 2), ROTR(a, 13), ROTR(a, 22)) + (MAJ(a, b, c) + t1);
      const word w1 = w[(i + 1) & 15], w14 = w[(i + 14) & 15];
      w[i] +=
          XOR3(ROTR(w1, 7), ROTR(w1, 18), w1 >> 3) + w[(i + 9) & 15] + XOR3(ROTR(w14, 17), ROTR(w14, 19), w14 >> 10);
    }
  }
  for (int i = 0; i < 8; i++) to[i] = from[i] + s[i];
}

/* The last block of a message: `count` words of it, the closing bit, zeros, and the length of the whole in bits. */
static inline void close_block(word w[16], int count, uint32_t bits) {
  w[count] = SPLAT(0x80000000u);
  for (int i = count + 1; i < 15; i++) w[i] = SPLAT(0);
  w[15] = SPLAT(bits);
}

/* HMAC's outer hash of an inner digest. */
static void finish_hmac(word digest[8], const word outer[8], const word inner[8]) {
  word w[16];
  for (int i = 0; i < 8; i++) w[i] = inner[i];
  close_block(w, 8, (64 + 32) * 8);
  compress(digest, outer, w);
}

static inline word swap_bytes(word x) { return (ROTL(x, 8) & 0x00ff00ffu) | (ROTR(x, 8) & 0xff00ff00u); }

/* ---- Salsa20/8 over the scratchpad, a hash per 128-bit lane ------------------------------------------------------ */

/* The position of word i of a 64-byte block once its matrix lies on diagonals. */
static const uint8_t diagonal[16] = {0, 13, 10, 7, 4, 1, 14, 11, 8, 5, 2, 15, 12, 9, 6, 3};

/* The same four words of each hash's row, from HASHES rows. */
static inline quads load_rows(const uint32_t *const rows[HASHES], int at) {
#if defined(BW_ISA_AVX512)
  __m512i x = _mm512_broadcast_i32x4(_mm_load_si128((const __m128i *)(rows[0] + at)));
  x = _mm512_mask_broadcast_i32x4(x, 0x00f0, _mm_load_si128((const __m128i *)(rows[1] + at)));
  x = _mm512_mask_broadcast_i32x4(x, 0x0f00, _mm_load_si128((const __m128i *)(rows[2] + at)));
  return (quads)_mm512_mask_broadcast_i32x4(x, 0xf000, _mm_load_si128((const __m128i *)(rows[3] + at)));
#elif defined(BW_ISA_AVX2)
  return (quads)_mm256_inserti128_si256(_mm256_castsi128_si256(_mm_load_si128((const __m128i *)(rows[0] + at))),
                                        _mm_load_si128((const __m128i *)(rows[1] + at)), 1);
#else
  return *(const quads *)(rows[0] + at);
#endif
}

static inline void store_rows(uint32_t *const rows[HASHES], int at, quads x) {
#if defined(BW_ISA_AVX512)
  _mm_store_si128((__m128i *)(rows[0] + at), _mm512_castsi512_si128((__m512i)x));
  _mm_store_si128((__m128i *)(rows[1] + at), _mm512_extracti32x4_epi32((__m512i)x, 1));
  _mm_store_si128((__m128i *)(rows[2] + at), _mm512_extracti32x4_epi32((__m512i)x, 2));
  _mm_store_si128((__m128i *)(rows[3] + at), _mm512_extracti32x4_epi32((__m512i)x, 3));
#elif defined(BW_ISA_AVX2)
  _mm_store_si128((__m128i *)(rows[0] + at), _mm256_castsi256_si128((__m256i)x));
  _mm_store_si128((__m128i *)(rows[1] + at), _mm256_extracti128_si256((__m256i)x, 1));
#else
  *(quads *)(rows[0] + at) = x;
#endif
}

/* to = Salsa20/8(to ^ with), for all streams; four diagonals each. */
static inline __attribute__((always_inline)) void salsa(quads to[STREAMS][8], int at, int with) {
  quads a[STREAMS], b[STREAMS], c[STREAMS], d[STREAMS];
  EACH a[s] = to[s][at] ^= to[s][with];
  EACH b[s] = to[s][at + 1] ^= to[s][with + 1];
  EACH c[s] = to[s][at + 2] ^= to[s][with + 2];
  EACH d[s] = to[s][at + 3] ^= to[s][with + 3];
#pragma GCC unroll 4
  for (int round = 0; round < 4; round++) {
    EACH b[s] ^= ROTL(a[s] + d[s], 7);
    EACH c[s] ^= ROTL(b[s] + a[s], 9);
    EACH d[s] ^= ROTL(c[s] + b[s], 13);
    EACH a[s] ^= ROTL(d[s] + c[s], 18);
    /* Columns become rows: the diagonals turn by one, two and three places. */
    EACH
      b[s] = TURN(b[s], 0x93);
    EACH c[s] = TURN(c[s], 0x4e);
    EACH d[s] = TURN(d[s], 0x39);
    EACH d[s] ^= ROTL(a[s] + b[s], 7);
    EACH c[s] ^= ROTL(d[s] + a[s], 9);
    EACH b[s] ^= ROTL(c[s] + d[s], 13);
    EACH a[s] ^= ROTL(b[s] + c[s], 18);
    EACH b[s] = TURN(b[s], 0x39);
    EACH c[s] = TURN(c[s], 0x4e);
    EACH d[s] = TURN(d[s], 0x93);
  }
  EACH to[s][at] += a[s];
  EACH to[s][at + 1] += b[s];
  EACH to[s][at + 2] += c[s];
  EACH to[s][at + 3] += d[s];
}

static inline __attribute__((always_inline)) void mix_block(quads x[STREAMS][8]) {
  salsa(x, 0, 4);
  salsa(x, 4, 0);
}

/* ROMix of GROUP hashes: `blocks` holds 32 words of each, on diagonals; `pads` their scratchpads, one after another. */
static __attribute__((noinline)) void mix_group(uint32_t blocks[GROUP][ROW_WORDS], uint32_t *pads) {
  quads x[STREAMS][8];
  const uint32_t *from[STREAMS][HASHES];
  uint32_t *to[STREAMS][HASHES];
  EACH
    for (int h = 0; h < HASHES; h++) from[s][h] = blocks[s * HASHES + h];
  EACH
    for (int h = 0; h < HASHES; h++) to[s][h] = pads + (size_t)(s * HASHES + h) * ROWS * ROW_WORDS;
  EACH
    for (int k = 0; k < 8; k++) x[s][k] = load_rows(from[s], 4 * k);
  for (int row = 0; row < ROWS; row++) {
    EACH {
      uint32_t *at[HASHES];
      for (int h = 0; h < HASHES; h++) at[h] = to[s][h] + (size_t)row * ROW_WORDS;
      for (int k = 0; k < 8; k++) store_rows(at, 4 * k, x[s][k]);
    }
    mix_block(x);
  }
  for (int step = 0; step < ROWS; step++) {
    EACH {
      const uint32_t *at[HASHES];
      for (int h = 0; h < HASHES; h++) at[h] = to[s][h] + (size_t)(x[s][4][4 * h] & (ROWS - 1)) * ROW_WORDS;
      for (int k = 0; k < 8; k++) x[s][k] ^= load_rows(at, 4 * k);
    }
    mix_block(x);
  }
  EACH {
    uint32_t *at[HASHES];
    for (int h = 0; h < HASHES; h++) at[h] = blocks[s * HASHES + h];
    for (int k = 0; k < 8; k++) store_rows(at, 4 * k, x[s][k]);
  }
}

/* ---- A batch of LANES nonces ------------------------------------------------------------------------------------- */

struct scratch {
  uint32_t blocks[LANES][ROW_WORDS] __attribute__((aligned(64)));
  word text[ROW_WORDS];
};

/* Word 7 of the scrypt hash of each lane's nonce. */
static word hash_lanes(const uint32_t header[20], const uint32_t midstate[8], word nonce_word, uint32_t *pads) {
  word start[8], key[8], inner[8], outer[8], salted[8], w[16];
  struct scratch scratch;
  sha256d_u32 initial[8];
  sha256d_initial(initial);

  /* The password is the header, longer than a block: its digest is HMAC's key. */
  for (int i = 0; i < 8; i++) start[i] = SPLAT(midstate[i]);
  for (int i = 0; i < 3; i++) w[i] = SPLAT(header[16 + i]);
  w[3] = nonce_word;
  close_block(w, 4, 80 * 8);
  compress(key, start, w);
  for (int i = 0; i < 8; i++) start[i] = SPLAT(initial[i]);
  for (int i = 0; i < 16; i++) w[i] = (i < 8 ? key[i] : SPLAT(0)) ^ 0x36363636u;
  compress(inner, start, w);
  for (int i = 0; i < 16; i++) w[i] = (i < 8 ? key[i] : SPLAT(0)) ^ 0x5c5c5c5cu;
  compress(outer, start, w);

  /* PBKDF2 with the header as salt: four digests make the block of 128 bytes. */
  for (int i = 0; i < 16; i++) w[i] = SPLAT(header[i]);
  compress(salted, inner, w);
  for (int part = 0; part < 4; part++) {
    word digest[8];
    for (int i = 0; i < 3; i++) w[i] = SPLAT(header[16 + i]);
    w[3] = nonce_word;
    w[4] = SPLAT((uint32_t)part + 1);
    close_block(w, 5, (64 + 80 + 4) * 8);
    compress(digest, salted, w);
    finish_hmac(digest, outer, digest);
    for (int i = 0; i < 8; i++) scratch.text[8 * part + i] = swap_bytes(digest[i]);
  }

  for (int i = 0; i < ROW_WORDS; i++)
    for (int lane = 0; lane < LANES; lane++) scratch.blocks[lane][(i & 16) + diagonal[i & 15]] = scratch.text[i][lane];
  for (int lane = 0; lane < LANES; lane += GROUP) mix_group(scratch.blocks + lane, pads);
  for (int i = 0; i < ROW_WORDS; i++)
    for (int lane = 0; lane < LANES; lane++) scratch.text[i][lane] = scratch.blocks[lane][(i & 16) + diagonal[i & 15]];

  /* PBKDF2 with the mixed block as salt: one digest is the hash. */
  for (int half = 0; half < 2; half++) {
    for (int i = 0; i < 16; i++) w[i] = swap_bytes(scratch.text[16 * half + i]);
    compress(inner, inner, w);
  }
  w[0] = SPLAT(1);
  close_block(w, 1, (64 + 128 + 4) * 8);
  compress(inner, inner, w);
  finish_hmac(key, outer, inner);
  return key[7];
}

void PIECE(scrypt)(const struct bw_work *work, uint64_t first, uint64_t end, struct bw_shares *shares, void *scratch) {
  const sha256d_job *job = work->jobs;
  uint32_t words[20];
  for (int i = 0; i < 20; i++) words[i] = sha256d_load(work->headers + 4 * i);
  for (uint64_t base = first; base < end; base += LANES) {
    word nonces;
    for (int lane = 0; lane < LANES; lane++) nonces[lane] = sha256d_swap((uint32_t)base + (uint32_t)lane);
    const word last = hash_lanes(words, job->midstate, nonces, (uint32_t *)scratch);
    for (int lane = 0; lane < LANES && base + (uint64_t)lane < end; lane++) {
      if (!(last[lane] & job->mask)) keep_share(shares, work->sequence, base + (uint64_t)lane);
    }
  }
}
