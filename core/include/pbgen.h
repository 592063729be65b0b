/* The engine's C interface: opens a packed generator (docs/format.md) and makes images.
 *
 * A function that fails returns NULL or a value other than 0; pbgen_error() then says why, in one line. Nothing here
 * throws. An engine may be used by any number of threads at once; pbgen_close() must be the last call on it. */
#ifndef PBGEN_H
#define PBGEN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pbgen_engine pbgen_engine;

/* One to three dimensions, channels first: [C], [C, L] or [C, H, W]. The batch is left out. */
typedef struct pbgen_shape {
    size_t rank;
    size_t dims[3];
} pbgen_shape;

/* Opens the packed file at `path`. `threads` is how many threads a call may use; 0 means one for each usable core.
 * The environment variable PBGEN_ARCH forces an instruction set by name ("portable", "avx512"). */
pbgen_engine* pbgen_open(const char* path, unsigned threads);
void pbgen_close(pbgen_engine* engine);

pbgen_shape pbgen_input_shape(const pbgen_engine* engine);
pbgen_shape pbgen_output_shape(const pbgen_engine* engine);

/* Makes `batch` images. `input` holds batch x input shape numbers, `output` has room for batch x output shape; both
 * row-major, the batch outermost. The images do not depend on the number of threads, to the bit. */
int pbgen_run(pbgen_engine* engine, const float* input, size_t batch, float* output);

/* Bytes that the engine holds: packed weights, scales and shifts, and the buffers kept from one call to the next. */
size_t pbgen_resident_bytes(const pbgen_engine* engine);

/* The layers with weights, in the order in which they run: name, and which kernel runs it. */
size_t pbgen_layer_count(const pbgen_engine* engine);
const char* pbgen_layer_name(const pbgen_engine* engine, size_t layer);
const char* pbgen_layer_kernel(const pbgen_engine* engine, size_t layer);

/* Why this thread's last call failed: one line of UTF-8 (but for bytes of the path), valid until its next call. */
const char* pbgen_error(void);

#ifdef __cplusplus
}
#endif
#endif
