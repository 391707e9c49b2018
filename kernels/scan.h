/* What the CPU scans of both algorithms share: the function that each instruction set brings, how it reports a share,
 * and the vector types. A scan is compiled once per instruction set, with BW_ISA set to its name and BW_ISA_<NAME>
 * defined (bench/workloads/hashing/kernels.py lists them). */
#ifndef BITWATT_SCAN_H
#define BITWATT_SCAN_H
#include <stddef.h>

#include "host.h"
#include "sha256d.h"

/* Headers of one scan that differ in their version alone. */
#define MOST_VERSIONS 8

/* What a scan does: `versions` headers, and the job of each. */
struct bw_work {
  const uint8_t *headers;
  uint32_t versions, sequence;
  sha256d_job jobs[MOST_VERSIONS];
};

/* Hashes nonces first .. end - 1 of every header. `scratch`: bytes that belong to this thread, for scrypt. */
typedef void bw_piece(const struct bw_work *work, uint64_t first, uint64_t end, struct bw_shares *shares,
                      void *scratch);

/* Sixteen scratchpads of 128 KiB: the most that any instruction set works on at once. */
#define SCRYPT_SCRATCH_BYTES ((size_t)16 * 1024 * 128)

#if defined(BW_ISA)
#define BW_JOIN_(algorithm, isa) bw_##algorithm##_##isa
#define BW_JOIN(algorithm, isa) BW_JOIN_(algorithm, isa)
/* The name of the function of this instruction set, for example bw_sha256d_avx2. */
#define PIECE(algorithm) BW_JOIN(algorithm, BW_ISA)

static inline void keep_share(struct bw_shares *shares, uint32_t sequence, uint64_t nonce) {
  const uint64_t at = __atomic_fetch_add(&shares->count, 1, __ATOMIC_RELAXED);
  if (at < shares->capacity) shares->entries[at] = (uint64_t)sequence << 32 | (uint32_t)nonce;
}

/* A vector of LANES words of 32 bits, and the functions of SHA-256 on it. A scan may define its own before. */
#if defined(BW_ISA_AVX512)
#include <immintrin.h>
#define LANES 16
#define ROTL(x, n) ((word)_mm512_rol_epi32((__m512i)(x), n))
#define ROTR(x, n) ((word)_mm512_ror_epi32((__m512i)(x), n))
#define TERNARY(x, y, z, table) ((word)_mm512_ternarylogic_epi32((__m512i)(x), (__m512i)(y), (__m512i)(z), table))
#define XOR3(x, y, z) TERNARY(x, y, z, 0x96)
#define CH(e, f, g) TERNARY(e, f, g, 0xca)
#define MAJ(a, b, c) TERNARY(a, b, c, 0xe8)
#elif defined(BW_ISA_AVX2)
#include <immintrin.h>
#define LANES 8
#elif defined(BW_ISA_SSE2)
#include <emmintrin.h>
#define LANES 4
#elif defined(BW_ISA_NEON)
#include <arm_neon.h>
#define LANES 4
#elif defined(BW_ISA_GENERIC)
#define LANES GENERIC_LANES
#endif

#if defined(LANES)
#if LANES == 1
typedef uint32_t word;
#elif defined(BW_ISA_NEON)
typedef uint32x4_t word;
#else
typedef uint32_t word __attribute__((vector_size(4 * LANES)));
#endif
#ifndef ROTL
#define ROTL(x, n) (((x) << (n)) | ((x) >> (32 - (n))))
#endif
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
#endif

#endif
#endif
