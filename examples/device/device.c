/* One image, as numbers from -1 to 1 on standard output: device FILE. */
#include <pbgen.h>
#include <stdio.h>
#include <stdlib.h>

static size_t size_of(pbgen_shape shape) {
    size_t size = 1;
    for (size_t i = 0; i < shape.rank; ++i) size *= shape.dims[i];
    return size;
}

int main(int argc, char** argv) {
    pbgen_engine* engine = pbgen_open(argc > 1 ? argv[1] : "", 0, PBGEN_INT8);
    if (!engine) {
        fprintf(stderr, "%s\n", pbgen_error());
        return 2;
    }
    size_t size = size_of(pbgen_output_info(engine, 0).shape);
    float* latent = calloc(size_of(pbgen_input_info(engine, 0).shape), sizeof *latent);
    float* image = malloc(size * sizeof *image);
    const float* inputs[] = {latent};
    float* outputs[] = {image};
    int status = !latent || !image || pbgen_run(engine, inputs, NULL, 1, outputs);
    for (size_t i = 0; i < size && !status; ++i) printf("%.6g\n", image[i]);
    free(image);
    free(latent);
    pbgen_close(engine);
    return status;
}
