// JSON, strictly: no duplicate keys, bounded depth and number of values, well-formed UTF-8, nothing after the end.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace pbgen {

struct Json {
    enum class Type : uint8_t { null, boolean, integer, real, string, array, object };

    Type type = Type::null;
    union {
        bool boolean;
        int64_t integer;
        double real;
    };
    std::string_view key;   // of a member of an object
    std::string_view text;  // of a string
    std::vector<Json> items;

    Json() : integer(0) {}
    bool is(Type other) const { return type == other; }
    // The member called `name`, or nullptr.
    const Json* find(std::string_view name) const;
};

// Strings are unescaped in place, so the buffer changes, and must live as long as the result, which points into it.
// Throws Error.
Json parse_json(char* begin, char* end);

}  // namespace pbgen
