// Counts what is allocated while images are made in the caller's memory: allocations FILE...
// Prints the cases in which something was, or in which the images differ from those of pbgen_run.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "numbers.h"
#include "pbgen.h"

namespace {

std::atomic<size_t> allocations{0};

}  // namespace

#ifdef __GLIBC__
// The program's own functions go before the library's, also in what C++ and the C library allocate for themselves.
extern "C" {
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* memory, size_t size);
void* __libc_memalign(size_t alignment, size_t size);

void* malloc(size_t size) { return ++allocations, __libc_malloc(size); }
void* calloc(size_t count, size_t size) { return ++allocations, __libc_calloc(count, size); }
void* realloc(void* memory, size_t size) { return ++allocations, __libc_realloc(memory, size); }
void* memalign(size_t alignment, size_t size) { return ++allocations, __libc_memalign(alignment, size); }
void* aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }
int posix_memalign(void** memory, size_t alignment, size_t size) {
    *memory = memalign(alignment, size);
    return *memory ? 0 : 12;  // ENOMEM
}
}
#else
#error "counts allocations by the names that glibc's have"
#endif

namespace {

constexpr int runs = 50;

struct Case {
    const char* file;
    unsigned threads;
    pbgen_activations activations;
    size_t batch;
};

void complain(const Case& c, const std::string& what) {
    std::printf("%s, %u threads, %s, batch %zu: %s\n", c.file, c.threads,
                c.activations == PBGEN_INT8 ? "int8" : "float32", c.batch, what.c_str());
}

void try_case(const Case& c) {
    pbgen_engine* engine = pbgen_open(c.file, c.threads, c.activations);
    if (!engine) return complain(c, pbgen_error());
    Call call(engine, c.batch);
    call.fill();
    std::vector<char> workspace(call.workspace_bytes());

    const size_t before = allocations;
    for (int i = 0; i < runs; ++i) call.run_in(workspace.data());
    const size_t during = allocations - before;

    if (during) complain(c, std::to_string(during) + " allocations in " + std::to_string(runs) + " runs");
    const std::vector<float> output = call.output();
    call.run();
    const std::vector<float> expected = call.output();
    if (!same(output, expected)) complain(c, "differs from pbgen_run");
    pbgen_close(engine);
}

}  // namespace

int main(int argc, char** argv) {
    const size_t before = allocations;
    std::free(std::malloc(1));
    if (allocations == before) std::printf("allocations are not counted\n");
    for (int i = 1; i < argc; ++i)
        for (unsigned threads : {1u, 2u})
            for (pbgen_activations activations : {PBGEN_FLOAT32, PBGEN_INT8})
                for (size_t batch : {size_t{1}, size_t{3}, size_t{40}})
                    try_case({argv[i], threads, activations, batch});
}
