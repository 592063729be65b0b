// UTF-8, as files and file names may break it.
#pragma once

#include <cstddef>

namespace pbgen {

// Length of the UTF-8 sequence at `at`, or 0 where there is none: in overlong forms, surrogates and beyond U+10FFFF.
inline size_t utf8_length(const char* at, const char* end) {
    const auto byte = [&](ptrdiff_t i) -> unsigned { return i < end - at ? static_cast<unsigned char>(at[i]) : 0u; };
    const auto continues = [&](ptrdiff_t i) { return (byte(i) & 0xc0) == 0x80; };
    const unsigned first = byte(0), second = byte(1);
    if (at != end && first < 0x80) return 1;
    if (first >= 0xc2 && first <= 0xdf && continues(1)) return 2;
    if ((first & 0xf0) == 0xe0 && continues(1) && continues(2) && !(first == 0xe0 && second < 0xa0) &&
        !(first == 0xed && second > 0x9f))
        return 3;
    if (first >= 0xf0 && first <= 0xf4 && continues(1) && continues(2) && continues(3) &&
        !(first == 0xf0 && second < 0x90) && !(first == 0xf4 && second > 0x8f))
        return 4;
    return 0;
}

}  // namespace pbgen
