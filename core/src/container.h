// The safetensors container: named tensors and the graph's JSON. Checks all that can be said without the graph.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pbgen {

enum class DType : uint8_t { u8, f16, f32 };

struct Tensor {
    std::string name;
    DType dtype;
    std::vector<int64_t> shape;
    int64_t count;        // of elements
    const uint8_t* data;  // in the file's contents, not aligned
};

struct Container {
    std::vector<uint8_t> data;    // of a file; empty where the contents were in memory
    std::vector<Tensor> tensors;  // by name
    std::string graph;

    // The tensor's index; throws Error where there is none of that name.
    size_t find(std::string_view name) const;
};

// What to do about a file whose contents are wrong.
constexpr const char* pack_again = "; pack the generator again";

// Throws Error. Takes no more memory than the file is long, plus a bounded amount for its header.
Container read_container(const char* path);

// The same from memory, which must last as long as the container.
Container read_container(const void* contents, size_t size);

// Elements of an f16 or f32 tensor as float32.
void copy_floats(const Tensor& tensor, float* out);

}  // namespace pbgen
