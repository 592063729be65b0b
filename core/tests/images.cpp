// Reads a batch from standard input and writes the images to standard output; says which kernels made them.
//     images FILE ACTIVATIONS BATCH
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "pbgen.h"

size_t size_of(pbgen_shape shape) {
    size_t size = 1;
    for (size_t i = 0; i < shape.rank; ++i) size *= shape.dims[i];
    return size;
}

int main(int, char** arguments) {
    const size_t batch = std::strtoul(arguments[3], nullptr, 10);
    pbgen_engine* engine = pbgen_open(arguments[1], 2, arguments[2][0] == 'i' ? PBGEN_INT8 : PBGEN_FLOAT32);
    if (!engine) return std::fprintf(stderr, "%s\n", pbgen_error()), 2;
    std::vector<float> in(batch * size_of(pbgen_input_info(engine, 0).shape));
    std::vector<float> out(batch * size_of(pbgen_output_info(engine, 0).shape));
    if (std::fread(in.data(), sizeof(float), in.size(), stdin) != in.size()) return 3;
    const float* inputs[] = {in.data()};
    float* outputs[] = {out.data()};
    if (pbgen_run(engine, inputs, nullptr, batch, outputs)) return 4;
    std::fwrite(out.data(), sizeof(float), out.size(), stdout);
    for (size_t i = 0; i < pbgen_layer_count(engine); ++i)
        std::fprintf(stderr, "%s\n", pbgen_layer_info(engine, i).kernel);
    pbgen_close(engine);
}
