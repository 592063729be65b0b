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

std::vector<float> run(pbgen_engine* engine, size_t batch) {
    Call call(engine, batch);
    call.fill();
    if (!call.works() || call.run()) std::printf("run: %s\n", pbgen_error());
    return call.output();
}

// The same in a workspace that is aligned to nothing and ends where it must.
std::vector<float> run_in(pbgen_engine* engine, size_t batch) {
    Call call(engine, batch);
    call.fill();
    if (!call.works()) return {};
    std::vector<char> workspace(call.workspace_bytes() + 1);
    if (call.run_in(workspace.data() + 1)) std::printf("run_in: %s\n", pbgen_error());
    return call.output();
}

// Closes the engine; returns whether there was one.
bool try_engine(pbgen_engine* engine, size_t images) {
    if (!engine) return false;
    if (images && !same(run(engine, images), run_in(engine, images))) std::printf("run and run_in differ\n");
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
    const std::vector<float> expected = run(engine, 3);
    std::vector<std::thread> callers;
    std::vector<int> wrong(4);
    for (int& count : wrong)
        callers.emplace_back([&, engine] {
            for (int i = 0; i < 25; ++i) count += !same(run(engine, 3), expected) + !same(run_in(engine, 3), expected);
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
