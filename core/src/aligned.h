// Memory on cache lines, not cleared.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

namespace pbgen {

constexpr size_t cache_line = 64;

template <class T>
class Aligned {
public:
    Aligned() = default;
    // Throws std::bad_alloc, also where no address can say so many bytes.
    explicit Aligned(uint64_t count)
        : data_(static_cast<T*>(::operator new(bytes_of(count), std::align_val_t(cache_line)))), count_(static_cast<size_t>(count)) {}

    T* data() { return data_.get(); }
    const T* data() const { return data_.get(); }
    size_t size() const { return count_; }
    size_t bytes() const { return count_ * sizeof(T); }

private:
    static size_t bytes_of(uint64_t count) {
        if (count > (SIZE_MAX - cache_line) / sizeof(T)) throw std::bad_alloc();
        return static_cast<size_t>(count) * sizeof(T);
    }
    struct Delete {
        void operator()(T* data) const { ::operator delete(data, std::align_val_t(cache_line)); }
    };
    std::unique_ptr<T, Delete> data_;
    size_t count_ = 0;
};

}  // namespace pbgen
