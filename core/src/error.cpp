#include "error.h"

namespace pbgen {

std::string quote(std::string_view name) {
    constexpr size_t longest = 80;
    std::string text = "`";
    for (char c : name.substr(0, longest)) text += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
    if (name.size() > longest) {
        // A character of several bytes must not be cut in the middle.
        while (text.size() > 1 && (static_cast<unsigned char>(text.back()) & 0x80)) text.pop_back();
        text += "...";
    }
    return text + "`";
}

}  // namespace pbgen
