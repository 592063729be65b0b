/* Makes images as a device would, in memory that is taken once: example FILE. */
#include <stdio.h>
#include <stdlib.h>

#include "pbgen.h"

enum { FRAMES = 100 };

static size_t size_of(pbgen_shape shape) {
    size_t size = 1;
    for (size_t i = 0; i < shape.rank; ++i) size *= shape.dims[i];
    return size;
}

int main(int argc, char** argv) {
    pbgen_engine* engine = pbgen_open(argc > 1 ? argv[1] : "", 0, PBGEN_FLOAT32);
    if (!engine) {
        fprintf(stderr, "%s\n", pbgen_error());
        return 2;
    }
    size_t size = size_of(pbgen_input_info(engine, 0).shape);
    float* latent = malloc(size * sizeof *latent);
    float* image = malloc(size_of(pbgen_output_info(engine, 0).shape) * sizeof *image);
    void* workspace = malloc(pbgen_workspace_bytes(engine, NULL, 1));
    const float* latents[] = {latent};
    float* outputs[] = {image};
    int status = !latent || !image || !workspace;

    /* From here on nothing is allocated. */
    for (int frame = 0; frame < FRAMES && !status; ++frame) {
        for (size_t i = 0; i < size; ++i) latent[i] = (float)((i * 7 + frame) % 19) / 9 - 1;
        status = pbgen_run_in(engine, latents, NULL, 1, outputs, workspace);
    }

    if (!status) printf("%.9g\n", image[0]);
    free(workspace);
    free(image);
    free(latent);
    pbgen_close(engine);
    return status;
}
