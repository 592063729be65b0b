#include "file.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <sys/stat.h>
#include <unistd.h>

#include "error.h"

namespace pbgen {
namespace {

std::string temporary_name(const std::string& path) {
    const size_t base = path.rfind('/') + 1;  // npos + 1 is 0
    return concat(path.substr(0, base), ".", path.substr(base), ".XXXXXX");
}

bool write_all(int file, const std::vector<uint8_t>& content) {
    for (size_t done = 0; done < content.size();) {
        const ssize_t written = write(file, content.data() + done, content.size() - done);
        if (written < 0 && errno != EINTR) return false;
        if (written > 0) done += static_cast<size_t>(written);
    }
    return fsync(file) == 0 && fchmod(file, 0644) == 0;
}

}  // namespace

void write_atomically(const std::string& path, const std::vector<uint8_t>& content) {
    std::string temporary = temporary_name(path);
    const int file = mkstemp(temporary.data());
    if (file < 0) fail(path, ": cannot write there: ", std::strerror(errno), "; choose a folder that exists");
    bool done = write_all(file, content);
    int reason = errno;
    if (close(file) && done) done = false, reason = errno;
    if (done && std::rename(temporary.c_str(), path.c_str())) done = false, reason = errno;
    if (done) return;
    unlink(temporary.c_str());
    fail(path, ": cannot be written: ", std::strerror(reason), "; nothing was changed");
}

}  // namespace pbgen
