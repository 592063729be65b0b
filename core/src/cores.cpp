#include "cores.h"

#include <algorithm>
#include <charconv>
#include <climits>
#include <cstdint>
#include <string_view>
#include <thread>

#ifdef __linux__
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>
#endif

namespace pbgen {
namespace {

constexpr unsigned unlimited = UINT_MAX;

unsigned allowed_cores() {
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return static_cast<unsigned>(CPU_COUNT(&set));
#endif
    const unsigned cores = std::thread::hardware_concurrency();
    return cores ? cores : 1;
}

#ifdef __linux__
// What a file begins with; nothing where it cannot be read. Whatever lies there, this neither waits nor takes more memory.
std::string read_beginning(const std::string& path) {
    constexpr size_t most = 16 << 10;
    std::string text(most, '\0');
    size_t length = 0;
    const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) return {};
    for (ssize_t got; length < most && (got = read(file, &text[length], most - length)) > 0;)
        length += static_cast<size_t>(got);
    close(file);
    text.resize(length);
    return text;
}

// 0 where there is none, or one that does not fit.
int64_t leading_number(std::string_view text) {
    int64_t number = 0;
    return std::from_chars(text.data(), text.data() + text.size(), number).ec == std::errc() ? number : 0;
}

// `quota` microseconds in `period`, as whole processors. A thread that they pay for in part would stop the others with it.
unsigned paid_cores(int64_t quota, int64_t period) {
    if (quota <= 0 || period <= 0) return unlimited;
    return static_cast<unsigned>(std::clamp<int64_t>(quota / period, 1, unlimited));
}

// Of a group of the second version.
unsigned unified_quota(const std::string& group) {
    const std::string text = read_beginning(group + "/cpu.max");  // such as "200000 100000", or "max 100000"
    const size_t space = text.find(' ');
    if (space == text.npos) return unlimited;
    return paid_cores(leading_number(text), leading_number(std::string_view(text).substr(space + 1)));
}

// Of a group of the first version.
unsigned legacy_quota(const std::string& group) {
    return paid_cores(leading_number(read_beginning(group + "/cpu.cfs_quota_us")),
                      leading_number(read_beginning(group + "/cpu.cfs_period_us")));
}

// The least of a group and of those that it lies in. In a container the path may be that outside of it, of which nothing
// is there but the last, the container's own.
template <class Quota>
unsigned least_quota(const std::string& root, std::string group, const Quota& quota) {
    unsigned least = quota(root);
    for (; !group.empty(); group.resize(std::min(group.rfind('/'), group.size() - 1)))
        least = std::min(least, quota(root + group));
    return least;
}

// `line`: such as "0::/group", or "3:cpu,cpuacct:/group" of the first version.
unsigned line_quota(const std::string& root, std::string_view line) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == line.npos) return unlimited;
    const std::string_view names = line.substr(first + 1, second - first - 1);
    const std::string folder = root + "/sys/fs/cgroup", group(line.substr(second + 1));
    if (names.empty())
        return std::min(least_quota(folder, group, unified_quota), least_quota(folder + "/unified", group, unified_quota));
    if (("," + std::string(names) + ",").find(",cpu,") == std::string::npos) return unlimited;
    return least_quota(folder + "/cpu", group, legacy_quota);
}
#endif

}  // namespace

unsigned quota_cores([[maybe_unused]] const std::string& root) {
    unsigned least = unlimited;
#ifdef __linux__
    const std::string groups = read_beginning(root + "/proc/self/cgroup");
    for (std::string_view rest = groups; !rest.empty();) {
        const size_t length = std::min(rest.find('\n'), rest.size());
        least = std::min(least, line_quota(root, rest.substr(0, length)));
        rest.remove_prefix(std::min(length + 1, rest.size()));
    }
#endif
    return least;
}

unsigned usable_cores() { return std::min(allowed_cores(), quota_cores("")); }

}  // namespace pbgen
