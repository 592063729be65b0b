// Writing files so that a crash leaves the old one or the new one, never half of one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace pbgen {

// Writes a temporary file beside `path` and renames it. Whatever goes wrong, what was at `path` stays. Throws Error.
void write_atomically(const std::string& path, const std::vector<uint8_t>& content);

}  // namespace pbgen
