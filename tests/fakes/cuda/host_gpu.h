/* Lets a host compiler take a .cu text as it stands: the words of CUDA and HIP, the intrinsics and the assembly that
 * the kernels use, and a launch that runs the threads one after another. Included before the text. */
#pragma once
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#define __global__
#define __device__
#define __constant__
#define __align__(n) __attribute__((aligned(n)))
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __restrict__

struct HostIndex {
  unsigned x, y, z;
};
static thread_local HostIndex blockIdx, threadIdx, blockDim, gridDim;

template <class T>
static inline T atomicAdd(T *address, T value) {
  return __atomic_fetch_add(address, value, __ATOMIC_RELAXED);
}

#ifdef GPU_EMULATED
/* PTX ISA: shf.r.wrap, prmt, mad.lo, mul.hi, mul.wide, lop3. */
static inline uint32_t __funnelshift_r(uint32_t low, uint32_t high, uint32_t shift) {
  return (uint32_t)(((((uint64_t)high << 32) | low) >> (shift & 31)));
}
static inline uint32_t __byte_perm(uint32_t x, uint32_t y, uint32_t selector) {
  const uint64_t bytes = ((uint64_t)y << 32) | x;
  uint32_t r = 0;
  for (int i = 0; i < 4; i++) r |= (uint32_t)((bytes >> (8 * ((selector >> (4 * i)) & 7))) & 0xff) << (8 * i);
  return r;
}
static inline uint32_t gpu_multiply_add(uint32_t x, uint32_t y, uint32_t z) { return x * y + z; }
static inline uint32_t gpu_multiply_high(uint32_t x, uint32_t y) { return (uint32_t)(((uint64_t)x * y) >> 32); }
static inline uint32_t gpu_multiply_fold(uint32_t x, uint32_t y, uint32_t one) {
  const uint64_t product = (uint64_t)x * y;
  return (uint32_t)product * one + (uint32_t)(product >> 32);
}
template <int TABLE>
static inline uint32_t gpu_logic(uint32_t x, uint32_t y, uint32_t z) {
  uint32_t r = 0;
  for (int row = 0; row < 8; row++)
    if (TABLE >> row & 1) r |= (row & 4 ? x : ~x) & (row & 2 ? y : ~y) & (row & 1 ? z : ~z);
  return r;
}
#endif

/* A launch with the arguments as the driver takes them: one address each. */
template <class... P, size_t... I>
static void host_run(void (*kernel)(P...), unsigned blocks, unsigned threads, void **arguments,
                     std::index_sequence<I...>) {
  gridDim = {blocks, 1, 1};
  blockDim = {threads, 1, 1};
  for (unsigned b = 0; b < blocks; b++)
    for (unsigned t = 0; t < threads; t++) {
      blockIdx = {b, 0, 0};
      threadIdx = {t, 0, 0};
      kernel(*static_cast<std::remove_reference_t<P> *>(arguments[I])...);
    }
}
template <class... P>
static void host_run(void (*kernel)(P...), unsigned blocks, unsigned threads, void **arguments) {
  host_run(kernel, blocks, threads, arguments, std::index_sequence_for<P...>{});
}
/* Bytes of each parameter, negative for a pointer; returns how many there are. */
template <class... P>
static int host_parameters(void (*)(P...), int *bytes) {
  int i = 0;
  ((bytes[i++] = std::is_pointer<P>::value ? -(int)sizeof(P) : (int)sizeof(P)), ...);
  return i;
}
#define HOST_KERNEL(entry) \
  extern "C" void entry##_launch(unsigned blocks, unsigned threads, void **arguments) { \
    host_run(entry, blocks, threads, arguments); \
  } \
  extern "C" int entry##_parameters(int *bytes) { return host_parameters(entry, bytes); }
