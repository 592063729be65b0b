// Writing files so that a crash leaves the old one or the new one, never half of one: as src/pbgen/files.py does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

namespace pbgen {

// Takes bytes in turn.
using Sink = std::function<void(const uint8_t* bytes, size_t count)>;

// Writes a temporary file and renames it to `path`, or to where links there lead. A new file gets the mode that the umask
// says, one that takes an old one's place its mode and owner. A pipe or device is not replaced, but takes the bytes.
// Whatever goes wrong, a file that was at `path` stays. Throws Error.
void write_atomically(const std::string& path, const std::function<void(const Sink&)>& write);

// Finds out before the work, not after it, that `write_atomically` would fail. Throws Error then.
void check_writable(const std::string& path);

}  // namespace pbgen
