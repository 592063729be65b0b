/* The shortest program that makes an image: example FILE. */
#include <stdio.h>
#include <stdlib.h>

#include "pbgen.h"

static size_t size_of(pbgen_shape shape) { return shape.dims[0] * shape.dims[1] * shape.dims[2]; }

int main(int argc, char** argv) {
    pbgen_engine* engine = pbgen_open(argc > 1 ? argv[1] : "", 0);
    if (!engine) {
        fprintf(stderr, "%s\n", pbgen_error());
        return 2;
    }
    float* input = calloc(size_of(pbgen_input_shape(engine)), sizeof *input);
    float* image = calloc(size_of(pbgen_output_shape(engine)), sizeof *image);
    int status = !input || !image || pbgen_run(engine, input, 1, image);
    if (!status) printf("%.9g\n", image[0]);
    free(input);
    free(image);
    pbgen_close(engine);
    return status;
}
