#include "file.h"

#include <cerrno>
#include <cstdio>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/xattr.h>
#endif

#include "error.h"

namespace pbgen {
namespace {

// What a path leads to.
struct Place {
    std::string path, file;    // as given, and where its links end
    bool exists, takes_bytes;  // takes_bytes: it is not to be replaced
    struct stat old;
};

[[noreturn]] void refuse(const Place& place) {
    const int reason = errno;
    const char* remedy = "choose another place";
    if (reason == ENOSPC || reason == EDQUOT || reason == EFBIG) remedy = "make room, or choose another place";
    if (reason == ENAMETOOLONG) remedy = "give a shorter name";
    if (reason == EBUSY) remedy = "it is mounted by itself, so mount its folder";
    fail(place.path, ": cannot be written: ", std::strerror(reason), "; ", remedy);
}

std::string folder_of(const std::string& path) { return path.substr(0, path.rfind('/') + 1); }  // npos + 1 is 0

std::string end_of_links(std::string path) {
    char target[4096];
    for (ssize_t length; (length = readlink(path.c_str(), target, sizeof target)) > 0;) {
        const std::string next(target, static_cast<size_t>(length));
        path = next[0] == '/' ? next : folder_of(path) + next;
    }
    return path;
}

Place find(const std::string& path) {
    Place place{path, path, false, false, {}};
    place.exists = stat(path.c_str(), &place.old) == 0;
    if (!place.exists && errno != ENOENT) refuse(place);  // a circle of links, too
    place.file = end_of_links(path);
    struct stat end;
    if (!place.exists) {
        const std::string folder = folder_of(place.file) + ".";
        if (stat(folder.c_str(), &end)) fail(path, ": there is no folder ", folder, "; make it first");
        return place;
    }
    const mode_t mode = place.old.st_mode;
    if (S_ISDIR(mode)) fail(path, ": is a folder; give a file in it");
    if (S_ISSOCK(mode) || S_ISBLK(mode)) fail(path, ": is a socket or a whole disk; give a file");
    // What is open as /dev/fd/3 may have been deleted: then its link ends nowhere.
    const bool has_name = stat(place.file.c_str(), &end) == 0 && end.st_ino == place.old.st_ino &&
                          end.st_dev == place.old.st_dev;
    place.takes_bytes = !(S_ISREG(mode) && has_name);
    return place;
}

// Gives a new file the old one's owner, group, mode and ACL, as far as this user may and the disk knows of them.
void make_alike(int file, const Place& place) {
    const struct stat& old = place.old;
    mode_t mode = old.st_mode & 0777;
    if (fchown(file, old.st_uid, old.st_gid) && fchown(file, static_cast<uid_t>(-1), old.st_gid))
        mode = (mode & 0707) | (mode & 0007) << 3;  // another group may do no more than everybody
    if (fchmod(file, mode)) return;
#ifdef __linux__
    constexpr const char* acl = "system.posix_acl_access";
    char rights[4096];
    const ssize_t size = getxattr(place.file.c_str(), acl, rights, sizeof rights);
    if (size > 0 && fsetxattr(file, acl, rights, static_cast<size_t>(size), 0)) return;
#endif
}

// An open file that is closed in the end, and removed where it has a name.
class Output {
public:
    explicit Output(const Place& place) : place_(place) {
        if (place.takes_bytes) {
            file_ = open(place.path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC);
        } else {
            if (place.exists) check_old();
            do {
                name_ = concat(folder_of(place.file), ".pbgen-", getpid(), "-", ++number_);
                file_ = open(name_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, place.exists ? 0600 : 0666);
            } while (file_ < 0 && errno == EEXIST);
        }
        if (file_ < 0) refuse(place);
        if (!name_.empty() && place.exists) make_alike(file_, place);
    }
    ~Output() {
        close(file_);
        if (!name_.empty()) unlink(name_.c_str());
    }
    Output(const Output&) = delete;
    Output& operator=(const Output&) = delete;

    void write(const uint8_t* bytes, size_t count) {
        while (count) {
            const ssize_t written = ::write(file_, bytes, count);
            if (written < 0 && errno != EINTR) refuse(place_);
            if (written > 0) bytes += written, count -= static_cast<size_t>(written);
        }
    }

    void keep() {
        if (name_.empty()) return;
        if (fsync(file_) || std::rename(name_.c_str(), place_.file.c_str())) refuse(place_);
        name_.clear();
    }

private:
    // What may not be written may not be replaced either.
    void check_old() const {
        const int old = open(place_.file.c_str(), O_WRONLY | O_CLOEXEC);
        if (old < 0) refuse(place_);
        close(old);
    }

    const Place& place_;
    std::string name_;  // of a temporary file
    int file_ = -1;
    unsigned number_ = 0;
};

}  // namespace

void write_atomically(const std::string& path, const std::function<void(const Sink&)>& write) {
    const Place place = find(path);
    Output output(place);
    write([&](const uint8_t* bytes, size_t count) { output.write(bytes, count); });
    output.keep();
}

void check_writable(const std::string& path) {
    const Place place = find(path);
    if (place.takes_bytes) {
        if (access(path.c_str(), W_OK)) refuse(place);  // to open a pipe would tell its reader that all has been said
    } else if (place.exists) {
        const Output output(place);
    } else {
        const int file = open(place.file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (file < 0) refuse(place);  // a disk may not take every name
        close(file);
        unlink(place.file.c_str());
    }
}

}  // namespace pbgen
