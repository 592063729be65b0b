#include "json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <functional>

#include "error.h"
#include "sort.h"
#include "utf8.h"

namespace pbgen {
namespace {

// A value takes some 70 bytes in memory but may take only two in the file.
constexpr size_t max_values = size_t{1} << 17;
constexpr int max_depth = 16;

class Parser {
public:
    Parser(char* begin, char* end) : begin_(begin), next_(begin), end_(end) {}

    Json document() {
        check_utf8();
        Json value = parse_value(0);
        skip_space();
        if (next_ != end_) refuse("text after the end");
        return value;
    }

private:
    [[noreturn]] void refuse(const char* what) const { fail("JSON: ", what, " at byte ", next_ - begin_); }

    void check_utf8() {
        for (const char* at = next_; at != end_;) {
            const size_t length = utf8_length(at, end_);
            if (!length) fail("JSON: not UTF-8 at byte ", at - begin_);
            at += length;
        }
    }

    void skip_space() {
        while (next_ != end_ && (*next_ == ' ' || *next_ == '\n' || *next_ == '\r' || *next_ == '\t')) ++next_;
    }

    bool accept(char c) {
        skip_space();
        if (next_ == end_ || *next_ != c) return false;
        ++next_;
        return true;
    }

    void expect(char c, const char* what) {
        if (!accept(c)) refuse(what);
    }

    Json parse_value(int depth) {
        if (depth == max_depth) refuse("nested too deep");
        if (++values_ > max_values) refuse("too many values");
        skip_space();
        if (next_ == end_) refuse("unexpected end");
        switch (*next_) {
            case '{': return parse_object(depth);
            case '[': return parse_array(depth);
            case '"': return parse_text();
            case 't': return parse_literal("true", Json::Type::boolean, true);
            case 'f': return parse_literal("false", Json::Type::boolean, false);
            case 'n': return parse_literal("null", Json::Type::null, false);
            default: return parse_number();
        }
    }

    Json parse_object(int depth) {
        Json object;
        object.type = Json::Type::object;
        ++next_;
        if (accept('}')) return object;
        do {
            skip_space();
            const std::string_view key = parse_string();
            expect(':', "expected `:`");
            object.items.push_back(parse_value(depth + 1));
            object.items.back().key = key;
        } while (accept(','));
        expect('}', "expected `,` or `}`");
        refuse_duplicates(object);
        return object;
    }

    static void refuse_duplicates(const Json& object) {
        std::vector<std::string_view> keys;
        for (const Json& item : object.items) keys.push_back(item.key);
        sort(keys, std::less<std::string_view>());
        const auto twice = std::adjacent_find(keys.begin(), keys.end());
        if (twice != keys.end()) fail("JSON: key ", quote(*twice), " appears twice");
    }

    Json parse_array(int depth) {
        Json array;
        array.type = Json::Type::array;
        ++next_;
        if (accept(']')) return array;
        do array.items.push_back(parse_value(depth + 1));
        while (accept(','));
        expect(']', "expected `,` or `]`");
        return array;
    }

    Json parse_text() {
        Json value;
        value.type = Json::Type::string;
        value.text = parse_string();
        return value;
    }

    Json parse_literal(std::string_view literal, Json::Type type, bool boolean) {
        if (std::string_view(next_, end_ - next_).substr(0, literal.size()) != literal) refuse("unknown word");
        next_ += literal.size();
        Json value;
        value.type = type;
        value.boolean = boolean;
        return value;
    }

    size_t skip_digits() {
        const char* first = next_;
        while (next_ != end_ && *next_ >= '0' && *next_ <= '9') ++next_;
        return next_ - first;
    }

    // from_chars is more lenient than JSON, so the grammar is checked here.
    Json parse_number() {
        const char* first = next_;
        if (*next_ == '-') ++next_;
        const char* digits = next_;
        if (skip_digits() == 0) refuse("unexpected character");
        if (*digits == '0' && next_ - digits > 1) refuse("number with a leading zero");
        bool integer = true;
        if (next_ != end_ && *next_ == '.') {
            integer = false;
            ++next_;
            if (skip_digits() == 0) refuse("number without digits after the point");
        }
        if (next_ != end_ && (*next_ == 'e' || *next_ == 'E')) {
            integer = false;
            ++next_;
            if (next_ != end_ && (*next_ == '+' || *next_ == '-')) ++next_;
            if (skip_digits() == 0) refuse("number without an exponent");
        }
        Json value;
        value.type = integer ? Json::Type::integer : Json::Type::real;
        if (integer)
            value.integer = read_integer(first);
        else
            value.real = read_real(first);
        return value;
    }

    // The numbers from `at` to where the parser is.
    int64_t read_integer(const char* at) const {
        int64_t value = 0;
        if (std::from_chars(at, next_, value).ec != std::errc()) refuse("number out of range");
        return value;
    }

    // To a unit or two in a double's last place, which is enough for what becomes float32. std::from_chars would be
    // exact, but some C++ libraries lack it, and others bring locales into a static program with it.
    double read_real(const char* at) const {
        constexpr uint64_t enough = UINT64_MAX / 100;  // further digits are zeros
        constexpr int64_t largest = 400;               // exponent; what is beyond makes no difference
        constexpr int64_t far = int64_t{1} << 32;      // what is beyond must not overflow
        const bool negative = *at == '-';
        uint64_t digits = 0;
        int64_t exponent = 0;
        bool fraction = false;
        for (at += negative; at != next_ && *at != 'e' && *at != 'E'; ++at) {
            if (*at == '.') {
                fraction = true;
            } else if (digits < enough) {
                digits = digits * 10 + static_cast<uint64_t>(*at - '0');
                exponent -= fraction;
            } else {
                exponent += !fraction;
            }
        }
        if (at != next_) exponent += std::clamp(read_integer(at + (at[1] == '+' ? 2 : 1)), -far, far);
        double power = 1;
        for (int64_t i = std::min(std::abs(exponent), largest); i > 0; --i) power *= 10;
        const double value = exponent < 0 ? static_cast<double>(digits) / power : static_cast<double>(digits) * power;
        if (!std::isfinite(value)) refuse("number out of range");
        return negative ? -value : value;
    }

    std::string_view parse_string() {
        if (next_ == end_ || *next_ != '"') refuse("expected a string");
        char* const first = ++next_;
        char* out = first;
        while (true) {
            if (next_ == end_) refuse("string without an end");
            const char c = *next_;
            if (static_cast<unsigned char>(c) < 0x20) refuse("control character in a string");
            ++next_;
            if (c == '"') return {first, static_cast<size_t>(out - first)};
            if (c == '\\')
                out = unescape(out);
            else
                *out++ = c;
        }
    }

    char* unescape(char* out) {
        constexpr std::string_view letters = "\"\\/bfnrt", meanings = "\"\\/\b\f\n\r\t";
        if (next_ == end_) refuse("string without an end");
        const char c = *next_++;
        if (c == 'u') return write_utf8(out, parse_code_point());
        const size_t which = letters.find(c);
        if (which == letters.npos) refuse("unknown escape");
        *out++ = meanings[which];
        return out;
    }

    unsigned parse_code_point() {
        const unsigned first = parse_hex();
        if (first < 0xd800 || first > 0xdfff) return first;
        if (first > 0xdbff || end_ - next_ < 2 || next_[0] != '\\' || next_[1] != 'u') refuse("half a surrogate pair");
        next_ += 2;
        const unsigned second = parse_hex();
        if (second < 0xdc00 || second > 0xdfff) refuse("half a surrogate pair");
        return 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
    }

    unsigned parse_hex() {
        unsigned code = 0;
        if (end_ - next_ < 4) refuse("string without an end");
        const auto result = std::from_chars(next_, next_ + 4, code, 16);
        if (result.ptr != next_ + 4) refuse("expected four hexadecimal digits");
        next_ += 4;
        return code;
    }

    static char* write_utf8(char* out, unsigned code) {
        const auto put = [&](unsigned byte) { *out++ = static_cast<char>(byte); };
        if (code < 0x80) {
            put(code);
        } else if (code < 0x800) {
            put(0xc0 | code >> 6);
            put(0x80 | (code & 0x3f));
        } else if (code < 0x10000) {
            put(0xe0 | code >> 12);
            put(0x80 | (code >> 6 & 0x3f));
            put(0x80 | (code & 0x3f));
        } else {
            put(0xf0 | code >> 18);
            put(0x80 | (code >> 12 & 0x3f));
            put(0x80 | (code >> 6 & 0x3f));
            put(0x80 | (code & 0x3f));
        }
        return out;
    }

    char* begin_;
    char* next_;
    char* end_;
    size_t values_ = 0;
};

}  // namespace

const Json* Json::find(std::string_view name) const {
    for (const Json& item : items)
        if (item.key == name) return &item;
    return nullptr;
}

Json parse_json(char* begin, char* end) { return Parser(begin, end).document(); }

}  // namespace pbgen
