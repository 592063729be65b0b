// Opens and runs files that may be anything, for the sanitizers to watch.
//     trial load FILE...            each file, without running it
//     trial open FILE...            each file, and makes images
//     trial truncate FILE SCRATCH   each beginning of the file
//     trial flip FILE SCRATCH       the file with each single bit flipped
//     trial threads FILE            one engine in many threads
// Says of each file, or of all changes together, whether it was opened or why not.
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "pbgen.h"

namespace {

size_t size_of(const pbgen_shape& shape) { return shape.dims[0] * shape.dims[1] * shape.dims[2]; }

std::vector<float> run(pbgen_engine* engine, size_t batch) {
    std::vector<float> input(batch * size_of(pbgen_input_shape(engine)));
    std::vector<float> output(batch * size_of(pbgen_output_shape(engine)));
    for (size_t i = 0; i < input.size(); ++i) input[i] = static_cast<float>(i % 17) / 8 - 1;
    if (pbgen_run(engine, input.data(), batch, output.data())) std::printf("run: %s\n", pbgen_error());
    return output;
}

// Opens the file and makes some images; returns whether it could be opened.
bool try_file(const std::string& path, size_t images = 2) {
    pbgen_engine* engine = pbgen_open(path.c_str(), 1);
    if (!engine) return false;
    if (images) run(engine, images);
    pbgen_close(engine);
    return true;
}

std::string read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

void write(const std::string& path, const std::string& content) {
    std::remove(path.c_str());  // a file that is written over goes to the disk at once, and that takes time
    std::ofstream(path, std::ios::binary).write(content.data(), static_cast<std::streamsize>(content.size()));
}

void try_truncations(const std::string& content, const std::string& scratch) {
    size_t opened = 0;
    for (size_t length = 0; length < content.size(); ++length) {
        write(scratch, content.substr(0, length));
        opened += try_file(scratch);
    }
    std::printf("%zu of %zu opened\n", opened, content.size());
}

void try_flips(std::string content, const std::string& scratch) {
    size_t opened = 0;
    for (size_t bit = 0; bit < content.size() * 8; ++bit) {
        content[bit / 8] ^= static_cast<char>(1 << bit % 8);
        write(scratch, content);
        opened += try_file(scratch);
        content[bit / 8] ^= static_cast<char>(1 << bit % 8);
    }
    std::printf("%zu of %zu opened\n", opened, content.size() * 8);
}

void try_threads(const std::string& path) {
    pbgen_engine* engine = pbgen_open(path.c_str(), 3);
    if (!engine) return;
    const std::vector<float> expected = run(engine, 3);
    std::vector<std::thread> callers;
    std::vector<int> wrong(4);
    for (int& count : wrong)
        callers.emplace_back([&, engine] {
            for (int i = 0; i < 50; ++i) count += run(engine, 3) != expected;
        });
    for (std::thread& caller : callers) caller.join();
    for (int count : wrong)
        if (count) std::printf("%d results differ\n", count);
    pbgen_close(engine);
}

}  // namespace

int main(int argc, char** argv) {
    const std::vector<std::string> arguments(argv + 1, argv + argc);
    if (arguments.size() < 2) return 2;
    if (arguments[0] == "truncate") try_truncations(read(arguments[1]), arguments[2]);
    if (arguments[0] == "flip") try_flips(read(arguments[1]), arguments[2]);
    if (arguments[0] == "threads") try_threads(arguments[1]);
    if (arguments[0] == "load" || arguments[0] == "open")
        for (size_t i = 1; i < arguments.size(); ++i)
            std::printf("%s\n", try_file(arguments[i], arguments[0] == "open" ? 2 : 0) ? "opened" : pbgen_error());
}
