/* What Python may call in the host library. Read twice: by the C files, and by cffi's cdef, which is given every line
 * that is not meant for the preprocessor. */
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

/* Instruction sets that this library holds, best first as a rule; NULL past the last. */
const char *bw_sha256d_isa(int index);
/* Whether this machine runs it. */
int bw_sha256d_supported(int index);
/* Bytes of what a GPU kernel is handed for a header, and its making (sha256d.h's sha256d_job). 0, or -1 for share_bits
 * out of range. */
int bw_sha256d_job_bytes(void);
int bw_sha256d_prepare(const uint8_t *header, int share_bits, uint8_t *job);
/* Hash nonces of an 80-byte header; shares have at least share_bits (1 … 32) leading zero bits. Many threads may call
 * it with one range and one buffer. */
void bw_sha256d_scan(int index, const uint8_t *header, uint32_t sequence, uint32_t share_bits, struct bw_range *range,
                     struct bw_shares *shares);

/* The same for scrypt(N = 1024, r = 1, p = 1). The scan returns 0, or -1 when there is no memory for its scratchpads. */
const char *bw_scrypt_isa(int index);
int bw_scrypt_supported(int index);
int bw_scrypt_scan(int index, const uint8_t *header, uint32_t sequence, uint32_t share_bits, struct bw_range *range,
                   struct bw_shares *shares);

#pragma GCC visibility pop
#endif
