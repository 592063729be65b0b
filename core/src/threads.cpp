#include "threads.h"

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#ifdef __linux__
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif
#ifndef _WIN32
#include <pthread.h>
#endif
#ifdef __x86_64__
#include <immintrin.h>
#endif

namespace pbgen {
namespace {

constexpr uint64_t open_bit = uint64_t{1} << 31;
constexpr uint64_t inside_mask = open_bit - 1;

// Layers follow each other within microseconds, and waking a thread takes tens of them: so a worker looks out for the
// next job this many times (some 70 microseconds) before it sleeps.
constexpr int spins = 1000;

void pause() {
#ifdef __x86_64__
    _mm_pause();
#else
    std::this_thread::yield();
#endif
}

std::atomic<unsigned> fork_count{0};
#ifndef _WIN32
// Not the process's number, which a child in a container of its own may share with its parent.
[[maybe_unused]] const int counting = pthread_atfork(nullptr, nullptr, [] { ++fork_count; });
#endif

// The processor that this thread runs on; -1 where the system does not tell.
int this_processor() {
#ifdef __linux__
    return sched_getcpu();
#else
    return -1;
#endif
}

// A thread that sleeps until another wakes it. Linux may wake it on the other's processor though more are idle; then it
// waits for a tick of the clock, 4 ms mostly, before it is moved.
class Sleeper {
public:
    // By the thread itself, before it sleeps.
    void settle() {
#ifdef __linux__
        id_ = static_cast<pid_t>(syscall(SYS_gettid));  // glibc has gettid() since 2.30 only
        asleep_ = sched_getaffinity(0, sizeof usable_, &usable_) == 0;
#endif
    }

    // By the thread that is about to wake it: it shall wake on another processor than this one, if it may use another.
    void avoid(int processor) {
#ifdef __linux__
        if (!asleep_ || bound_ || processor < 0) return;
        cpu_set_t others = usable_;
        CPU_CLR(static_cast<size_t>(processor), &others);
        bound_ = CPU_COUNT(&others) > 0 && sched_setaffinity(id_, sizeof others, &others) == 0;
#else
        static_cast<void>(processor);
#endif
    }

    // By the thread itself, awake.
    void release() {
#ifdef __linux__
        if (bound_) sched_setaffinity(0, sizeof usable_, &usable_);
        asleep_ = bound_ = false;
#endif
    }

private:
#ifdef __linux__
    pid_t id_ = 0;
    cpu_set_t usable_{};
    bool asleep_ = false, bound_ = false;
#endif
};

}  // namespace

unsigned forks() { return fork_count.load(std::memory_order_relaxed); }

class Threads::Pool {
public:
    // Where the system grants fewer threads, fewer must do.
    explicit Pool(unsigned workers) : shares_(workers + 1), sleeping_(workers) {
        try {
            for (unsigned i = 1; i <= workers; ++i) workers_.emplace_back([this, i] { work(i); });
        } catch (const std::system_error&) {
        }
    }

    ~Pool() {
        {
            const std::lock_guard<std::mutex> lock(sleep_mutex_);
            stop_ = true;
        }
        wake_.notify_all();
        for (std::thread& worker : workers_) worker.join();
    }

    // Returns false, and does nothing, where another thread has the pool.
    bool run(size_t count, Call call, const void* context) {
        const std::unique_lock<std::mutex> lock(busy_, std::try_to_lock);
        if (!lock) return false;
        call_ = call;
        context_ = context;
        for (size_t i = 0, all = shares_.size(); i < all; ++i) {
            shares_[i].next.store(count * i / all, std::memory_order_relaxed);
            shares_[i].end = count * (i + 1) / all;
        }
        open_job();
        take_indices(0);
        close_job();
        return true;
    }

private:
    // The indices that a thread begins with. They are the same in each job of as many, and neighbours, so that what a
    // thread has written it mostly reads itself: processors that do not share a cache are slow to tell each other.
    struct alignas(64) Share {
        std::atomic<size_t> next{0};
        size_t end = 0;
    };

    void open_job() {
        const uint64_t number = (state_.load() >> 32) + 1;
        state_.store(number << 32 | open_bit);
        if (sleepers_.load() == 0) return;
        const std::lock_guard<std::mutex> lock(sleep_mutex_);
        for (Sleeper& sleeper : sleeping_) sleeper.avoid(this_processor());
        wake_.notify_all();
    }

    // Waits only for workers that came in: one that still sleeps holds nobody up.
    void close_job() {
        state_.fetch_and(~open_bit);
        for (int i = 0; state_.load() & inside_mask; ++i) i < spins ? pause() : std::this_thread::yield();
    }

    // Its own, then what others have left.
    void take_indices(size_t thread) {
        for (size_t i = 0; i < shares_.size(); ++i) {
            Share& share = shares_[(thread + i) % shares_.size()];
            while (share.next.load(std::memory_order_relaxed) < share.end) {
                const size_t index = share.next.fetch_add(1, std::memory_order_relaxed);
                if (index < share.end) call_(context_, index);
            }
        }
    }

    void work(size_t thread) {
        uint64_t last = 0;
        while (wait_for_job(thread, last)) {
            uint64_t state = state_.load();
            // Coming in must be one step with seeing the job open, so that the caller cannot close it in between.
            while ((state & open_bit) && !state_.compare_exchange_weak(state, state + 1)) {
            }
            last = state >> 32;
            if (!(state & open_bit)) continue;
            take_indices(thread);
            state_.fetch_sub(1);
        }
    }

    // Returns true when a job other than `last` has been opened, false when the pool ends.
    bool wait_for_job(size_t thread, uint64_t last) {
        const auto ready = [&] { return state_.load() >> 32 != last; };
        for (int i = 0; i < spins; ++i, pause())
            if (ready()) return !stop_;
        std::unique_lock<std::mutex> lock(sleep_mutex_);
        Sleeper& me = sleeping_[thread - 1];
        me.settle();
        ++sleepers_;
        wake_.wait(lock, [&] { return stop_ || ready(); });
        --sleepers_;
        me.release();
        return !stop_;
    }

    std::vector<std::thread> workers_;
    std::mutex busy_;

    // The job: written only while no worker is inside.
    Call call_ = nullptr;
    const void* context_ = nullptr;
    std::vector<Share> shares_;

    // Bits 32 and up: number of the job. Bit 31: open, workers may come in. Below: how many are inside.
    alignas(64) std::atomic<uint64_t> state_{0};

    std::vector<Sleeper> sleeping_;
    std::mutex sleep_mutex_;
    std::condition_variable wake_;
    std::atomic<unsigned> sleepers_{0};
    std::atomic<bool> stop_{false};
};

Threads::Threads(unsigned count) : forks_(pbgen::forks()), count_(count) {
    if (count > 1) pool_ = std::make_unique<Pool>(count - 1);
}

Threads::Threads(Fork fork, unsigned count) : forks_(pbgen::forks()), fork_(fork), count_(count) {}

// A forked child has no workers, only what they left behind, which waits for them for ever: the child leaks it.
Threads::~Threads() {
    if (forked()) static_cast<void>(pool_.release());
}

void Threads::run(size_t count, Call call, const void* context) {
    if (count > 1 && count_ > 1 && !forked()) {
        if (fork_) return run_in_team(count, call, context);
        if (pool_->run(count, call, context)) return;
    }
    for (size_t i = 0; i < count; ++i) call(context, i);
}

void Threads::run_in_team(size_t count, Call call, const void* context) {
    struct Job {
        size_t count;
        Call call;
        const void* context;
        std::atomic<size_t> next;
    } job{count, call, context, {0}};
    const auto take_indices = [](void* data) {
        Job& shared = *static_cast<Job*>(data);
        for (size_t i; (i = shared.next.fetch_add(1, std::memory_order_relaxed)) < shared.count;)
            shared.call(shared.context, i);
    };
    fork_(take_indices, &job, count_, 0);
}

}  // namespace pbgen
