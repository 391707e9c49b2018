/* Double SHA-256 of a Bitcoin block header, one text for every target (FIPS 180-4).
 *
 * First part (read once): types, constants, and, on the host, what a job fixes before any nonce is tried.
 * Second part (read once per SHA256D_NAME): both compressions, unrolled, for the word type that the including file
 * chose. The word may be one 32-bit integer or a vector of them; each lane hashes one nonce.
 *
 * Hooks that the including file defines:
 *   SHA256D_NAME        name of the function this inclusion makes; undefined again at the end
 *   SHA_FUNCTION        its storage and attributes, for example: static inline
 *   SHA_WORD            word type
 *   SHA_ADD(x, y)       sum of two words, modulo 2^32
 *   SHA_ROTR(x, n)      rotate right by the literal n
 *   SHA_SHR(x, n)       shift right by the literal n, zeros in
 *   SHA_XOR3(x, y, z)   x ^ y ^ z
 *   SHA_CH(e, f, g)     (e & f) ^ (~e & g)
 *   SHA_MAJ(a, b, c)    majority of each bit
 *   SHA_CONST(i, k)     the constant k, which is also entry i of SHA256D_CONSTANTS, as a word
 *   SHA_JOB(field)      job->field as a word
 * Optional:
 *   SHA_ADD3(x, y, z)   sum of three words; z is ready first
 *   SHA_ADDK(x, i, k)   x plus constant i, for targets that add from memory or as an immediate
 *   SHA_SUM0(x, t), SHA_SUM1(x, t), SHA_SIGMA0(x, t), SHA_SIGMA1(x, t)   the four functions of FIPS 180-4;
 *                       t is the round, 0..63 in the first compression and 64..127 in the second
 *   SHA_PARAMETERS      further parameters of the function, each with a leading comma
 *
 * Version rolling (BIP 320) hashes headers that differ in their first 64 bytes alone, so that for one nonce they share
 * the message schedule of the first compression. Two inclusions split the function for that, each with one of these,
 * which are undefined again at the end:
 *   SHA_KEEPS_SCHEDULE  only expand the schedule: store K + W of rounds 18..63 in `kept`; whichever header's job will do
 *   SHA_TAKES_SCHEDULE  hash one header with the words in `kept`
 * What the other half computes is never used, and the compiler leaves it out.
 *
 *   SHA_WORD SHA256D_NAME(const sha256d_job *job, SHA_WORD nonce_word SHA_PARAMETERS)
 * returns word 7 of the digest. nonce_word is word 3 of the header's second block: the nonce with its bytes swapped.
 * A share has (returned & job->mask) == 0. With SHA_KEEPS_SCHEDULE it returns nothing; with either, a pointer `kept` to
 * SHA256D_KEPT_WORDS words comes after nonce_word.
 */
#ifndef SHA256D_H
#define SHA256D_H

typedef unsigned int sha256d_u32;
typedef unsigned char sha256d_u8;

#define SHA256D_K0 0x428a2f98u
#define SHA256D_K1 0x71374491u
#define SHA256D_K2 0xb5c0fbcfu
#define SHA256D_K3 0xe9b5dba5u
#define SHA256D_K4 0x3956c25bu
#define SHA256D_K5 0x59f111f1u
#define SHA256D_K6 0x923f82a4u
#define SHA256D_K7 0xab1c5ed5u
#define SHA256D_K8 0xd807aa98u
#define SHA256D_K9 0x12835b01u
#define SHA256D_K10 0x243185beu
#define SHA256D_K11 0x550c7dc3u
#define SHA256D_K12 0x72be5d74u
#define SHA256D_K13 0x80deb1feu
#define SHA256D_K14 0x9bdc06a7u
#define SHA256D_K15 0xc19bf174u
#define SHA256D_K16 0xe49b69c1u
#define SHA256D_K17 0xefbe4786u
#define SHA256D_K18 0x0fc19dc6u
#define SHA256D_K19 0x240ca1ccu
#define SHA256D_K20 0x2de92c6fu
#define SHA256D_K21 0x4a7484aau
#define SHA256D_K22 0x5cb0a9dcu
#define SHA256D_K23 0x76f988dau
#define SHA256D_K24 0x983e5152u
#define SHA256D_K25 0xa831c66du
#define SHA256D_K26 0xb00327c8u
#define SHA256D_K27 0xbf597fc7u
#define SHA256D_K28 0xc6e00bf3u
#define SHA256D_K29 0xd5a79147u
#define SHA256D_K30 0x06ca6351u
#define SHA256D_K31 0x14292967u
#define SHA256D_K32 0x27b70a85u
#define SHA256D_K33 0x2e1b2138u
#define SHA256D_K34 0x4d2c6dfcu
#define SHA256D_K35 0x53380d13u
#define SHA256D_K36 0x650a7354u
#define SHA256D_K37 0x766a0abbu
#define SHA256D_K38 0x81c2c92eu
#define SHA256D_K39 0x92722c85u
#define SHA256D_K40 0xa2bfe8a1u
#define SHA256D_K41 0xa81a664bu
#define SHA256D_K42 0xc24b8b70u
#define SHA256D_K43 0xc76c51a3u
#define SHA256D_K44 0xd192e819u
#define SHA256D_K45 0xd6990624u
#define SHA256D_K46 0xf40e3585u
#define SHA256D_K47 0x106aa070u
#define SHA256D_K48 0x19a4c116u
#define SHA256D_K49 0x1e376c08u
#define SHA256D_K50 0x2748774cu
#define SHA256D_K51 0x34b0bcb5u
#define SHA256D_K52 0x391c0cb3u
#define SHA256D_K53 0x4ed8aa4au
#define SHA256D_K54 0x5b9cca4fu
#define SHA256D_K55 0x682e6ff3u
#define SHA256D_K56 0x748f82eeu
#define SHA256D_K57 0x78a5636fu
#define SHA256D_K58 0x84c87814u
#define SHA256D_K59 0x8cc70208u
#define SHA256D_K60 0x90befffau
#define SHA256D_K61 0xa4506cebu
#define SHA256D_K62 0xbef9a3f7u
#define SHA256D_K63 0xc67178f2u
#define SHA256D_IV0 0x6a09e667u
#define SHA256D_IV1 0xbb67ae85u
#define SHA256D_IV2 0x3c6ef372u
#define SHA256D_IV3 0xa54ff53au
#define SHA256D_IV4 0x510e527fu
#define SHA256D_IV5 0x9b05688cu
#define SHA256D_IV6 0x1f83d9abu
#define SHA256D_IV7 0x5be0cd19u

/* FIPS 180-4's K and initial state, for tables. The parts are those between rounds whose constant takes in a fixed
 * message word or state word. */
#define SHA256D_K4_TO_K7 SHA256D_K4, SHA256D_K5, SHA256D_K6, SHA256D_K7
#define SHA256D_K9_TO_K14 SHA256D_K9, SHA256D_K10, SHA256D_K11, SHA256D_K12, SHA256D_K13, SHA256D_K14
#define SHA256D_K16_TO_K59 \
  SHA256D_K16, SHA256D_K17, SHA256D_K18, SHA256D_K19, SHA256D_K20, SHA256D_K21, SHA256D_K22, SHA256D_K23, SHA256D_K24, \
      SHA256D_K25, SHA256D_K26, SHA256D_K27, SHA256D_K28, SHA256D_K29, SHA256D_K30, SHA256D_K31, SHA256D_K32, \
      SHA256D_K33, SHA256D_K34, SHA256D_K35, SHA256D_K36, SHA256D_K37, SHA256D_K38, SHA256D_K39, SHA256D_K40, \
      SHA256D_K41, SHA256D_K42, SHA256D_K43, SHA256D_K44, SHA256D_K45, SHA256D_K46, SHA256D_K47, SHA256D_K48, \
      SHA256D_K49, SHA256D_K50, SHA256D_K51, SHA256D_K52, SHA256D_K53, SHA256D_K54, SHA256D_K55, SHA256D_K56, \
      SHA256D_K57, SHA256D_K58, SHA256D_K59
#define SHA256D_ROUND_CONSTANTS \
  SHA256D_K0, SHA256D_K1, SHA256D_K2, SHA256D_K3, SHA256D_K4_TO_K7, SHA256D_K8, SHA256D_K9_TO_K14, SHA256D_K15, \
      SHA256D_K16_TO_K59, SHA256D_K60, SHA256D_K61, SHA256D_K62, SHA256D_K63
#define SHA256D_INITIAL \
  SHA256D_IV0, SHA256D_IV1, SHA256D_IV2, SHA256D_IV3, SHA256D_IV4, SHA256D_IV5, SHA256D_IV6, SHA256D_IV7

/* Every constant that a nonce needs, with the constant message words folded in, in the order of SHA_CONST's i:
 * 0..63 rounds of the first compression, 64..127 of the second, then those of the schedule and of the first rounds. */
#define SHA256D_CONSTANT_COUNT 141
#define SHA256D_CONSTANTS \
  SHA256D_K0, SHA256D_K1, SHA256D_K2, SHA256D_K3, SHA256D_K4_TO_K7, SHA256D_K8, SHA256D_K9_TO_K14, SHA256D_K15 + 640u, \
      SHA256D_K16_TO_K59, SHA256D_K60, SHA256D_K61, SHA256D_K62, SHA256D_K63, 0x98c7e2a2u, SHA256D_K1 + SHA256D_IV6, \
      SHA256D_K2 + SHA256D_IV5, SHA256D_K3 + SHA256D_IV4, SHA256D_K4_TO_K7, SHA256D_K8 + 0x80000000u, \
      SHA256D_K9_TO_K14, SHA256D_K15 + 256u, SHA256D_K16_TO_K59, SHA256D_K60 + SHA256D_IV7, SHA256D_K61, SHA256D_K62, \
      SHA256D_K63, 0x80000000u, 640u, 0x00a00055u, 0x00a00000u, 256u, 0x11002000u, 0x00400022u, 0xfc08884du, \
      SHA256D_IV2, SHA256D_IV1, SHA256D_IV0, SHA256D_IV4, SHA256D_IV5

/* Rounds of the first compression whose message word no header fixes, and how many they are. */
#define SHA256D_FIRST_KEPT 18
#define SHA256D_KEPT_WORDS 46

/* All that is the same for every nonce of a header. Only 32-bit words, so that the layout is the same everywhere. */
typedef struct sha256d_job {
  sha256d_u32 midstate[8];          /* state after the first 64 bytes */
  sha256d_u32 a0, a1, a2, e1, e2;   /* state words that rounds 0..2 produced */
  sha256d_u32 a3_fixed, e3_fixed;   /* a and e after round 3, less the nonce word */
  sha256d_u32 kwh4, kwh5, kwh6;     /* h + K + W of rounds 4..6 */
  sha256d_u32 kw16, kw17;           /* K + W of rounds 16 and 17 */
  sha256d_u32 w16, w17;             /* schedule words that no nonce reaches */
  sha256d_u32 w18_fixed, w19_fixed; /* W18 less sigma0(nonce word), W19 less the nonce word */
  sha256d_u32 w31_fixed, w32_fixed; /* sigma0(W16) + W15, sigma0(W17) + W16 */
  sha256d_u32 mask;                 /* bits of digest word 7 that a share has zero */
} sha256d_job;

/* The host's part: needs no speed, so it is plain. */
#if !defined(__CUDACC__) && !defined(__CUDACC_RTC__) && !defined(__HIPCC__) && !defined(__HIPCC_RTC__)

#define SHA256D_ROTR(x, n) (((x) >> (n)) | ((x) << (32 - (n))))

static inline sha256d_u32 sha256d_sum0(sha256d_u32 x) {
  return SHA256D_ROTR(x, 2) ^ SHA256D_ROTR(x, 13) ^ SHA256D_ROTR(x, 22);
}
static inline sha256d_u32 sha256d_sum1(sha256d_u32 x) {
  return SHA256D_ROTR(x, 6) ^ SHA256D_ROTR(x, 11) ^ SHA256D_ROTR(x, 25);
}
static inline sha256d_u32 sha256d_sigma0(sha256d_u32 x) { return SHA256D_ROTR(x, 7) ^ SHA256D_ROTR(x, 18) ^ (x >> 3); }
static inline sha256d_u32 sha256d_sigma1(sha256d_u32 x) {
  return SHA256D_ROTR(x, 17) ^ SHA256D_ROTR(x, 19) ^ (x >> 10);
}
static inline sha256d_u32 sha256d_ch(sha256d_u32 e, sha256d_u32 f, sha256d_u32 g) { return (e & f) ^ (~e & g); }
static inline sha256d_u32 sha256d_maj(sha256d_u32 a, sha256d_u32 b, sha256d_u32 c) {
  return (a & b) ^ (a & c) ^ (b & c);
}
static inline sha256d_u32 sha256d_swap(sha256d_u32 x) {
  return (x >> 24) | ((x >> 8) & 0x0000ff00u) | ((x << 8) & 0x00ff0000u) | (x << 24);
}
static inline sha256d_u32 sha256d_load(const sha256d_u8 *p) {
  return ((sha256d_u32)p[0] << 24) | ((sha256d_u32)p[1] << 16) | ((sha256d_u32)p[2] << 8) | p[3];
}
static inline sha256d_u32 sha256d_round_constant(unsigned t) {
  static const sha256d_u32 k[64] = {SHA256D_ROUND_CONSTANTS};
  return k[t];
}

/* One textbook round on state[0..7] = a..h. */
static inline void sha256d_round(sha256d_u32 state[8], sha256d_u32 k_plus_w) {
  const sha256d_u32 t1 = state[7] + sha256d_sum1(state[4]) + sha256d_ch(state[4], state[5], state[6]) + k_plus_w;
  const sha256d_u32 t2 = sha256d_sum0(state[0]) + sha256d_maj(state[0], state[1], state[2]);
  for (int i = 7; i > 0; i--) state[i] = state[i - 1];
  state[4] += t1;
  state[0] = t1 + t2;
}

/* The textbook compression: state += f(state, block of 64 bytes as 16 words). */
static inline void sha256d_compress(sha256d_u32 state[8], const sha256d_u32 block[16]) {
  sha256d_u32 w[64], s[8];
  for (int t = 0; t < 16; t++) w[t] = block[t];
  for (int t = 16; t < 64; t++) w[t] = sha256d_sigma1(w[t - 2]) + w[t - 7] + sha256d_sigma0(w[t - 15]) + w[t - 16];
  for (int i = 0; i < 8; i++) s[i] = state[i];
  for (unsigned t = 0; t < 64; t++) sha256d_round(s, sha256d_round_constant(t) + w[t]);
  for (int i = 0; i < 8; i++) state[i] += s[i];
}

static inline void sha256d_initial(sha256d_u32 state[8]) {
  static const sha256d_u32 iv[8] = {SHA256D_INITIAL};
  for (int i = 0; i < 8; i++) state[i] = iv[i];
}

/* SHA-256 of SHA-256 of an 80-byte header, by the textbook: the reference for everything below. */
static inline void sha256d_hash80(const sha256d_u8 header[80], sha256d_u8 digest[32]) {
  sha256d_u32 state[8], block[16];
  sha256d_initial(state);
  for (int i = 0; i < 16; i++) block[i] = sha256d_load(header + 4 * i);
  sha256d_compress(state, block);
  for (int i = 0; i < 16; i++) block[i] = i < 4 ? sha256d_load(header + 64 + 4 * i) : 0;
  block[4] = 0x80000000u;
  block[15] = 640;
  sha256d_compress(state, block);
  for (int i = 0; i < 16; i++) block[i] = i < 8 ? state[i] : 0;
  block[8] = 0x80000000u;
  block[15] = 256;
  sha256d_initial(state);
  sha256d_compress(state, block);
  for (int i = 0; i < 32; i++) digest[i] = (sha256d_u8)(state[i / 4] >> (24 - 8 * (i % 4)));
}

/* Fills a job from a header (its nonce is ignored). share_bits 1..32: leading zero bits of a share's hash as Bitcoin
 * writes it, whose most significant byte is the digest's last. Returns 0, or -1 for share_bits out of range. */
static inline int sha256d_prepare(const sha256d_u8 header[80], int share_bits, sha256d_job *job) {
  sha256d_u32 s[8], w[18];
  if (share_bits < 1 || share_bits > 32) return -1;
  sha256d_initial(job->midstate);
  for (int i = 0; i < 16; i++) w[i] = sha256d_load(header + 4 * i);
  sha256d_compress(job->midstate, w);
  for (int i = 0; i < 18; i++) w[i] = i < 3 ? sha256d_load(header + 64 + 4 * i) : 0;
  w[4] = 0x80000000u;
  w[15] = 640;
  for (int i = 0; i < 8; i++) s[i] = job->midstate[i];
  for (unsigned t = 0; t < 3; t++) sha256d_round(s, sha256d_round_constant(t) + w[t]);
  job->a2 = s[0];
  job->a1 = s[1];
  job->a0 = s[2];
  job->e2 = s[4];
  job->e1 = s[5];
  job->kwh4 = s[6] + sha256d_round_constant(4) + w[4];
  job->kwh5 = s[5] + sha256d_round_constant(5);
  job->kwh6 = s[4] + sha256d_round_constant(6);
  sha256d_round(s, sha256d_round_constant(3)); /* with a nonce word of zero: both results take the nonce by addition */
  job->a3_fixed = s[0];
  job->e3_fixed = s[4];
  w[16] = sha256d_sigma0(w[1]) + w[0];
  w[17] = sha256d_sigma1(w[15]) + sha256d_sigma0(w[2]) + w[1];
  job->w16 = w[16];
  job->w17 = w[17];
  job->kw16 = sha256d_round_constant(16) + w[16];
  job->kw17 = sha256d_round_constant(17) + w[17];
  job->w18_fixed = sha256d_sigma1(w[16]) + w[2];
  job->w19_fixed = sha256d_sigma1(w[17]) + sha256d_sigma0(w[4]);
  job->w31_fixed = sha256d_sigma0(w[16]) + w[15];
  job->w32_fixed = sha256d_sigma0(w[17]) + w[16];
  job->mask = sha256d_swap(0xffffffffu << (32 - share_bits));
  return 0;
}

#endif /* host */
#endif /* SHA256D_H */

#ifdef SHA256D_NAME

#ifndef SHA_ADD3
#define SHA_ADD3(x, y, z) SHA_ADD(x, SHA_ADD(y, z))
#endif
#ifndef SHA_ADDK
#define SHA_ADDK(x, i, k) SHA_ADD(x, SHA_CONST(i, k))
#endif
#ifndef SHA_SUM0
#define SHA_SUM0(x, t) SHA_XOR3(SHA_ROTR(x, 2), SHA_ROTR(x, 13), SHA_ROTR(x, 22))
#endif
#ifndef SHA_SUM1
#define SHA_SUM1(x, t) SHA_XOR3(SHA_ROTR(x, 6), SHA_ROTR(x, 11), SHA_ROTR(x, 25))
#endif
#ifndef SHA_SIGMA0
#define SHA_SIGMA0(x, t) SHA_XOR3(SHA_ROTR(x, 7), SHA_ROTR(x, 18), SHA_SHR(x, 3))
#endif
#ifndef SHA_SIGMA1
#define SHA_SIGMA1(x, t) SHA_XOR3(SHA_ROTR(x, 17), SHA_ROTR(x, 19), SHA_SHR(x, 10))
#endif
#ifndef SHA_PARAMETERS
#define SHA_PARAMETERS
#endif

/* hkw = h + K + W. d becomes the next e, h the next a. */
#define SHA_ROUND(a, b, c, d, e, f, g, h, t, hkw) \
  t1 = SHA_ADD3(SHA_SUM1(e, t), SHA_CH(e, f, g), hkw); \
  d = SHA_ADD(d, t1); \
  h = SHA_ADD3(SHA_SUM0(a, t), SHA_MAJ(a, b, c), t1);
/* A round whose a is never needed. */
#define SHA_HALF_ROUND(d, e, f, g, t, hkw) d = SHA_ADD3(SHA_SUM1(e, t), SHA_CH(e, f, g), SHA_ADD(d, hkw));
#define SHA_SCHEDULE(w16, w15, w7, w2, t) w16 = SHA_ADD3(SHA_SIGMA1(w2, t), SHA_SIGMA0(w15, t), SHA_ADD(w16, w7));

/* A round of the first compression whose message word depends on the nonce. */
#if defined(SHA_KEEPS_SCHEDULE)
#define SHA_RESULT void
#define SHA_KEPT_WORDS , SHA_WORD *kept
#define SHA_ROUND_W(a, b, c, d, e, f, g, h, t, k, w) kept[(t) - SHA256D_FIRST_KEPT] = SHA_ADDK(w, t, k);
#elif defined(SHA_TAKES_SCHEDULE)
#define SHA_RESULT SHA_WORD
#define SHA_KEPT_WORDS , const SHA_WORD *kept
#define SHA_ROUND_W(a, b, c, d, e, f, g, h, t, k, w) \
  SHA_ROUND(a, b, c, d, e, f, g, h, t, SHA_ADD(h, kept[(t) - SHA256D_FIRST_KEPT]))
#else
#define SHA_RESULT SHA_WORD
#define SHA_KEPT_WORDS
#define SHA_ROUND_W(a, b, c, d, e, f, g, h, t, k, w) SHA_ROUND(a, b, c, d, e, f, g, h, t, SHA_ADD(SHA_ADDK(h, t, k), w))
#endif

SHA_FUNCTION SHA_RESULT SHA256D_NAME(const sha256d_job *job, SHA_WORD nonce_word SHA_KEPT_WORDS SHA_PARAMETERS) {
  SHA_WORD a, b, c, d, e, f, g, h, t1;
  SHA_WORD w0, w1, w2, w3, w4, w5, w6, w7, w8, w9, w10, w11, w12, w13, w14, w15;

  /* First compression. Rounds 0..2 are the job's and round 3 adds the nonce. Names do not move: each round writes the
   * new a and e over the old h and d, so the roles rotate by one name a round and return every eighth. */
  e = SHA_ADD(nonce_word, SHA_JOB(a3_fixed));
  a = SHA_ADD(nonce_word, SHA_JOB(e3_fixed));
  t1 = SHA_ADD3(SHA_SUM1(a, 4), SHA_CH(a, SHA_JOB(e2), SHA_JOB(e1)), SHA_JOB(kwh4));
  h = SHA_ADD(SHA_JOB(a0), t1);
  d = SHA_ADD3(SHA_SUM0(e, 4), SHA_MAJ(e, SHA_JOB(a2), SHA_JOB(a1)), t1);
  t1 = SHA_ADD3(SHA_SUM1(h, 5), SHA_CH(h, a, SHA_JOB(e2)), SHA_JOB(kwh5));
  g = SHA_ADD(SHA_JOB(a1), t1);
  c = SHA_ADD3(SHA_SUM0(d, 5), SHA_MAJ(d, e, SHA_JOB(a2)), t1);
  t1 = SHA_ADD3(SHA_SUM1(g, 6), SHA_CH(g, h, a), SHA_JOB(kwh6));
  f = SHA_ADD(SHA_JOB(a2), t1);
  b = SHA_ADD3(SHA_SUM0(c, 6), SHA_MAJ(c, d, e), t1);
  SHA_ROUND(b, c, d, e, f, g, h, a, 7, SHA_ADDK(a, 7, SHA256D_K7))
  SHA_ROUND(a, b, c, d, e, f, g, h, 8, SHA_ADDK(h, 8, SHA256D_K8))
  SHA_ROUND(h, a, b, c, d, e, f, g, 9, SHA_ADDK(g, 9, SHA256D_K9))
  SHA_ROUND(g, h, a, b, c, d, e, f, 10, SHA_ADDK(f, 10, SHA256D_K10))
  SHA_ROUND(f, g, h, a, b, c, d, e, 11, SHA_ADDK(e, 11, SHA256D_K11))
  SHA_ROUND(e, f, g, h, a, b, c, d, 12, SHA_ADDK(d, 12, SHA256D_K12))
  SHA_ROUND(d, e, f, g, h, a, b, c, 13, SHA_ADDK(c, 13, SHA256D_K13))
  SHA_ROUND(c, d, e, f, g, h, a, b, 14, SHA_ADDK(b, 14, SHA256D_K14))
  SHA_ROUND(b, c, d, e, f, g, h, a, 15, SHA_ADDK(a, 15, SHA256D_K15 + 640u))
  SHA_ROUND(a, b, c, d, e, f, g, h, 16, SHA_ADD(h, SHA_JOB(kw16)))
  SHA_ROUND(h, a, b, c, d, e, f, g, 17, SHA_ADD(g, SHA_JOB(kw17)))
  w2 = SHA_ADD(SHA_SIGMA0(nonce_word, 18), SHA_JOB(w18_fixed));
  SHA_ROUND_W(g, h, a, b, c, d, e, f, 18, SHA256D_K18, w2)
  w3 = SHA_ADD(nonce_word, SHA_JOB(w19_fixed));
  SHA_ROUND_W(f, g, h, a, b, c, d, e, 19, SHA256D_K19, w3)
  w4 = SHA_ADDK(SHA_SIGMA1(w2, 20), 128, 0x80000000u);
  SHA_ROUND_W(e, f, g, h, a, b, c, d, 20, SHA256D_K20, w4)
  w5 = SHA_SIGMA1(w3, 21);
  SHA_ROUND_W(d, e, f, g, h, a, b, c, 21, SHA256D_K21, w5)
  w6 = SHA_ADDK(SHA_SIGMA1(w4, 22), 129, 640u);
  SHA_ROUND_W(c, d, e, f, g, h, a, b, 22, SHA256D_K22, w6)
  w7 = SHA_ADD(SHA_SIGMA1(w5, 23), SHA_JOB(w16));
  SHA_ROUND_W(b, c, d, e, f, g, h, a, 23, SHA256D_K23, w7)
  w8 = SHA_ADD(SHA_SIGMA1(w6, 24), SHA_JOB(w17));
  SHA_ROUND_W(a, b, c, d, e, f, g, h, 24, SHA256D_K24, w8)
  w9 = SHA_ADD(SHA_SIGMA1(w7, 25), w2);
  SHA_ROUND_W(h, a, b, c, d, e, f, g, 25, SHA256D_K25, w9)
  w10 = SHA_ADD(SHA_SIGMA1(w8, 26), w3);
  SHA_ROUND_W(g, h, a, b, c, d, e, f, 26, SHA256D_K26, w10)
  w11 = SHA_ADD(SHA_SIGMA1(w9, 27), w4);
  SHA_ROUND_W(f, g, h, a, b, c, d, e, 27, SHA256D_K27, w11)
  w12 = SHA_ADD(SHA_SIGMA1(w10, 28), w5);
  SHA_ROUND_W(e, f, g, h, a, b, c, d, 28, SHA256D_K28, w12)
  w13 = SHA_ADD(SHA_SIGMA1(w11, 29), w6);
  SHA_ROUND_W(d, e, f, g, h, a, b, c, 29, SHA256D_K29, w13)
  w14 = SHA_ADD(SHA_SIGMA1(w12, 30), SHA_ADDK(w7, 130, 0x00a00055u));
  SHA_ROUND_W(c, d, e, f, g, h, a, b, 30, SHA256D_K30, w14)
  w15 = SHA_ADD(SHA_SIGMA1(w13, 31), SHA_ADD(w8, SHA_JOB(w31_fixed)));
  SHA_ROUND_W(b, c, d, e, f, g, h, a, 31, SHA256D_K31, w15)
  w0 = SHA_ADD(SHA_SIGMA1(w14, 32), SHA_ADD(w9, SHA_JOB(w32_fixed)));
  SHA_ROUND_W(a, b, c, d, e, f, g, h, 32, SHA256D_K32, w0)
  w1 = SHA_ADD3(SHA_SIGMA1(w15, 33), SHA_SIGMA0(w2, 33), SHA_ADD(w10, SHA_JOB(w17)));
  SHA_ROUND_W(h, a, b, c, d, e, f, g, 33, SHA256D_K33, w1)
  SHA_SCHEDULE(w2, w3, w11, w0, 34)
  SHA_ROUND_W(g, h, a, b, c, d, e, f, 34, SHA256D_K34, w2)
  SHA_SCHEDULE(w3, w4, w12, w1, 35)
  SHA_ROUND_W(f, g, h, a, b, c, d, e, 35, SHA256D_K35, w3)
  SHA_SCHEDULE(w4, w5, w13, w2, 36)
  SHA_ROUND_W(e, f, g, h, a, b, c, d, 36, SHA256D_K36, w4)
  SHA_SCHEDULE(w5, w6, w14, w3, 37)
  SHA_ROUND_W(d, e, f, g, h, a, b, c, 37, SHA256D_K37, w5)
  SHA_SCHEDULE(w6, w7, w15, w4, 38)
  SHA_ROUND_W(c, d, e, f, g, h, a, b, 38, SHA256D_K38, w6)
  SHA_SCHEDULE(w7, w8, w0, w5, 39)
  SHA_ROUND_W(b, c, d, e, f, g, h, a, 39, SHA256D_K39, w7)
  SHA_SCHEDULE(w8, w9, w1, w6, 40)
  SHA_ROUND_W(a, b, c, d, e, f, g, h, 40, SHA256D_K40, w8)
  SHA_SCHEDULE(w9, w10, w2, w7, 41)
  SHA_ROUND_W(h, a, b, c, d, e, f, g, 41, SHA256D_K41, w9)
  SHA_SCHEDULE(w10, w11, w3, w8, 42)
  SHA_ROUND_W(g, h, a, b, c, d, e, f, 42, SHA256D_K42, w10)
  SHA_SCHEDULE(w11, w12, w4, w9, 43)
  SHA_ROUND_W(f, g, h, a, b, c, d, e, 43, SHA256D_K43, w11)
  SHA_SCHEDULE(w12, w13, w5, w10, 44)
  SHA_ROUND_W(e, f, g, h, a, b, c, d, 44, SHA256D_K44, w12)
  SHA_SCHEDULE(w13, w14, w6, w11, 45)
  SHA_ROUND_W(d, e, f, g, h, a, b, c, 45, SHA256D_K45, w13)
  SHA_SCHEDULE(w14, w15, w7, w12, 46)
  SHA_ROUND_W(c, d, e, f, g, h, a, b, 46, SHA256D_K46, w14)
  SHA_SCHEDULE(w15, w0, w8, w13, 47)
  SHA_ROUND_W(b, c, d, e, f, g, h, a, 47, SHA256D_K47, w15)
  SHA_SCHEDULE(w0, w1, w9, w14, 48)
  SHA_ROUND_W(a, b, c, d, e, f, g, h, 48, SHA256D_K48, w0)
  SHA_SCHEDULE(w1, w2, w10, w15, 49)
  SHA_ROUND_W(h, a, b, c, d, e, f, g, 49, SHA256D_K49, w1)
  SHA_SCHEDULE(w2, w3, w11, w0, 50)
  SHA_ROUND_W(g, h, a, b, c, d, e, f, 50, SHA256D_K50, w2)
  SHA_SCHEDULE(w3, w4, w12, w1, 51)
  SHA_ROUND_W(f, g, h, a, b, c, d, e, 51, SHA256D_K51, w3)
  SHA_SCHEDULE(w4, w5, w13, w2, 52)
  SHA_ROUND_W(e, f, g, h, a, b, c, d, 52, SHA256D_K52, w4)
  SHA_SCHEDULE(w5, w6, w14, w3, 53)
  SHA_ROUND_W(d, e, f, g, h, a, b, c, 53, SHA256D_K53, w5)
  SHA_SCHEDULE(w6, w7, w15, w4, 54)
  SHA_ROUND_W(c, d, e, f, g, h, a, b, 54, SHA256D_K54, w6)
  SHA_SCHEDULE(w7, w8, w0, w5, 55)
  SHA_ROUND_W(b, c, d, e, f, g, h, a, 55, SHA256D_K55, w7)
  SHA_SCHEDULE(w8, w9, w1, w6, 56)
  SHA_ROUND_W(a, b, c, d, e, f, g, h, 56, SHA256D_K56, w8)
  SHA_SCHEDULE(w9, w10, w2, w7, 57)
  SHA_ROUND_W(h, a, b, c, d, e, f, g, 57, SHA256D_K57, w9)
  SHA_SCHEDULE(w10, w11, w3, w8, 58)
  SHA_ROUND_W(g, h, a, b, c, d, e, f, 58, SHA256D_K58, w10)
  SHA_SCHEDULE(w11, w12, w4, w9, 59)
  SHA_ROUND_W(f, g, h, a, b, c, d, e, 59, SHA256D_K59, w11)
  SHA_SCHEDULE(w12, w13, w5, w10, 60)
  SHA_ROUND_W(e, f, g, h, a, b, c, d, 60, SHA256D_K60, w12)
  SHA_SCHEDULE(w13, w14, w6, w11, 61)
  SHA_ROUND_W(d, e, f, g, h, a, b, c, 61, SHA256D_K61, w13)
  SHA_SCHEDULE(w14, w15, w7, w12, 62)
  SHA_ROUND_W(c, d, e, f, g, h, a, b, 62, SHA256D_K62, w14)
  SHA_SCHEDULE(w15, w0, w8, w13, 63)
  SHA_ROUND_W(b, c, d, e, f, g, h, a, 63, SHA256D_K63, w15)
#ifndef SHA_KEEPS_SCHEDULE

  /* The digest of the first is the message of the second. */
  w0 = SHA_ADD(a, SHA_JOB(midstate[0]));
  w1 = SHA_ADD(b, SHA_JOB(midstate[1]));
  w2 = SHA_ADD(c, SHA_JOB(midstate[2]));
  w3 = SHA_ADD(d, SHA_JOB(midstate[3]));
  w4 = SHA_ADD(e, SHA_JOB(midstate[4]));
  w5 = SHA_ADD(f, SHA_JOB(midstate[5]));
  w6 = SHA_ADD(g, SHA_JOB(midstate[6]));
  w7 = SHA_ADD(h, SHA_JOB(midstate[7]));

  /* Second compression, whose first rounds still hold constants of the initial state. */
  d = SHA_ADDK(w0, 64, 0x98c7e2a2u);  /* e0 */
  h = SHA_ADDK(w0, 135, 0xfc08884du); /* a0 */
  t1 = SHA_ADD3(SHA_SUM1(d, 65), SHA_CH(d, SHA_CONST(139, SHA256D_IV4), SHA_CONST(140, SHA256D_IV5)),
                SHA_ADDK(w1, 65, SHA256D_K1 + SHA256D_IV6));
  c = SHA_ADDK(t1, 136, SHA256D_IV2);
  g = SHA_ADD3(SHA_SUM0(h, 65), SHA_MAJ(h, SHA_CONST(138, SHA256D_IV0), SHA_CONST(137, SHA256D_IV1)), t1);
  t1 = SHA_ADD3(SHA_SUM1(c, 66), SHA_CH(c, d, SHA_CONST(139, SHA256D_IV4)), SHA_ADDK(w2, 66, SHA256D_K2 + SHA256D_IV5));
  b = SHA_ADDK(t1, 137, SHA256D_IV1);
  f = SHA_ADD3(SHA_SUM0(g, 66), SHA_MAJ(g, h, SHA_CONST(138, SHA256D_IV0)), t1);
  t1 = SHA_ADD3(SHA_SUM1(b, 67), SHA_CH(b, c, d), SHA_ADDK(w3, 67, SHA256D_K3 + SHA256D_IV4));
  a = SHA_ADDK(t1, 138, SHA256D_IV0);
  e = SHA_ADD3(SHA_SUM0(f, 67), SHA_MAJ(f, g, h), t1);
  SHA_ROUND(e, f, g, h, a, b, c, d, 68, SHA_ADD(SHA_ADDK(d, 68, SHA256D_K4), w4))
  SHA_ROUND(d, e, f, g, h, a, b, c, 69, SHA_ADD(SHA_ADDK(c, 69, SHA256D_K5), w5))
  SHA_ROUND(c, d, e, f, g, h, a, b, 70, SHA_ADD(SHA_ADDK(b, 70, SHA256D_K6), w6))
  SHA_ROUND(b, c, d, e, f, g, h, a, 71, SHA_ADD(SHA_ADDK(a, 71, SHA256D_K7), w7))
  SHA_ROUND(a, b, c, d, e, f, g, h, 72, SHA_ADDK(h, 72, SHA256D_K8 + 0x80000000u))
  SHA_ROUND(h, a, b, c, d, e, f, g, 73, SHA_ADDK(g, 73, SHA256D_K9))
  SHA_ROUND(g, h, a, b, c, d, e, f, 74, SHA_ADDK(f, 74, SHA256D_K10))
  SHA_ROUND(f, g, h, a, b, c, d, e, 75, SHA_ADDK(e, 75, SHA256D_K11))
  SHA_ROUND(e, f, g, h, a, b, c, d, 76, SHA_ADDK(d, 76, SHA256D_K12))
  SHA_ROUND(d, e, f, g, h, a, b, c, 77, SHA_ADDK(c, 77, SHA256D_K13))
  SHA_ROUND(c, d, e, f, g, h, a, b, 78, SHA_ADDK(b, 78, SHA256D_K14))
  SHA_ROUND(b, c, d, e, f, g, h, a, 79, SHA_ADDK(a, 79, SHA256D_K15 + 256u))
  w0 = SHA_ADD(SHA_SIGMA0(w1, 80), w0);
  SHA_ROUND(a, b, c, d, e, f, g, h, 80, SHA_ADD(SHA_ADDK(h, 80, SHA256D_K16), w0))
  w1 = SHA_ADD(SHA_SIGMA0(w2, 81), SHA_ADDK(w1, 131, 0x00a00000u));
  SHA_ROUND(h, a, b, c, d, e, f, g, 81, SHA_ADD(SHA_ADDK(g, 81, SHA256D_K17), w1))
  w2 = SHA_ADD3(SHA_SIGMA1(w0, 82), SHA_SIGMA0(w3, 82), w2);
  SHA_ROUND(g, h, a, b, c, d, e, f, 82, SHA_ADD(SHA_ADDK(f, 82, SHA256D_K18), w2))
  w3 = SHA_ADD3(SHA_SIGMA1(w1, 83), SHA_SIGMA0(w4, 83), w3);
  SHA_ROUND(f, g, h, a, b, c, d, e, 83, SHA_ADD(SHA_ADDK(e, 83, SHA256D_K19), w3))
  w4 = SHA_ADD3(SHA_SIGMA1(w2, 84), SHA_SIGMA0(w5, 84), w4);
  SHA_ROUND(e, f, g, h, a, b, c, d, 84, SHA_ADD(SHA_ADDK(d, 84, SHA256D_K20), w4))
  w5 = SHA_ADD3(SHA_SIGMA1(w3, 85), SHA_SIGMA0(w6, 85), w5);
  SHA_ROUND(d, e, f, g, h, a, b, c, 85, SHA_ADD(SHA_ADDK(c, 85, SHA256D_K21), w5))
  w6 = SHA_ADD3(SHA_SIGMA1(w4, 86), SHA_SIGMA0(w7, 86), SHA_ADDK(w6, 132, 256u));
  SHA_ROUND(c, d, e, f, g, h, a, b, 86, SHA_ADD(SHA_ADDK(b, 86, SHA256D_K22), w6))
  w7 = SHA_ADD3(SHA_SIGMA1(w5, 87), w0, SHA_ADDK(w7, 133, 0x11002000u));
  SHA_ROUND(b, c, d, e, f, g, h, a, 87, SHA_ADD(SHA_ADDK(a, 87, SHA256D_K23), w7))
  w8 = SHA_ADD(SHA_SIGMA1(w6, 88), SHA_ADDK(w1, 128, 0x80000000u));
  SHA_ROUND(a, b, c, d, e, f, g, h, 88, SHA_ADD(SHA_ADDK(h, 88, SHA256D_K24), w8))
  w9 = SHA_ADD(SHA_SIGMA1(w7, 89), w2);
  SHA_ROUND(h, a, b, c, d, e, f, g, 89, SHA_ADD(SHA_ADDK(g, 89, SHA256D_K25), w9))
  w10 = SHA_ADD(SHA_SIGMA1(w8, 90), w3);
  SHA_ROUND(g, h, a, b, c, d, e, f, 90, SHA_ADD(SHA_ADDK(f, 90, SHA256D_K26), w10))
  w11 = SHA_ADD(SHA_SIGMA1(w9, 91), w4);
  SHA_ROUND(f, g, h, a, b, c, d, e, 91, SHA_ADD(SHA_ADDK(e, 91, SHA256D_K27), w11))
  w12 = SHA_ADD(SHA_SIGMA1(w10, 92), w5);
  SHA_ROUND(e, f, g, h, a, b, c, d, 92, SHA_ADD(SHA_ADDK(d, 92, SHA256D_K28), w12))
  w13 = SHA_ADD(SHA_SIGMA1(w11, 93), w6);
  SHA_ROUND(d, e, f, g, h, a, b, c, 93, SHA_ADD(SHA_ADDK(c, 93, SHA256D_K29), w13))
  w14 = SHA_ADD(SHA_SIGMA1(w12, 94), SHA_ADDK(w7, 134, 0x00400022u));
  SHA_ROUND(c, d, e, f, g, h, a, b, 94, SHA_ADD(SHA_ADDK(b, 94, SHA256D_K30), w14))
  w15 = SHA_ADD3(SHA_SIGMA1(w13, 95), SHA_SIGMA0(w0, 95), SHA_ADDK(w8, 132, 256u));
  SHA_ROUND(b, c, d, e, f, g, h, a, 95, SHA_ADD(SHA_ADDK(a, 95, SHA256D_K31), w15))
  SHA_SCHEDULE(w0, w1, w9, w14, 96)
  SHA_ROUND(a, b, c, d, e, f, g, h, 96, SHA_ADD(SHA_ADDK(h, 96, SHA256D_K32), w0))
  SHA_SCHEDULE(w1, w2, w10, w15, 97)
  SHA_ROUND(h, a, b, c, d, e, f, g, 97, SHA_ADD(SHA_ADDK(g, 97, SHA256D_K33), w1))
  SHA_SCHEDULE(w2, w3, w11, w0, 98)
  SHA_ROUND(g, h, a, b, c, d, e, f, 98, SHA_ADD(SHA_ADDK(f, 98, SHA256D_K34), w2))
  SHA_SCHEDULE(w3, w4, w12, w1, 99)
  SHA_ROUND(f, g, h, a, b, c, d, e, 99, SHA_ADD(SHA_ADDK(e, 99, SHA256D_K35), w3))
  SHA_SCHEDULE(w4, w5, w13, w2, 100)
  SHA_ROUND(e, f, g, h, a, b, c, d, 100, SHA_ADD(SHA_ADDK(d, 100, SHA256D_K36), w4))
  SHA_SCHEDULE(w5, w6, w14, w3, 101)
  SHA_ROUND(d, e, f, g, h, a, b, c, 101, SHA_ADD(SHA_ADDK(c, 101, SHA256D_K37), w5))
  SHA_SCHEDULE(w6, w7, w15, w4, 102)
  SHA_ROUND(c, d, e, f, g, h, a, b, 102, SHA_ADD(SHA_ADDK(b, 102, SHA256D_K38), w6))
  SHA_SCHEDULE(w7, w8, w0, w5, 103)
  SHA_ROUND(b, c, d, e, f, g, h, a, 103, SHA_ADD(SHA_ADDK(a, 103, SHA256D_K39), w7))
  SHA_SCHEDULE(w8, w9, w1, w6, 104)
  SHA_ROUND(a, b, c, d, e, f, g, h, 104, SHA_ADD(SHA_ADDK(h, 104, SHA256D_K40), w8))
  SHA_SCHEDULE(w9, w10, w2, w7, 105)
  SHA_ROUND(h, a, b, c, d, e, f, g, 105, SHA_ADD(SHA_ADDK(g, 105, SHA256D_K41), w9))
  SHA_SCHEDULE(w10, w11, w3, w8, 106)
  SHA_ROUND(g, h, a, b, c, d, e, f, 106, SHA_ADD(SHA_ADDK(f, 106, SHA256D_K42), w10))
  SHA_SCHEDULE(w11, w12, w4, w9, 107)
  SHA_ROUND(f, g, h, a, b, c, d, e, 107, SHA_ADD(SHA_ADDK(e, 107, SHA256D_K43), w11))
  SHA_SCHEDULE(w12, w13, w5, w10, 108)
  SHA_ROUND(e, f, g, h, a, b, c, d, 108, SHA_ADD(SHA_ADDK(d, 108, SHA256D_K44), w12))
  SHA_SCHEDULE(w13, w14, w6, w11, 109)
  SHA_ROUND(d, e, f, g, h, a, b, c, 109, SHA_ADD(SHA_ADDK(c, 109, SHA256D_K45), w13))
  SHA_SCHEDULE(w14, w15, w7, w12, 110)
  SHA_ROUND(c, d, e, f, g, h, a, b, 110, SHA_ADD(SHA_ADDK(b, 110, SHA256D_K46), w14))
  SHA_SCHEDULE(w15, w0, w8, w13, 111)
  SHA_ROUND(b, c, d, e, f, g, h, a, 111, SHA_ADD(SHA_ADDK(a, 111, SHA256D_K47), w15))
  SHA_SCHEDULE(w0, w1, w9, w14, 112)
  SHA_ROUND(a, b, c, d, e, f, g, h, 112, SHA_ADD(SHA_ADDK(h, 112, SHA256D_K48), w0))
  SHA_SCHEDULE(w1, w2, w10, w15, 113)
  SHA_ROUND(h, a, b, c, d, e, f, g, 113, SHA_ADD(SHA_ADDK(g, 113, SHA256D_K49), w1))
  SHA_SCHEDULE(w2, w3, w11, w0, 114)
  SHA_ROUND(g, h, a, b, c, d, e, f, 114, SHA_ADD(SHA_ADDK(f, 114, SHA256D_K50), w2))
  SHA_SCHEDULE(w3, w4, w12, w1, 115)
  SHA_ROUND(f, g, h, a, b, c, d, e, 115, SHA_ADD(SHA_ADDK(e, 115, SHA256D_K51), w3))
  SHA_SCHEDULE(w4, w5, w13, w2, 116)
  SHA_ROUND(e, f, g, h, a, b, c, d, 116, SHA_ADD(SHA_ADDK(d, 116, SHA256D_K52), w4))
  SHA_SCHEDULE(w5, w6, w14, w3, 117)
  SHA_ROUND(d, e, f, g, h, a, b, c, 117, SHA_ADD(SHA_ADDK(c, 117, SHA256D_K53), w5))
  SHA_SCHEDULE(w6, w7, w15, w4, 118)
  SHA_ROUND(c, d, e, f, g, h, a, b, 118, SHA_ADD(SHA_ADDK(b, 118, SHA256D_K54), w6))
  SHA_SCHEDULE(w7, w8, w0, w5, 119)
  SHA_ROUND(b, c, d, e, f, g, h, a, 119, SHA_ADD(SHA_ADDK(a, 119, SHA256D_K55), w7))
  SHA_SCHEDULE(w8, w9, w1, w6, 120)
  SHA_ROUND(a, b, c, d, e, f, g, h, 120, SHA_ADD(SHA_ADDK(h, 120, SHA256D_K56), w8))
  SHA_SCHEDULE(w9, w10, w2, w7, 121)
  SHA_HALF_ROUND(c, d, e, f, 121, SHA_ADD(SHA_ADDK(g, 121, SHA256D_K57), w9))
  SHA_SCHEDULE(w10, w11, w3, w8, 122)
  SHA_HALF_ROUND(b, c, d, e, 122, SHA_ADD(SHA_ADDK(f, 122, SHA256D_K58), w10))
  SHA_SCHEDULE(w11, w12, w4, w9, 123)
  SHA_HALF_ROUND(a, b, c, d, 123, SHA_ADD(SHA_ADDK(e, 123, SHA256D_K59), w11))
  SHA_SCHEDULE(w12, w13, w5, w10, 124)
  SHA_HALF_ROUND(h, a, b, c, 124, SHA_ADD(SHA_ADDK(d, 124, SHA256D_K60 + SHA256D_IV7), w12))
  return h;
#endif
}

#undef SHA_ROUND
#undef SHA_ROUND_W
#undef SHA_HALF_ROUND
#undef SHA_SCHEDULE
#undef SHA_ROUND_W
#undef SHA256D_NAME
#undef SHA_RESULT
#undef SHA_KEPT_WORDS
#undef SHA_KEEPS_SCHEDULE
#undef SHA_TAKES_SCHEDULE
#endif /* SHA256D_NAME */
