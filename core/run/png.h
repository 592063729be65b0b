// PNG without compression: https://www.w3.org/TR/png-3/, https://www.rfc-editor.org/rfc/rfc1950 and rfc1951.
#pragma once

#include "file.h"
#include "grid.h"

namespace pbgen {

// Gives `sink` a picture of one channel (gray) or three (red, green, blue) as a PNG file, some kilobytes at a time.
void encode_png(const Picture& picture, const Sink& sink);

}  // namespace pbgen
