// Throws anything at the loader, and makes an image with what it opens: a libFuzzer target.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "numbers.h"
#include "pbgen.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace {

// A file of a few bytes may ask for gigabytes and hours, and keep every rule.
bool is_quick(const Call& call) {
    constexpr uint64_t most_bytes = 1 << 20, most_operations = 1 << 22;
    return call.size() <= most_bytes && call.workspace_bytes() <= most_bytes && call.operations() <= most_operations;
}

// At two sizes, where they are free.
void run(pbgen_engine* engine) {
    for (size_t free : {8, 3}) {
        Call call(engine, 1, free);
        if (!call.works() || !is_quick(call)) continue;
        call.fill();
        std::vector<char> workspace(call.workspace_bytes());
        call.run_in(workspace.data());
        call.run_tiles(3);
    }
}

// Length of the header, which the first 8 bytes hold; 0 where there is none.
size_t header_length(const uint8_t* data, size_t size) {
    uint64_t length = 0;
    for (size_t i = 8; i-- > 0 && size >= 8;) length = length << 8 | data[i];
    return size >= 8 && length <= size - 8 ? static_cast<size_t>(length) : 0;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    for (pbgen_activations activations : {PBGEN_FLOAT32, PBGEN_INT8}) {
        pbgen_engine* engine = pbgen_open_memory(data, size, 1, activations);
        if (!engine) return 0;
        run(engine);
        pbgen_close(engine);
    }
    return 0;
}

// Changes that do not know the format seldom leave the header as long as it says it is. Most are therefore made to the
// header's text alone, whose length is then set right.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
    const size_t header = header_length(data, size);
    if (header == 0 || seed % 4 == 0) return LLVMFuzzerMutate(data, size, max_size);
    const std::vector<uint8_t> tensors(data + 8 + header, data + size);
    std::vector<uint8_t> text(data + 8, data + 8 + header);
    while (!text.empty() && text.back() == ' ') text.pop_back();
    const size_t length = text.size(), room = (max_size - 8 - tensors.size()) / 8 * 8;
    text.resize(room);
    text.resize(LLVMFuzzerMutate(text.data(), length, room));
    while (text.size() % 8) text.push_back(' ');
    for (size_t i = 0; i < 8; ++i) data[i] = static_cast<uint8_t>(uint64_t{text.size()} >> 8 * i);
    std::copy(tensors.begin(), tensors.end(), std::copy(text.begin(), text.end(), data + 8));
    return 8 + text.size() + tensors.size();
}
