/* What Python may call in the host library. Read by the C files, and by cffi's cdef, which takes every line that is not
 * for the preprocessor. */
#ifndef BITWATT_HOST_H
#define BITWATT_HOST_H
#include <stdint.h>
#pragma GCC visibility push(default)

/* Found shares of all threads. An entry is sequence << 32 | nonce. `count` may pass `capacity`: what lies beyond was
 * found but not stored, and the reader must say so. */
struct bw_shares {
  uint64_t count;
  uint64_t capacity;
  uint64_t *entries;
};

/* One scan, shared by its threads: each takes `grain` nonces from `next` until `end` (at most 2^32). `stop` not zero
 * asks them to leave early. */
struct bw_range {
  uint64_t next;
  uint64_t end;
  uint64_t grain;
  int32_t stop;
};

/* The two scans: SHA-256d, and scrypt(N = 1024, r = 1, p = 1). */
enum { BW_SHA256D, BW_SCRYPT };
/* What a scan returns where it did not run: no memory for its scratchpads; an unknown algorithm, an instruction set that
 * this machine does not run, or versions or share_bits out of range. */
enum { BW_NO_MEMORY = -1, BW_WRONG_USE = -2 };

/* Name of an instruction set that this library holds, best first as a rule; NULL past the last. */
const char *bw_isa(int algorithm, int index);
/* Whether this machine runs it. */
int bw_supported(int algorithm, int index);
/* Hash nonces of `versions` headers of 80 bytes, one after another in memory; shares of header i are reported under
 * sequence + i and have at least share_bits (1 … 32) leading zero bits. More than one header (2, 4 or 8) is for SHA-256d
 * alone, and they then differ in nothing but their first 64 bytes: version rolling. Many threads may call it with one
 * range and one buffer. Returns 0, BW_NO_MEMORY or BW_WRONG_USE. */
int bw_scan(int algorithm, int index, const uint8_t *headers, uint32_t versions, uint32_t sequence, uint32_t share_bits,
            struct bw_range *range, struct bw_shares *shares);

/* Size in bytes of the job that a GPU kernel takes for a header (sha256d.h's sha256d_job), and the function that fills
 * it in: returns 0, or -1 for share_bits out of range. */
int bw_sha256d_job_bytes(void);
int bw_sha256d_prepare(const uint8_t *header, int share_bits, uint8_t *job);

#pragma GCC visibility pop
#endif
