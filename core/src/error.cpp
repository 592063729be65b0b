#include "error.h"

#include "utf8.h"

namespace pbgen {
namespace {

thread_local const About* innermost = nullptr;

thread_local std::string last_error;
thread_local const char* told = "";

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

Part::Part(const char* text) : Part(std::string_view(text)) {}
Part::Part(const std::string& text) : Part(std::string_view(text)) {}
Part::Part(std::string_view text) : text_(text.data() ? text.data() : ""), number_(text.size()) {}
Part::Part(Signed given) : Part(Unsigned{static_cast<uint64_t>(given.number)}) {
    negative_ = given.number < 0;
    if (negative_) number_ = uint64_t{0} - number_;
}
Part::Part(Unsigned given) : number_(given.number) {}

void Part::append_to(std::string& text) const {
    if (text_) return static_cast<void>(text.append(text_, static_cast<size_t>(number_)));
    if (negative_) text += '-';
    text += std::to_string(number_);
}

std::string concat_parts(std::initializer_list<Part> parts) {
    std::string text;
    for (const Part& part : parts) part.append_to(text);
    return text;
}

void fail_with(std::initializer_list<Part> parts) {
    std::string text = concat_parts(parts);
    for (const About* about = innermost; about; about = about->outer_) text = about->before_ + text + about->after_;
    throw Error(visible(text));  // names in it may come from anywhere
}

About::About(std::string before, std::string after)
    : before_(std::move(before)), after_(std::move(after)), outer_(innermost) {
    innermost = this;
}

About::~About() { innermost = outer_; }

// Nothing may be alive any more that told what the error is about: where nothing is caught, nothing was taken down.
void keep_error(const char* what) noexcept {
    innermost = nullptr;
    told = "out of memory";
    if (!what) return;
    try {
        last_error = what;
        told = last_error.c_str();
    } catch (...) {
    }
}

const char* kept_error() { return told; }

void forget_error() { told = ""; }

}  // namespace pbgen
