// Memory on cache lines, not cleared.
#pragma once

#include <cstddef>
#include <memory>
#include <new>

namespace pbgen {

constexpr size_t cache_line = 64;

template <class T>
class Aligned {
public:
    Aligned() = default;
    explicit Aligned(size_t count)
        : data_(static_cast<T*>(::operator new(count * sizeof(T), std::align_val_t(cache_line)))), count_(count) {}

    T* data() { return data_.get(); }
    const T* data() const { return data_.get(); }
    size_t size() const { return count_; }
    size_t bytes() const { return count_ * sizeof(T); }

private:
    struct Delete {
        void operator()(T* data) const { ::operator delete(data, std::align_val_t(cache_line)); }
    };
    std::unique_ptr<T, Delete> data_;
    size_t count_ = 0;
};

}  // namespace pbgen
