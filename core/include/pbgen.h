/* The engine's C interface: opens a packed generator (docs/format.md) and makes images.
 *
 * A function that fails returns NULL or a value other than 0; pbgen_error() then says why, in one line. Nothing here
 * throws. An engine may be used by any number of threads at once; pbgen_close() must be the last call on it.
 *
 * A process may fork at any time. The child may use and close its parent's engines, which then compute in the calling
 * thread alone, for no other is left; an engine that the child opens has threads again. */
#ifndef PBGEN_H
#define PBGEN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pbgen_engine pbgen_engine;

/* How layers take their inputs. PBGEN_INT8 rounds them, or sums of four of them, to 8 bits, by a scale found for each
 * image and layer, and float weights as well; that is about twice as fast, and the images differ a little. */
typedef enum pbgen_activations { PBGEN_FLOAT32 = 0, PBGEN_INT8 = 1 } pbgen_activations;

/* One to three dimensions, channels first: [C], [C, L] or [C, H, W]. The batch is left out. */
typedef struct pbgen_shape {
    size_t rank;
    size_t dims[3];
} pbgen_shape;

/* Opens the packed file at `path`, or one that lies in memory: `data` is not needed after the call. `threads` is how
 * many threads a call may use; 0 means one for each usable core: that the process may run on, and that its container's
 * quota pays for. The environment variable PBGEN_ARCH forces an
 * instruction set by name ("portable", "avx2", ...). */
pbgen_engine* pbgen_open(const char* path, unsigned threads, pbgen_activations activations);
pbgen_engine* pbgen_open_memory(const void* data, size_t size, unsigned threads, pbgen_activations activations);
void pbgen_close(pbgen_engine* engine);

pbgen_shape pbgen_input_shape(const pbgen_engine* engine);
pbgen_shape pbgen_output_shape(const pbgen_engine* engine);

/* Makes `batch` images. `input` holds batch x input shape numbers, `output` has room for batch x output shape; both
 * row-major, the batch outermost. The images do not depend on the number of threads, to the bit. */
int pbgen_run(pbgen_engine* engine, const float* input, size_t batch, float* output);

/* The same in memory of the caller's, at any address, of at least pbgen_workspace_bytes(engine, batch) bytes: nothing
 * is allocated. Calls at the same time need memory of their own each. */
size_t pbgen_workspace_bytes(const pbgen_engine* engine, size_t batch);
int pbgen_run_in(pbgen_engine* engine, const float* input, size_t batch, float* output, void* workspace);

/* The layers with weights, in the order in which they run. `operations`: multiply-adds for one image, those with input
 * pixels outside the image left out. `weight_bytes`: what the weights take in memory. */
typedef struct pbgen_layer {
    const char* name;
    const char* kernel;
    uint64_t operations;
    uint64_t weight_bytes;
} pbgen_layer;

size_t pbgen_layer_count(const pbgen_engine* engine);
pbgen_layer pbgen_layer_info(const pbgen_engine* engine, size_t layer);

/* Like pbgen_run; seconds[i] is the time that layer i took. What is left of the whole went into other operators. */
int pbgen_time_layers(pbgen_engine* engine, const float* input, size_t batch, float* output, double* seconds);

/* Bytes that the engine holds: packed weights, scales and shifts, and the buffers kept from one call to the next. */
size_t pbgen_resident_bytes(const pbgen_engine* engine);

/* Why this thread's last call failed: one line of UTF-8 (but for bytes of the path), valid until its next call. */
const char* pbgen_error(void);

#ifdef __cplusplus
}
#endif
#endif
