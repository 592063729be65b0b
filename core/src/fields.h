// A JSON object read key by key; in the end, keys that nothing asked for are refused.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "error.h"
#include "json.h"

namespace pbgen {

class Fields {
public:
    // `where` begins its messages.
    Fields(const Json& object, std::string where);

    template <class... Parts>
    [[noreturn]] void refuse(const Parts&... parts) const {
        fail(where_, ": ", parts...);
    }

    void rename(std::string where) { where_ = std::move(where); }

    const Json* find(std::string_view key);
    const Json& get(std::string_view key);
    bool has(std::string_view key) { return find(key) != nullptr; }

    int64_t integer(std::string_view key, int64_t low, int64_t high) { return integer(key, get(key), low, high); }
    std::vector<int64_t> integers(std::string_view key, int64_t low, int64_t high);
    double number(std::string_view key, double low, double high) { return number(key, get(key), low, high); }
    std::string_view text(std::string_view key) { return text(key, get(key)); }
    bool boolean(std::string_view key);
    const std::vector<Json>& list(std::string_view key) { return list(key, get(key)); }

    // Of an item of a list.
    int64_t integer(std::string_view key, const Json& value, int64_t low, int64_t high) const;
    double number(std::string_view key, const Json& value, double low, double high) const;
    std::string_view text(std::string_view key, const Json& value) const;
    const std::vector<Json>& list(std::string_view key, const Json& value) const;

    // Where in `names` the string under `key` stands.
    template <size_t count>
    size_t choice(std::string_view key, const std::string_view (&names)[count]) {
        return choice(key, get(key), names);
    }
    template <size_t count>
    size_t choice(std::string_view key, const Json& value, const std::string_view (&names)[count]) const {
        const std::string_view name = text(key, value);
        const auto* at = std::find(names, names + count, name);
        if (at == names + count) refuse("unknown ", key, " ", quote(name));
        return static_cast<size_t>(at - names);
    }

    void refuse_others() const;

private:
    const Json& object_;
    std::string where_;
    std::vector<std::string_view> asked_;
};

}  // namespace pbgen
