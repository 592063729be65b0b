// Opens and runs files that may be anything, for the sanitizers to watch.
//     trial load FILE...      each file, without running it
//     trial open FILE...      each file, and makes images
//     trial truncate FILE     each beginning of the file
//     trial flip FILE         the file with each single bit flipped
//     trial threads FILE      one engine in many threads
// Says of each file, or of all changes together, whether it was opened or why not.
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "numbers.h"
#include "pbgen.h"

namespace {

constexpr pbgen_activations kinds[] = {PBGEN_FLOAT32, PBGEN_INT8};

// Free sizes, where an engine has some.
constexpr size_t sizes[] = {8, 3, 1};

// Inputs and outputs that are worth making: a file of a few bytes may have large ones.
constexpr size_t most_numbers = size_t{1} << 20;

std::vector<float> run(pbgen_engine* engine, size_t batch, size_t size) {
    Call call(engine, batch, size);
    if (!call.works()) return std::printf("size %zu: %s\n", size, pbgen_error()), std::vector<float>();
    if (call.size() > most_numbers) return std::printf("size %zu: large\n", size), std::vector<float>();
    call.fill();
    if (call.run()) std::printf("size %zu, run: %s\n", size, pbgen_error());
    return call.output();
}

// The same in a workspace that is aligned to nothing and ends where it must.
std::vector<float> run_in(pbgen_engine* engine, size_t batch, size_t size) {
    Call call(engine, batch, size);
    if (!call.works() || call.size() > most_numbers) return {};
    call.fill();
    std::vector<char> workspace(call.workspace_bytes() + 1);
    if (call.run_in(workspace.data() + 1)) std::printf("size %zu, run_in: %s\n", size, pbgen_error());
    std::vector<float> output = call.output();
    call.run_tiles(3);
    return output;
}

// Closes the engine; returns whether there was one.
bool try_engine(pbgen_engine* engine, size_t images) {
    if (!engine) return false;
    for (size_t size : sizes)
        if (images && !same(run(engine, images, size), run_in(engine, images, size)))
            std::printf("run and run_in differ at size %zu\n", size);
    pbgen_close(engine);
    return true;
}

bool try_file(const std::string& path, size_t images) {
    bool opened = true;
    for (pbgen_activations kind : kinds) opened &= try_engine(pbgen_open(path.c_str(), 1, kind), images);
    return opened;
}

bool try_memory(const std::string& content) {
    bool opened = true;
    for (pbgen_activations kind : kinds)
        opened &= try_engine(pbgen_open_memory(content.data(), content.size(), 1, kind), 2);
    return opened;
}

std::string read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

void try_truncations(const std::string& content) {
    size_t opened = 0;
    for (size_t length = 0; length < content.size(); ++length) opened += try_memory(content.substr(0, length));
    std::printf("%zu of %zu opened\n", opened, content.size());
}

void try_flips(std::string content) {
    size_t opened = 0;
    for (size_t bit = 0; bit < content.size() * 8; ++bit) {
        content[bit / 8] ^= static_cast<char>(1 << bit % 8);
        opened += try_memory(content);
        content[bit / 8] ^= static_cast<char>(1 << bit % 8);
    }
    std::printf("%zu of %zu opened\n", opened, content.size() * 8);
}

void try_threads(const std::string& path, pbgen_activations kind) {
    pbgen_engine* engine = pbgen_open(path.c_str(), 3, kind);
    if (!engine) return;
    std::vector<std::vector<float>> expected;
    for (size_t size : sizes) expected.push_back(run(engine, 3, size));
    std::vector<std::thread> callers;
    std::vector<int> wrong(4);
    for (int& count : wrong)
        callers.emplace_back([&, engine] {
            for (size_t i = 0; i < 25; ++i) {
                const size_t k = i % std::size(sizes);
                count += !same(run(engine, 3, sizes[k]), expected[k]) + !same(run_in(engine, 3, sizes[k]), expected[k]);
            }
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
    if (arguments[0] == "truncate") try_truncations(read(arguments[1]));
    if (arguments[0] == "flip") try_flips(read(arguments[1]));
    if (arguments[0] == "threads")
        for (pbgen_activations kind : kinds) try_threads(arguments[1], kind);
    if (arguments[0] == "load" || arguments[0] == "open")
        for (size_t i = 1; i < arguments.size(); ++i)
            std::printf("%s\n", try_file(arguments[i], arguments[0] == "open" ? 2 : 0) ? "opened" : pbgen_error());
}
