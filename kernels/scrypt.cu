/* scrypt nonce scan (N = 1024, r = 1, p = 1, as Litecoin and Dogecoin mine it; RFC 7914) for GPUs. Built at run time by
 * NVRTC or HIPRTC, and for the host by the tests.
 *
 * One thread makes one hash at a time. Its scratchpad is 1024 rows of 128 bytes, written once in order and read once at
 * random: the memory is what the work is about. Rows of neighbouring threads lie side by side, so that the writes of a
 * warp fill 4 KiB in a row; each row is contiguous, so that a random read takes whole lines.
 *
 * Compile-time settings:
 *   SCRYPT_GAP      1, 2, 4 or 8: only every SCRYPT_GAP-th row is stored, the others are made again when read. Fewer
 *                   bytes for more arithmetic.
 *   SCRYPT_WIDE     of the four steps of a quarter round, how many (0..4) rotate by a wide product, whose two halves go
 *                   into one three-input exclusive or: takes work from the logic pipe to the multiply-add pipe.
 *   SCRYPT_THREADS  threads of a block
 */
#include "sha256d.h"

#ifndef SCRYPT_GAP
#define SCRYPT_GAP 1
#endif
#ifndef SCRYPT_WIDE
#define SCRYPT_WIDE 0
#endif
#ifndef SCRYPT_THREADS
#define SCRYPT_THREADS 128
#endif
#if SCRYPT_GAP != 1 && SCRYPT_GAP != 2 && SCRYPT_GAP != 4 && SCRYPT_GAP != 8
#error SCRYPT_GAP must be 1, 2, 4 or 8
#endif
#if SCRYPT_WIDE < 0 || SCRYPT_WIDE > 4
#error SCRYPT_WIDE must be from 0 to 4
#endif

#define SCRYPT_N 1024

typedef sha256d_u32 u32;

typedef struct scrypt_job {
  u32 midstate[8]; /* of SHA-256 after the header's first 64 bytes */
  u32 header[20];  /* big-endian words; the last, the nonce, is ignored */
  u32 mask;        /* bits of digest word 7 that a share has zero */
} scrypt_job;

/* 2^7, 2^9, 2^13, 2^18: they come in at run time, or the compiler would see shifts. */
typedef struct scrypt_factors {
  u32 rotate[4];
} scrypt_factors;

typedef struct scrypt_found {
  u32 sequence; /* of the header */
  u32 nonce;
} scrypt_found;

typedef struct __align__(16) scrypt_quad {
  u32 x, y, z, w;
} scrypt_quad;

/* ---- SHA-256 and PBKDF2 around it: a fortieth of the work, so it is plain ---------------------------------------- */

static __constant__ u32 scrypt_k[64] = {SHA256D_ROUND_CONSTANTS};

#define ROTR(x, n) (((x) >> (n)) | ((x) << (32 - (n))))

static __device__ __forceinline__ u32 swap_bytes(u32 x) {
  return (x >> 24) | ((x >> 8) & 0xff00u) | ((x << 8) & 0xff0000u) | (x << 24);
}

/* state += compression of block, which is spent. */
static __device__ __forceinline__ void sha256_compress(u32 state[8], u32 w[16]) {
  u32 s[8];
#pragma unroll
  for (int i = 0; i < 8; i++) s[i] = state[i];
#pragma unroll 1
  for (int group = 0; group < 64; group += 16) {
#pragma unroll
    for (int i = 0; i < 16; i++) {
      /* The names rotate by one word a round; 16 keeps the index above zero. */
      const u32 a = s[(16 - i) & 7], b = s[(17 - i) & 7], c = s[(18 - i) & 7];
      const u32 e = s[(20 - i) & 7], f = s[(21 - i) & 7], g = s[(22 - i) & 7];
      const u32 t1 = s[(23 - i) & 7] + (ROTR(e, 6) ^ ROTR(e, 11) ^ ROTR(e, 25)) + ((e & f) ^ (~e & g)) +
                     scrypt_k[group + i] + w[i];
      s[(19 - i) & 7] += t1;
      s[(23 - i) & 7] = t1 + (ROTR(a, 2) ^ ROTR(a, 13) ^ ROTR(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
      /* Overwritten by W of sixteen rounds later; those after round 63 are never used. */
      const u32 w1 = w[(i + 1) & 15], w14 = w[(i + 14) & 15];
      if (i < 15 || group < 48)
        w[i] +=
            (ROTR(w1, 7) ^ ROTR(w1, 18) ^ (w1 >> 3)) + w[(i + 9) & 15] + (ROTR(w14, 17) ^ ROTR(w14, 19) ^ (w14 >> 10));
    }
  }
#pragma unroll
  for (int i = 0; i < 8; i++) state[i] += s[i];
}

static __device__ __forceinline__ void sha256_begin(u32 state[8]) {
  state[0] = SHA256D_IV0, state[1] = SHA256D_IV1, state[2] = SHA256D_IV2, state[3] = SHA256D_IV3;
  state[4] = SHA256D_IV4, state[5] = SHA256D_IV5, state[6] = SHA256D_IV6, state[7] = SHA256D_IV7;
}

/* block = eight words, the closing bit, zeros, and the length in bits of all that was hashed. */
static __device__ __forceinline__ void pad_digest(u32 block[16], const u32 digest[8], u32 bits) {
#pragma unroll
  for (int i = 0; i < 8; i++) block[i] = digest[i];
  block[8] = 0x80000000u;
#pragma unroll
  for (int i = 9; i < 15; i++) block[i] = 0;
  block[15] = bits;
}

/* HMAC's two key blocks, hashed: the password is the 80-byte header, longer than a block, so its digest is the key. */
static __device__ __forceinline__ void hmac_begin(const scrypt_job &job, u32 nonce_word, u32 inner[8], u32 outer[8]) {
  u32 key[8], block[16];
#pragma unroll
  for (int i = 0; i < 8; i++) key[i] = job.midstate[i];
#pragma unroll
  for (int i = 0; i < 16; i++) block[i] = i < 3 ? job.header[16 + i] : 0;
  block[3] = nonce_word;
  block[4] = 0x80000000u;
  block[15] = 640;
  sha256_compress(key, block);
  sha256_begin(inner);
#pragma unroll
  for (int i = 0; i < 16; i++) block[i] = (i < 8 ? key[i & 7] : 0) ^ 0x36363636u;
  sha256_compress(inner, block);
  sha256_begin(outer);
#pragma unroll
  for (int i = 0; i < 16; i++) block[i] = (i < 8 ? key[i & 7] : 0) ^ 0x5c5c5c5cu;
  sha256_compress(outer, block);
}

/* ---- Salsa20/8 and the scratchpad: the work ---------------------------------------------------------------------- */

/* Both halves of x * y. As assembly because from a 64-bit product in C ptxas adds a zero to each high half. */
static __device__ __forceinline__ void gpu_multiply_wide(u32 x, u32 y, u32 &low, u32 &high) {
#if defined(__CUDA_ARCH__)
  asm("{\n\t.reg .u64 product;\n\tmul.wide.u32 product, %2, %3;\n\tmov.b64 {%0, %1}, product;\n\t}"
      : "=r"(low), "=r"(high)
      : "r"(x), "r"(y));
#else
  const unsigned long long product = (unsigned long long)x * y;
  low = (u32)product;
  high = (u32)(product >> 32);
#endif
}

template <int STEP>
static __device__ __forceinline__ void quarter_step(u32 &to, u32 from, const scrypt_factors &by) {
  const int left = STEP == 0 ? 7 : STEP == 1 ? 9 : STEP == 2 ? 13 : 18;
  if (STEP < SCRYPT_WIDE) {
    u32 low, high;
    gpu_multiply_wide(from, by.rotate[STEP], low, high);
    to ^= low ^ high;
  } else {
    to ^= (from << left) | (from >> (32 - left));
  }
}

static __device__ __forceinline__ void quarter_round(u32 &a, u32 &b, u32 &c, u32 &d, const scrypt_factors &by) {
  quarter_step<0>(b, a + d, by);
  quarter_step<1>(c, b + a, by);
  quarter_step<2>(d, c + b, by);
  quarter_step<3>(a, d + c, by);
}

/* b = Salsa20/8(b ^ other) */
static __device__ __forceinline__ void salsa(u32 b[16], const u32 other[16], const scrypt_factors &by) {
  u32 x[16];
#pragma unroll
  for (int i = 0; i < 16; i++) x[i] = b[i] ^= other[i];
#pragma unroll
  for (int round = 0; round < 8; round += 2) {
    quarter_round(x[0], x[4], x[8], x[12], by);
    quarter_round(x[5], x[9], x[13], x[1], by);
    quarter_round(x[10], x[14], x[2], x[6], by);
    quarter_round(x[15], x[3], x[7], x[11], by);
    quarter_round(x[0], x[1], x[2], x[3], by);
    quarter_round(x[5], x[6], x[7], x[4], by);
    quarter_round(x[10], x[11], x[8], x[9], by);
    quarter_round(x[15], x[12], x[13], x[14], by);
  }
#pragma unroll
  for (int i = 0; i < 16; i++) b[i] += x[i];
}

/* RFC 7914's scryptBlockMix for r = 1. */
static __device__ __forceinline__ void mix(u32 x[32], const scrypt_factors &by) {
  salsa(x, x + 16, by);
  salsa(x + 16, x, by);
}

static __device__ __forceinline__ void load_row(u32 x[32], const scrypt_quad *row) {
#pragma unroll
  for (int i = 0; i < 8; i++) {
    const scrypt_quad quad = row[i];
    x[4 * i] = quad.x, x[4 * i + 1] = quad.y, x[4 * i + 2] = quad.z, x[4 * i + 3] = quad.w;
  }
}

static __device__ __forceinline__ void store_row(scrypt_quad *row, const u32 x[32]) {
#pragma unroll
  for (int i = 0; i < 8; i++) {
    const scrypt_quad quad = {x[4 * i], x[4 * i + 1], x[4 * i + 2], x[4 * i + 3]};
    row[i] = quad;
  }
}

/* RFC 7914's scryptROMix. The first row holds what goes in, and then what comes out. */
static __device__ __forceinline__ void rom_mix(scrypt_quad *rows, unsigned long long stride, const scrypt_factors &by) {
  u32 x[32];
  load_row(x, rows);
#pragma unroll 1
  for (u32 i = 0; i < SCRYPT_N; i++) {
    if (i % SCRYPT_GAP == 0) store_row(rows + (i / SCRYPT_GAP) * stride, x);
    mix(x, by);
  }
#pragma unroll 1
  for (u32 i = 0; i < SCRYPT_N; i++) {
    const u32 j = x[16] % SCRYPT_N;
    u32 v[32];
    load_row(v, rows + (j / SCRYPT_GAP) * stride);
#if SCRYPT_GAP > 1
#pragma unroll 1
    for (u32 again = j % SCRYPT_GAP; again; again--) mix(v, by);
#endif
#pragma unroll
    for (int k = 0; k < 32; k++) x[k] ^= v[k];
    mix(x, by);
  }
  store_row(rows, x);
}

/* Digest word 7 of scrypt(header, header). */
static __device__ __forceinline__ u32 scrypt_digest_word7(const scrypt_job &job, u32 nonce_word, scrypt_quad *rows,
                                                          unsigned long long stride, const scrypt_factors &by) {
  u32 inner[8], outer[8], state[8], block[16];
  hmac_begin(job, nonce_word, inner, outer);

  /* PBKDF2, 128 bytes: four times HMAC(header, header | index). They share the block of the header's first 64 bytes. */
  u32 salted[8];
#pragma unroll
  for (int i = 0; i < 8; i++) salted[i] = inner[i];
#pragma unroll
  for (int i = 0; i < 16; i++) block[i] = job.header[i];
  sha256_compress(salted, block);
#pragma unroll 1
  for (u32 part = 0; part < 4; part++) {
#pragma unroll
    for (int i = 0; i < 8; i++) state[i] = salted[i];
#pragma unroll
    for (int i = 0; i < 16; i++) block[i] = i < 3 ? job.header[16 + i] : 0;
    block[3] = nonce_word;
    block[4] = part + 1;
    block[5] = 0x80000000u;
    block[15] = 8 * (64 + 84);
    sha256_compress(state, block);
    pad_digest(block, state, 8 * (64 + 32));
#pragma unroll
    for (int i = 0; i < 8; i++) state[i] = outer[i];
    sha256_compress(state, block);
    const scrypt_quad low = {swap_bytes(state[0]), swap_bytes(state[1]), swap_bytes(state[2]), swap_bytes(state[3])};
    const scrypt_quad high = {swap_bytes(state[4]), swap_bytes(state[5]), swap_bytes(state[6]), swap_bytes(state[7])};
    rows[2 * part] = low;
    rows[2 * part + 1] = high;
  }

  rom_mix(rows, stride, by);

  /* PBKDF2 again, 32 bytes: HMAC(header, those 128 bytes | 1). */
#pragma unroll 1
  for (u32 half = 0; half < 2; half++) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const scrypt_quad quad = rows[4 * half + i];
      block[4 * i] = swap_bytes(quad.x), block[4 * i + 1] = swap_bytes(quad.y);
      block[4 * i + 2] = swap_bytes(quad.z), block[4 * i + 3] = swap_bytes(quad.w);
    }
    sha256_compress(inner, block);
  }
#pragma unroll
  for (int i = 0; i < 16; i++) block[i] = 0;
  block[0] = 1;
  block[1] = 0x80000000u;
  block[15] = 8 * (64 + 132);
  sha256_compress(inner, block);
  pad_digest(block, inner, 8 * (64 + 32));
  sha256_compress(outer, block);
  return outer[7];
}

/* Tries count >= 1 nonces from `first` (never past 2^32); each thread takes every so-many-th. Any grid will do.
 * scratch: threads of the grid × 1024 / SCRYPT_GAP rows of 128 bytes.
 * found_count: shares found since the host last set it to 0; those beyond the `capacity` entries of `found` are
 * counted and not stored, so that the reader sees the loss. */
extern "C" __global__ void __launch_bounds__(SCRYPT_THREADS)
    scrypt_scan(const scrypt_job job, const scrypt_factors by, u32 sequence, u32 first, u32 count_less_one,
                scrypt_quad *scratch, unsigned long long *found_count, scrypt_found *found, u32 capacity) {
  const u32 threads = gridDim.x * SCRYPT_THREADS;
  const u32 thread = blockIdx.x * SCRYPT_THREADS + threadIdx.x;
  scrypt_quad *rows = scratch + 8ull * thread;
  for (unsigned long long index = thread; index <= count_less_one; index += threads) {
    const u32 nonce = first + (u32)index;
    if ((scrypt_digest_word7(job, swap_bytes(nonce), rows, 8ull * threads, by) & job.mask) == 0) {
      const unsigned long long slot = atomicAdd(found_count, 1ull);
      if (slot < capacity) {
        found[slot].sequence = sequence;
        found[slot].nonce = nonce;
      }
    }
  }
}
