#include "error.h"

#include "utf8.h"

namespace pbgen {
namespace {

// The character of a whole UTF-8 sequence of `length` bytes.
unsigned code_point(const char* at, size_t length) {
    if (length == 1) return static_cast<unsigned char>(*at);
    unsigned code = static_cast<unsigned char>(*at) & (0x7f >> length);
    for (size_t i = 1; i < length; ++i) code = code << 6 | (static_cast<unsigned char>(at[i]) & 0x3f);
    return code;
}

// Control characters, separators of lines, and what cannot be seen or turns the direction of writing.
bool is_hidden(unsigned code) {
    const auto within = [code](unsigned low, unsigned high) { return low <= code && code <= high; };
    return code < 0x20 || within(0x7f, 0x9f) || code == 0xad || code == 0x61c || within(0x200b, 0x200f) ||
           within(0x2028, 0x202e) || within(0x2060, 0x206f) || code == 0xfeff || within(0xfff9, 0xfffb) ||
           within(0xe0000, 0xe0fff);
}

// \x1b, \u202e or \U000e0001
std::string escape(unsigned code) {
    const size_t digits = code < 0x100 ? 2 : code < 0x10000 ? 4 : 8;
    std::string text = digits == 2 ? "\\x" : digits == 4 ? "\\u" : "\\U";
    for (size_t i = digits; i-- > 0;) text += "0123456789abcdef"[code >> 4 * i & 15];
    return text;
}

}  // namespace

std::string visible(std::string_view text) {
    std::string result;
    const char* const end = text.data() + text.size();
    for (const char* at = text.data(); at != end;) {
        const size_t length = utf8_length(at, end);
        const unsigned code = code_point(at, length ? length : 1);
        if (length && !is_hidden(code)) result.append(at, length);
        else result += escape(code);
        at += length ? length : 1;
    }
    return result;
}

std::string quote(std::string_view name) {
    constexpr size_t longest = 80;
    std::string text = concat("`", name.substr(0, longest));
    if (name.size() > longest) {
        // A character of several bytes must not be cut in the middle.
        while (text.size() > 1 && (static_cast<unsigned char>(text.back()) & 0x80)) text.pop_back();
        text += "...";
    }
    return text + "`";
}

}  // namespace pbgen
