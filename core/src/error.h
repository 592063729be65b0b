// The one error type inside the core, and the words to fill it with.
#pragma once

#include <cstdint>
#include <initializer_list>
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

// What a message is made of: text, or an integer.
class Part {
public:
    Part(const char* text);
    Part(const std::string& text);
    Part(std::string_view text);
    template <class Integer, class = std::enable_if_t<std::is_integral_v<Integer>>>
    Part(Integer number) : Part(std::conditional_t<std::is_signed_v<Integer>, Signed, Unsigned>{number}) {}

    void append_to(std::string& text) const;

private:
    struct Signed {
        int64_t number;
    };
    struct Unsigned {
        uint64_t number;
    };
    Part(Signed number);
    Part(Unsigned number);

    const char* text_ = nullptr;
    uint64_t number_;  // without its sign; of text, its length
    bool negative_ = false;
};

// One function for all of them, rather than one for each list of types: there are hundreds.
std::string concat_parts(std::initializer_list<Part> parts);
[[noreturn]] void fail_with(std::initializer_list<Part> parts);

template <class... Parts>
std::string concat(const Parts&... parts) {
    return concat_parts({Part(parts)...});
}

template <class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
    fail_with({Part(parts)...});
}

// What errors of this thread begin and end with while it lives. Not by catching and throwing again: WebAssembly does not.
class About {
public:
    About(std::string before, std::string after);
    ~About();
    About(const About&) = delete;
    About& operator=(const About&) = delete;

private:
    friend void fail_with(std::initializer_list<Part> parts);

    std::string before_, after_;
    const About* outer_;
};

// What pbgen_error() tells; of nullptr, that memory is lacking.
void keep_error(const char* what) noexcept;
const char* kept_error();
void forget_error();

}  // namespace pbgen
