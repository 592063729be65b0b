// The one error type inside the core, and the words to fill it with.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

namespace pbgen {

// Something about the file, the environment or the call is wrong; what() is one line.
struct Error : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// The text with escapes such as \x1b for what would move a terminal's cursor, start a line or turn letters around there.
std::string visible(std::string_view text);

// A name from the file as it may stand in a message: in backquotes, and short.
std::string quote(std::string_view name);

inline void append(std::string& text, std::string_view part) { text += part; }
template <class Number, class = std::enable_if_t<std::is_arithmetic_v<Number>>>
void append(std::string& text, Number part) { text += std::to_string(part); }

template <class... Parts>
std::string concat(const Parts&... parts) {
    std::string text;
    (append(text, parts), ...);
    return text;
}

template <class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
    throw Error(visible(concat(parts...)));  // names in it may come from anywhere
}

}  // namespace pbgen
