// A small pool of threads behind parallel_for.
//
// Each thread begins with its own part of the indices, the same in each job, and then takes what others have left. Workers
// look out for the next job for a while before they sleep, for layers follow each other faster than a thread wakes. A job
// waits only for workers that came in; a caller who finds the pool taken, or has forked, works alone.
#pragma once

#include <cstddef>
#include <memory>

namespace pbgen {

// How often a process has forked on the way from the program's start to this one. A forked child has the thread that
// called fork and no other.
unsigned forks();

class Threads {
public:
    // `count` includes the calling thread.
    explicit Threads(unsigned count);

    // Not threads of its own but those of an OpenMP runtime that the process uses too: two sets that wait by spinning
    // would be in each other's way. `fork` is its GOMP_parallel: it calls a function in `count` threads.
    using Fork = void (*)(void (*function)(void*), void* data, unsigned count, unsigned flags);
    Threads(Fork fork, unsigned count);

    ~Threads();

    unsigned count() const { return count_; }

    // Whether these threads are those of a parent process, and gone.
    bool forked() const { return forks_ != pbgen::forks(); }

    // Calls task(i) for all i in 0 .. count - 1, in any order, and returns when all are done. The task must not throw.
    // A thread begins with a share of neighbouring i, the same in each job of as many. Where another thread has the
    // pool, or the threads are gone, the caller computes alone.
    template <class Task>
    void parallel_for(size_t count, const Task& task) {
        run(count, [](const void* context, size_t i) { (*static_cast<const Task*>(context))(i); }, &task);
    }

private:
    class Pool;
    using Call = void (*)(const void* context, size_t i);

    void run(size_t count, Call call, const void* context);
    void run_in_team(size_t count, Call call, const void* context);

    std::unique_ptr<Pool> pool_;
    unsigned forks_;
    Fork fork_ = nullptr;
    unsigned count_;
};

}  // namespace pbgen
