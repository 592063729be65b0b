// How far apart two processors are: how long a word takes from one to the other and back, and how fast one reads what the
// other has just written. A virtual machine's processors may share a cache in one minute and not in the next; two threads
// that work on one image then take longer, though each alone is as fast as ever.
//
//     g++ -std=c++17 -O3 -pthread benchmarks/neighbours.cpp -o neighbours && ./neighbours [first second]
//
// Linux only. The processors are those of the numbers given, 0 and 1 unless said otherwise.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <thread>
#include <vector>

#include <sched.h>

namespace {

constexpr int turns = 100'000, rounds = 50;
constexpr size_t numbers = (size_t{512} << 10) / sizeof(uint64_t);  // half a megabyte: it fits the second cache

alignas(128) std::atomic<int> turn{0};
alignas(128) std::vector<uint64_t> written(numbers);

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

void move_to(int processor) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<size_t>(processor), &set);
    if (sched_setaffinity(0, sizeof set, &set) == 0) return;
    std::fprintf(stderr, "neighbours: this process may not use processor %d\n", processor);
    std::exit(1);
}

void wait_for(int value) {
    while (turn.load(std::memory_order_acquire) != value) {
    }
}

void give(int value) { turn.store(value, std::memory_order_release); }

// With several sums at once, or an addition would have to wait for the one before.
uint64_t sum_of(const std::vector<uint64_t>& values) {
    constexpr size_t at_once = 16;
    uint64_t sums[at_once] = {};
    for (size_t i = 0; i < values.size(); i += at_once)
        for (size_t j = 0; j < at_once; ++j) sums[j] += values[i + j];
    return std::accumulate(sums, sums + at_once, uint64_t{0});
}

// Answers each turn, in the second half after writing all numbers.
void answer(int processor) {
    move_to(processor);
    for (int i = 0; i < turns + rounds; ++i) {
        wait_for(2 * i + 1);
        if (i >= turns) std::iota(written.begin(), written.end(), static_cast<uint64_t>(i));
        give(2 * i + 2);
    }
}

}  // namespace

int main(int count, char** arguments) {
    const int first = count > 2 ? std::atoi(arguments[1]) : 0, second = count > 2 ? std::atoi(arguments[2]) : 1;
    move_to(first);
    std::thread other(answer, second);
    const Clock::time_point start = Clock::now();
    for (int i = 0; i < turns; ++i) {
        give(2 * i + 1);
        wait_for(2 * i + 2);
    }
    const double there_and_back = seconds_since(start) / turns;
    double reading = 0;
    for (int i = turns; i < turns + rounds; ++i) {
        give(2 * i + 1);
        wait_for(2 * i + 2);
        const Clock::time_point begin = Clock::now();
        volatile uint64_t sum = sum_of(written);
        static_cast<void>(sum);
        reading += seconds_since(begin);
    }
    other.join();
    const double bytes = double{rounds} * numbers * sizeof(uint64_t);
    std::printf("processors %d and %d: %.0f ns there and back, %.0f GB/s of what the other wrote\n", first, second,
                there_and_back * 1e9, bytes / reading / 1e9);
}
