// PNG without compression: https://www.w3.org/TR/png-3/, https://www.rfc-editor.org/rfc/rfc1950 and rfc1951.
#pragma once

#include <cstdint>
#include <vector>

#include "grid.h"

namespace pbgen {

// A picture of one channel (gray) or three (red, green, blue) as a PNG file.
std::vector<uint8_t> encode_png(const Picture& picture);

}  // namespace pbgen
