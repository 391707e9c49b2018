/* SHA-256d nonce scan for GPUs. Built at run time by NVRTC (CUDA) or HIPRTC (AMD), and for the host by the tests.
 *
 * Compile-time settings:
 *   NONCES_PER_THREAD  power of two, 1..256: nonces that one thread tries in turn
 *   SHA256D_VARIANT    which pipe does what. A multiprocessor has 64 lanes of shift, logic and three-input adds, and 64
 *                      lanes of integer multiply-add beside them; a hash has half again as much work for the first.
 *     0  three-input adds: the fewest instructions
 *     1  additions as x * 1 + y, with a one that the compiler cannot see, on the multiply-add lanes
 *     2  as 1, and the shifts of the message schedule as the high half of a product
 *     3  as 2, and 75 of the rotations as high half + low half of a product, which fills both pipes equally where a
 *        product's high half takes two turns
 *     4  as 3 with 150 rotations, for a device whose wide products take one turn
 *   SHA256D_VERSIONS   1, 2, 4 or 8: headers that each nonce is tried with, which differ in their version alone. The
 *                      schedule that they share stays in registers; a loop over them keeps the code in its cache.
 */
#include "sha256d.h"

#ifndef NONCES_PER_THREAD
#define NONCES_PER_THREAD 16
#endif
#ifndef SHA256D_VARIANT
#define SHA256D_VARIANT 1
#endif
#ifndef SHA256D_VERSIONS
#define SHA256D_VERSIONS 1
#endif
#ifndef SHA256D_THREADS
#define SHA256D_THREADS 256
#endif
#if NONCES_PER_THREAD < 1 || NONCES_PER_THREAD > 256 || (NONCES_PER_THREAD & (NONCES_PER_THREAD - 1))
#error NONCES_PER_THREAD must be a power of two from 1 to 256
#endif
#if SHA256D_VARIANT < 0 || SHA256D_VARIANT > 4
#error SHA256D_VARIANT must be 0, 1, 2, 3 or 4
#endif
#if SHA256D_VERSIONS != 1 && SHA256D_VERSIONS != 2 && SHA256D_VERSIONS != 4 && SHA256D_VERSIONS != 8
#error SHA256D_VERSIONS must be 1, 2, 4 or 8
#endif

/* Factors for products that are really shifts. They come in at run time, or the compiler would turn them back. */
typedef struct sha256d_factors {
  sha256d_u32 one;      /* 1 */
  sha256d_u32 shr3;     /* 2^29: the high half of a product is the shift by 3 */
  sha256d_u32 shr10;    /* 2^22: by 10 */
  sha256d_u32 rotate7;  /* 2^7: both halves added are the rotation right by 25 */
  sha256d_u32 rotate10; /* 2^10: by 22 */
} sha256d_factors;

typedef struct sha256d_found {
  sha256d_u32 sequence; /* of the header */
  sha256d_u32 nonce;
} sha256d_found;

/* What differs between NVIDIA's assembly and any other compiler. A test that runs the first on a host defines
 * GPU_EMULATED and brings its own versions of the four functions. */
#if defined(__CUDA_ARCH__) || defined(GPU_EMULATED)
#if !defined(GPU_EMULATED)
#if SHA256D_VARIANT >= 1
static __device__ __forceinline__ sha256d_u32 gpu_multiply_add(sha256d_u32 x, sha256d_u32 y, sha256d_u32 z) {
  sha256d_u32 r;
  asm("mad.lo.u32 %0, %1, %2, %3;" : "=r"(r) : "r"(x), "r"(y), "r"(z));
  return r;
}
#endif
#if SHA256D_VARIANT >= 2
static __device__ __forceinline__ sha256d_u32 gpu_multiply_high(sha256d_u32 x, sha256d_u32 y) {
  sha256d_u32 r;
  asm("mul.hi.u32 %0, %1, %2;" : "=r"(r) : "r"(x), "r"(y));
  return r;
}
#endif
#if SHA256D_VARIANT >= 3
/* High half plus low half of x * y: a rotation when y is a power of two. */
static __device__ __forceinline__ sha256d_u32 gpu_multiply_fold(sha256d_u32 x, sha256d_u32 y, sha256d_u32 one) {
  sha256d_u32 r;
  asm("{\n\t.reg .u64 product;\n\t.reg .u32 low, high;\n\t"
      "mul.wide.u32 product, %1, %2;\n\tmov.b64 {low, high}, product;\n\tmad.lo.u32 %0, low, %3, high;\n\t}"
      : "=r"(r)
      : "r"(x), "r"(y), "r"(one));
  return r;
}
#endif
template <int TABLE>
static __device__ __forceinline__ sha256d_u32 gpu_logic(sha256d_u32 x, sha256d_u32 y, sha256d_u32 z) {
  sha256d_u32 r;
  asm("lop3.b32 %0, %1, %2, %3, %4;" : "=r"(r) : "r"(x), "r"(y), "r"(z), "n"(TABLE));
  return r;
}
#endif
#define GPU_XOR3(x, y, z) gpu_logic<0x96>(x, y, z)
#define GPU_CH(e, f, g) gpu_logic<0xca>(e, f, g)
#define GPU_MAJ(a, b, c) gpu_logic<0xe8>(a, b, c)
#define GPU_ROTR(x, n) __funnelshift_r(x, x, n)
#define GPU_SWAP(x) __byte_perm(x, 0, 0x0123)
#else
#if SHA256D_VARIANT >= 1
static __device__ __forceinline__ sha256d_u32 gpu_multiply_add(sha256d_u32 x, sha256d_u32 y, sha256d_u32 z) {
  return x * y + z;
}
#endif
#if SHA256D_VARIANT >= 2
static __device__ __forceinline__ sha256d_u32 gpu_multiply_high(sha256d_u32 x, sha256d_u32 y) {
  return (sha256d_u32)(((unsigned long long)x * y) >> 32);
}
#endif
#if SHA256D_VARIANT >= 3
static __device__ __forceinline__ sha256d_u32 gpu_multiply_fold(sha256d_u32 x, sha256d_u32 y, sha256d_u32 one) {
  return x * y * one + gpu_multiply_high(x, y);
}
#endif
#define GPU_XOR3(x, y, z) ((x) ^ (y) ^ (z))
#define GPU_CH(e, f, g) ((g) ^ ((e) & ((f) ^ (g))))
#define GPU_MAJ(a, b, c) (((a) & (b)) | ((c) & ((a) | (b))))
#define GPU_ROTR(x, n) (((x) >> (n)) | ((x) << (32 - (n))))
#define GPU_SWAP(x) (((x) >> 24) | (((x) >> 8) & 0xff00u) | (((x) << 8) & 0xff0000u) | ((x) << 24))
#endif

#define SHA_FUNCTION static __device__ __forceinline__
#define SHA_PARAMETERS , const sha256d_factors &by
#define SHA_WORD sha256d_u32
#define SHA_CONST(i, k) (k)
#define SHA_JOB(field) (job->field)
#define SHA_ROTR(x, n) GPU_ROTR(x, n)
#define SHA_SHR(x, n) ((x) >> (n))
#define SHA_XOR3(x, y, z) GPU_XOR3(x, y, z)
#define SHA_CH(e, f, g) GPU_CH(e, f, g)
#define SHA_MAJ(a, b, c) GPU_MAJ(a, b, c)
#if SHA256D_VARIANT == 0
#define SHA_ADD(x, y) ((x) + (y))
#else
#define SHA_ADD(x, y) gpu_multiply_add(x, by.one, y)
#endif
#if SHA256D_VARIANT >= 2
#define SHA_SIGMA0(x, t) SHA_XOR3(SHA_ROTR(x, 7), SHA_ROTR(x, 18), gpu_multiply_high(x, by.shr3))
#define SHA_SIGMA1(x, t) SHA_XOR3(SHA_ROTR(x, 17), SHA_ROTR(x, 19), gpu_multiply_high(x, by.shr10))
#endif
#if SHA256D_VARIANT >= 3
/* Spread evenly over the 120 rounds that have one; more of them where the schedule, which has more additions than
 * rotations, is shared. */
#if SHA256D_VARIANT == 3
#define GPU_FOLDED_SUM1(t) ((t) % 8 < (SHA256D_VERSIONS <= 2 ? 5 : 6))
#else
#define GPU_FOLDED_SUM1(t) 1
#define SHA_SUM0(x, t) \
  SHA_XOR3(SHA_ROTR(x, 2), SHA_ROTR(x, 13), (t) % 4 ? SHA_ROTR(x, 22) : gpu_multiply_fold(x, by.rotate10, by.one))
#endif
#define SHA_SUM1(x, t) \
  SHA_XOR3(SHA_ROTR(x, 6), SHA_ROTR(x, 11), \
           GPU_FOLDED_SUM1(t) ? gpu_multiply_fold(x, by.rotate7, by.one) : SHA_ROTR(x, 25))
#endif
#if SHA256D_VERSIONS == 1
#define SHA256D_NAME sha256d_digest_word7
#include "sha256d.h"
#define GPU_DIGEST_WORD7(job) sha256d_digest_word7(job, word, by)
#define GPU_LAUNCH_BOUNDS __launch_bounds__(SHA256D_THREADS)
#else
#define SHA256D_NAME sha256d_expand
#define SHA_KEEPS_SCHEDULE
#include "sha256d.h"
#define SHA256D_NAME sha256d_digest_word7
#define SHA_TAKES_SCHEDULE
#include "sha256d.h"
#define GPU_DIGEST_WORD7(job) sha256d_digest_word7(job, word, kept, by)
/* 96 registers: what the schedule takes without a spill. */
#define GPU_LAUNCH_BOUNDS __launch_bounds__(SHA256D_THREADS, SHA256D_THREADS >= 640 ? 1 : 640 / SHA256D_THREADS)
#endif

/* The jobs of the headers, which differ in their version alone. */
typedef struct sha256d_jobs {
  sha256d_job of[SHA256D_VERSIONS];
} sha256d_jobs;

/* Tries count >= 1 nonces from `first` (never past 2^32). Each thread takes NONCES_PER_THREAD neighbours that begin at
 * a multiple of that number: within them only the top byte of the message word changes, so one addition makes the next.
 * What the first and last thread try outside the range is not reported. Needs at least
 * (first % NONCES_PER_THREAD + count) / NONCES_PER_THREAD threads, rounded up.
 * found_count: shares found since the host last set it to 0; those beyond the `capacity` entries of `found` are
 * counted and not stored, so that the reader sees the loss. 64 bits, or a full turn would hide it. A share of header i
 * has the number sequence + i. */
extern "C" __global__ void GPU_LAUNCH_BOUNDS sha256d_scan(const sha256d_jobs jobs, sha256d_factors by,
                                                          sha256d_u32 sequence, sha256d_u32 first,
                                                          sha256d_u32 count_less_one, unsigned long long *found_count,
                                                          sha256d_found *found, sha256d_u32 capacity) {
  const sha256d_u32 thread = blockIdx.x * SHA256D_THREADS + threadIdx.x;
  const sha256d_u32 start = (first & ~(NONCES_PER_THREAD - 1u)) + thread * NONCES_PER_THREAD;
  sha256d_u32 word = GPU_SWAP(start);
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000 && __CUDA_ARCH__ < 1200
  /* A factor that ptxas knows to be the same in all lanes goes to a uniform register, which sm_100 cannot use beside an
   * immediate: 144 moves. The sum is still 1. */
  sha256d_u32 lane;
  asm("mov.u32 %0, %%laneid;" : "=r"(lane));
  by.one += lane >> 5;
#endif
#if NONCES_PER_THREAD > 1
  const sha256d_u32 end = word + ((sha256d_u32)NONCES_PER_THREAD << 24);
#pragma unroll 1
  do {
#endif
#if SHA256D_VERSIONS > 1
    sha256d_u32 kept[SHA256D_KEPT_WORDS];
    sha256d_expand(jobs.of, word, kept, by);
#pragma unroll 1
    for (sha256d_u32 version = 0; version < SHA256D_VERSIONS; version++)
#else
  const sha256d_u32 version = 0;
#endif
      if ((GPU_DIGEST_WORD7(&jobs.of[version]) & jobs.of->mask) == 0) {
        const sha256d_u32 nonce = GPU_SWAP(word);
        if (nonce - first <= count_less_one) {
          const unsigned long long slot = atomicAdd(found_count, 1ull);
          if (slot < capacity) {
            found[slot].sequence = sequence + version;
            found[slot].nonce = nonce;
          }
        }
      }
#if NONCES_PER_THREAD > 1
    word += 1u << 24;
  } while (word != end);
#endif
}
