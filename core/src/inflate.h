// Text compressed by deflate, and written in base64.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace pbgen {

// What the text in base64 (RFC 4648) holds, decompressed (RFC 1951, without a wrapper). Throws Error where it is
// damaged, or would become longer than `limit` bytes.
std::string inflate(std::string_view base64, size_t limit);

}  // namespace pbgen
