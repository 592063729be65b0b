// A small pool of threads behind parallel_for.
#pragma once

#include <cstddef>
#include <memory>

namespace pbgen {

// Cores that this process may use.
unsigned usable_cores();

class Threads {
public:
    // `count` includes the calling thread.
    explicit Threads(unsigned count);
    ~Threads();

    // Calls task(i) for all i in 0 .. count - 1, in any order, and returns when all are done. The task must not throw.
    // Where another thread has the pool, the caller computes alone.
    template <class Task>
    void parallel_for(size_t count, const Task& task) {
        run(count, [](const void* context, size_t i) { (*static_cast<const Task*>(context))(i); }, &task);
    }

private:
    class Pool;
    using Call = void (*)(const void* context, size_t i);

    void run(size_t count, Call call, const void* context);
    bool forked() const;

    std::unique_ptr<Pool> pool_;
    long process_;
};

}  // namespace pbgen
