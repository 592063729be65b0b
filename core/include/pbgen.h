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

enum { PBGEN_MAX_RANK = 8 };

/* Without the batch: [C, H, W] of an image, [C, L] of a sound. A dimension of 0 is free. */
typedef struct pbgen_shape {
    size_t rank;
    size_t dims[PBGEN_MAX_RANK];
} pbgen_shape;

/* Opens the packed file at `path`, or one that lies in memory: `data` is not needed after the call. `threads` is how
 * many threads a call may use; 0 means one for each usable core: that the process may run on, and that its container's
 * quota pays for. The environment variable PBGEN_ARCH forces an
 * instruction set by name ("portable", "avx2", ...). */
pbgen_engine* pbgen_open(const char* path, unsigned threads, pbgen_activations activations);
pbgen_engine* pbgen_open_memory(const void* data, size_t size, unsigned threads, pbgen_activations activations);
void pbgen_close(pbgen_engine* engine);

/* What a generator takes and gives. An integer input holds numbers without a fraction, at most 2^24 in magnitude. Noise
 * is what the module would draw: draw it by pbgen_draw(), or give any other. A dimension that hangs on free ones is 0
 * in an output's shape. Names are valid until pbgen_close(). */
typedef enum pbgen_noise { PBGEN_GIVEN = 0, PBGEN_NORMAL = 1, PBGEN_UNIFORM = 2 } pbgen_noise;

typedef struct pbgen_value {
    const char* name;
    pbgen_shape shape;
    int integer;
    pbgen_noise noise;
} pbgen_value;

size_t pbgen_input_count(const pbgen_engine* engine);
size_t pbgen_output_count(const pbgen_engine* engine);
pbgen_value pbgen_input_info(const pbgen_engine* engine, size_t input);
pbgen_value pbgen_output_info(const pbgen_engine* engine, size_t output);

/* The outputs' shapes for inputs of these shapes; fails where the generator does not take them. Here and below, `shapes`
 * may be NULL where none is free. The arrangements of some recent shapes are kept. */
int pbgen_output_shapes(pbgen_engine* engine, const pbgen_shape* shapes, pbgen_shape* outputs);

/* Fills in the shapes of noise, which follow from those of the other inputs. */
int pbgen_noise_shapes(const pbgen_engine* engine, pbgen_shape* shapes);

/* Makes `batch` images. inputs[i] holds batch x shapes[i] numbers, outputs[i] has room for batch x its shape; all
 * row-major, the batch outermost. The images do not depend on the number of threads, to the bit. */
int pbgen_run(pbgen_engine* engine, const float* const* inputs, const pbgen_shape* shapes, size_t batch,
              float* const* outputs);

/* The same in memory of the caller's, at any address, of at least pbgen_workspace_bytes() bytes, 0 of which means that
 * it failed: nothing is allocated but for shapes that are new, and for weights that the generator computes. Calls at the same
 * time need memory of their own each. */
size_t pbgen_workspace_bytes(pbgen_engine* engine, const pbgen_shape* shapes, size_t batch);
int pbgen_run_in(pbgen_engine* engine, const float* const* inputs, const pbgen_shape* shapes, size_t batch,
                 float* const* outputs, void* workspace);

/* A picture or a sound that is too large to be made as a whole, in tiles of about `tile` pixels of the inputs along each
 * free dimension: how many there are, 0 of which means that it failed, and the making of one, in any order. Tiles have
 * margins of their own, so the result is that of the whole, to rounding. Memory is bounded by the tile. It fails where a
 * pixel hangs on all of the picture, and pbgen_error() names the layer. */
size_t pbgen_tile_count(pbgen_engine* engine, const pbgen_shape* shapes, size_t tile);
int pbgen_run_tile(pbgen_engine* engine, const float* const* inputs, const pbgen_shape* shapes, size_t tile, size_t index,
                   float* const* outputs);

/* Numbers first .. first + count - 1 of those that `seed` begins: standard normal, or uniform in 0 .. 1. */
void pbgen_draw(pbgen_noise kind, uint64_t seed, uint64_t first, size_t count, float* numbers);

/* The layers with weights, in the order in which they run. `weight_bytes`: what the weights take in memory. `bits`: of a
 * weight in the file, 1 to 4 of planes of signs, else 16 or 32. */
typedef struct pbgen_layer {
    const char* name;
    const char* kernel;
    uint64_t weight_bytes;
    unsigned bits;
} pbgen_layer;

size_t pbgen_layer_count(const pbgen_engine* engine);
pbgen_layer pbgen_layer_info(const pbgen_engine* engine, size_t layer);

/* Each layer's multiply-adds for one image; those with input pixels outside the image are left out. */
int pbgen_layer_operations(pbgen_engine* engine, const pbgen_shape* shapes, uint64_t* operations);

/* Like pbgen_run; seconds[i] is the time that layer i took. What is left of the whole went into other operators. */
int pbgen_time_layers(pbgen_engine* engine, const float* const* inputs, const pbgen_shape* shapes, size_t batch,
                      float* const* outputs, double* seconds);

/* Bytes that the engine holds: packed weights, scales and shifts, and the buffers kept from one call to the next. */
size_t pbgen_resident_bytes(const pbgen_engine* engine);

/* Why this thread's last call failed: one line of UTF-8 (but for bytes of the path), valid until its next call. */
const char* pbgen_error(void);

#ifdef __cplusplus
}
#endif
#endif
