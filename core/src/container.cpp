#include "container.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>

#include <sys/stat.h>

#include "error.h"
#include "inflate.h"
#include "json.h"
#include "sort.h"

namespace pbgen {
namespace {

constexpr uint64_t max_header = uint64_t{4} << 20;
constexpr uint64_t max_file = uint64_t{4} << 30;
constexpr size_t max_dimensions = 8;

// A file's contents, read from the beginning on.
class Reader {
public:
    virtual ~Reader() = default;
    virtual void read(void* out, size_t bytes) = 0;
    // All that is left, `bytes` long, where it lies or in `storage`.
    virtual const uint8_t* rest(size_t bytes, std::vector<uint8_t>& storage) = 0;
};

class MemoryReader : public Reader {
public:
    explicit MemoryReader(const void* contents) : at_(static_cast<const uint8_t*>(contents)) {}

    void read(void* out, size_t bytes) override {
        std::copy_n(at_, bytes, static_cast<uint8_t*>(out));
        at_ += bytes;
    }
    const uint8_t* rest(size_t, std::vector<uint8_t>&) override { return at_; }

private:
    const uint8_t* at_;
};

std::vector<char> read_header(Reader& reader, uint64_t size) {
    if (size < 8) fail("is truncated: ", size, " bytes");
    uint8_t prefix[8];
    reader.read(prefix, sizeof prefix);
    uint64_t length = 0;
    for (int i = 7; i >= 0; --i) length = length << 8 | prefix[i];
    if (length > max_header) fail("header of ", length, " bytes; at most ", max_header, " are allowed");
    if (length > size - 8) fail("is truncated: the header alone has ", length, " bytes");
    if (length % 8 != 0) fail("header of ", length, " bytes, not a multiple of 8");
    std::vector<char> header(length);
    reader.read(header.data(), header.size());
    if (header.empty() || header[0] != '{') fail("header does not begin with `{`");
    return header;
}

DType read_dtype(const Json& value, const std::string& where) {
    if (value.text == "U8") return DType::u8;
    if (value.text == "F16") return DType::f16;
    if (value.text == "F32") return DType::f32;
    fail(where, "dtype ", quote(value.text), " is not U8, F16 or F32");
}

uint64_t element_bytes(DType dtype) { return dtype == DType::u8 ? 1 : dtype == DType::f16 ? 2 : 4; }

bool natural(const Json& value) { return value.is(Json::Type::integer) && value.integer >= 0; }

struct Range {
    uint64_t begin, end;
    size_t tensor;
};

Range read_tensor(const Json& entry, uint64_t data_bytes, Tensor& tensor) {
    const std::string where = concat("tensor ", quote(entry.key), ": ");
    const Json *dtype = entry.find("dtype"), *shape = entry.find("shape"), *offsets = entry.find("data_offsets");
    if (!dtype || !shape || !offsets || entry.items.size() != 3 || !dtype->is(Json::Type::string) ||
        !shape->is(Json::Type::array) || !offsets->is(Json::Type::array))
        fail(where, "must have `dtype`, `shape` and `data_offsets`, and nothing else");
    tensor.name = entry.key;
    tensor.dtype = read_dtype(*dtype, where);
    if (shape->items.empty() || shape->items.size() > max_dimensions)
        fail(where, "must have 1 to ", max_dimensions, " dimensions");
    uint64_t count = 1;
    for (const Json& dim : shape->items) {
        if (!natural(dim) || dim.integer == 0) fail(where, "dimensions must be positive integers");
        if (static_cast<uint64_t>(dim.integer) > data_bytes / count) fail(where, "is larger than the file");
        count *= static_cast<uint64_t>(dim.integer);
        tensor.shape.push_back(dim.integer);
    }
    tensor.count = static_cast<int64_t>(count);
    if (offsets->items.size() != 2 || !natural(offsets->items[0]) || !natural(offsets->items[1]))
        fail(where, "`data_offsets` must be two integers, neither negative");
    const auto begin = static_cast<uint64_t>(offsets->items[0].integer);
    const auto end = static_cast<uint64_t>(offsets->items[1].integer);
    if (begin > end || end > data_bytes) fail(where, "lies outside the file, which may be truncated");
    if (end - begin != count * element_bytes(tensor.dtype)) fail(where, "shape and `data_offsets` disagree");
    return {begin, end, 0};
}

std::string read_metadata(const Json* metadata) {
    if (!metadata) fail("is no packed generator: it has no `__metadata__`");
    if (!metadata->is(Json::Type::object)) fail("`__metadata__` must be an object");
    for (const Json& item : metadata->items)
        if (!item.is(Json::Type::string)) fail("`__metadata__`: ", quote(item.key), " must be a string");
    const Json* graph = metadata->find("pbgen");
    if (!graph) fail("is no packed generator: `__metadata__` has no `pbgen`");
    const About about("graph: ", pack_again);
    return graph->text.substr(0, 1) == "{" ? std::string(graph->text) : inflate(graph->text, max_header);
}

void check_contiguous(std::vector<Range> ranges, uint64_t data_bytes, const std::vector<Tensor>& tensors) {
    sort(ranges, [](const Range& a, const Range& b) { return a.begin < b.begin; });
    uint64_t end = 0;
    for (const Range& range : ranges) {
        if (range.begin != end)
            fail("tensor ", quote(tensors[range.tensor].name), ": ",
                 range.begin < end ? "overlaps" : "leaves a gap after", " the tensor before it");
        end = range.end;
    }
    if (end != data_bytes) fail("has ", data_bytes - end, " bytes after its last tensor");
}

uint32_t half_to_float_bits(uint32_t half) {
    const uint32_t sign = (half & 0x8000) << 16;
    uint32_t exponent = half >> 10 & 0x1f, mantissa = half & 0x3ff;
    if (exponent == 0x1f) return sign | 0x7f800000u | mantissa << 13;
    if (exponent == 0) {
        if (mantissa == 0) return sign;
        for (exponent = 1; !(mantissa & 0x400); mantissa <<= 1) --exponent;  // wraps below zero, and back in the sum
        mantissa &= 0x3ff;
    }
    return sign | (exponent + 112) << 23 | mantissa << 13;
}

// The lowest byte comes first, whatever the processor's own order.
uint32_t two_bytes(const uint8_t* at) { return at[0] | uint32_t{at[1]} << 8; }
uint32_t four_bytes(const uint8_t* at) { return two_bytes(at) | two_bytes(at + 2) << 16; }

float element(const Tensor& tensor, int64_t i) {
    const uint32_t bits = tensor.dtype == DType::f16 ? half_to_float_bits(two_bytes(tensor.data + 2 * i))
                                                     : four_bytes(tensor.data + 4 * i);
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

void check_finite(const Tensor& tensor) {
    if (tensor.dtype == DType::u8) return;
    for (int64_t i = 0; i < tensor.count; ++i)
        if (!std::isfinite(element(tensor, i))) fail("tensor ", quote(tensor.name), ": element ", i, " is not finite");
}

Container read_checked(Reader& reader, uint64_t size) {
    std::vector<char> header = read_header(reader, size);
    const uint64_t data_bytes = size - 8 - header.size();
    Json root = parse_json(header.data(), header.data() + header.size());
    sort(root.items, [](const Json& a, const Json& b) { return a.key < b.key; });

    Container container;
    container.graph = read_metadata(root.find("__metadata__"));
    std::vector<Range> ranges;
    for (const Json& entry : root.items) {
        if (entry.key == "__metadata__") continue;
        Tensor tensor;
        Range range = read_tensor(entry, data_bytes, tensor);
        range.tensor = container.tensors.size();
        ranges.push_back(range);
        container.tensors.push_back(std::move(tensor));
    }
    check_contiguous(ranges, data_bytes, container.tensors);

    const uint8_t* data = reader.rest(data_bytes, container.data);
    for (const Range& range : ranges) {
        Tensor& tensor = container.tensors[range.tensor];
        tensor.data = data + range.begin;
        check_finite(tensor);
    }
    return container;
}

Container read_contents(Reader& reader, uint64_t size) {
    const About about("", pack_again);
    return read_checked(reader, size);
}

}  // namespace

size_t Container::find(std::string_view name) const {
    const auto at = std::lower_bound(tensors.begin(), tensors.end(), name,
                                     [](const Tensor& tensor, std::string_view key) { return tensor.name < key; });
    if (at == tensors.end() || at->name != name) fail("tensor ", quote(name), " not found");
    return static_cast<size_t>(at - tensors.begin());
}

#ifdef __wasm__
Container read_container(const char*) { fail("cannot be opened: WebAssembly has no files"); }
#else
namespace {

struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, Close>;

class FileReader : public Reader {
public:
    explicit FileReader(std::FILE* file) : file_(file) {}

    void read(void* out, size_t bytes) override {
        if (std::fread(out, 1, bytes, file_) != bytes) fail("cannot be read to its end");
    }
    const uint8_t* rest(size_t bytes, std::vector<uint8_t>& storage) override {
        storage.resize(bytes);
        read(storage.data(), bytes);
        return storage.data();
    }

private:
    std::FILE* file_;
};

// Not by std::filesystem, which brings locales into a static program.
uint64_t file_size(const char* path) {
    struct stat status;
    const int reason = stat(path, &status) ? errno : 0;
    if (reason == ENOENT || reason == ENOTDIR) fail("does not exist");
    if (reason) fail("cannot be opened: ", std::strerror(reason));
    if (!S_ISREG(status.st_mode)) fail("is no ordinary file");
    const auto size = static_cast<uint64_t>(status.st_size);
    if (size > max_file) fail("is larger than 4 GiB");
    return size;
}

}  // namespace

Container read_container(const char* path) {
    const uint64_t size = file_size(path);
    const File file(std::fopen(path, "rb"));
    if (!file) fail("cannot be opened: ", std::strerror(errno));
    FileReader reader(file.get());
    return read_contents(reader, size);
}
#endif

Container read_container(const void* contents, size_t size) {
    if (uint64_t{size} > max_file) fail("is larger than 4 GiB");
    MemoryReader reader(contents);
    return read_contents(reader, size);
}

void copy_floats(const Tensor& tensor, float* out) {
    for (int64_t i = 0; i < tensor.count; ++i) out[i] = element(tensor, i);
}

}  // namespace pbgen
