// Forks while other threads make images and open engines: forks FILE. Prints what goes wrong in a child.
#include <atomic>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

#include "numbers.h"
#include "pbgen.h"

namespace {

constexpr int times = 50;
constexpr unsigned longest = 20;  // seconds that a child may take

struct Case {
    const char* file;
    pbgen_engine* engine;
    std::vector<float> expected;
};

std::vector<float> run(pbgen_engine* engine) {
    Call call(engine, 1);
    call.fill();
    call.run();
    return call.output();
}

bool run_anew(const Case& c) {
    pbgen_engine* engine = pbgen_open(c.file, 3, PBGEN_FLOAT32);
    const bool right = engine && same(run(engine), c.expected);
    pbgen_close(engine);
    return right;
}

template <class Function>
std::string in_child(const Function& function) {
    const pid_t child = fork();
    if (child == 0) {
        alarm(longest);  // kills what hangs
        _exit(function() ? 0 : 1);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) return "no child";
    if (WIFSIGNALED(status)) return "killed by signal " + std::to_string(WTERMSIG(status));
    return WEXITSTATUS(status) ? "wrong images" : "";
}

// With the parent's engine and a new one, also in a child of the child's; and the parent's is closed.
bool try_all(const Case& c) {
    const auto right = [&] {
        return same(run(c.engine), c.expected) && pbgen_resident_bytes(c.engine) > 0 && run_anew(c);
    };
    if (!right() || !in_child(right).empty()) return false;
    pbgen_close(c.engine);
    return true;
}

}  // namespace

int main(int argc, char** argv) {
    Case c{argc > 1 ? argv[1] : "", nullptr, {}};
    c.engine = pbgen_open(c.file, 2, PBGEN_FLOAT32);
    if (!c.engine) return std::puts(pbgen_error()), 2;
    c.expected = run(c.engine);

    std::atomic<bool> stop{false};
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i)
        threads.emplace_back([&] {
            while (!stop) run(c.engine);
        });
    threads.emplace_back([&] {
        while (!stop) run_anew(c);
    });
    std::string trouble;
    for (int i = 0; i < times && trouble.empty(); ++i) trouble = in_child([&] { return try_all(c); });
    stop = true;
    for (std::thread& thread : threads) thread.join();
    if (!trouble.empty()) std::puts(trouble.c_str());
    pbgen_close(c.engine);
}
