#include "fields.h"

namespace pbgen {

Fields::Fields(const Json& object, std::string where) : object_(object), where_(std::move(where)) {
    if (!object.is(Json::Type::object)) refuse("must be an object");
}

const Json* Fields::find(std::string_view key) {
    asked_.push_back(key);
    return object_.find(key);
}

const Json& Fields::get(std::string_view key) {
    const Json* value = find(key);
    if (!value) refuse("has no ", quote(key));
    return *value;
}

std::vector<int64_t> Fields::integers(std::string_view key, int64_t low, int64_t high) {
    std::vector<int64_t> numbers;
    for (const Json& item : list(key)) numbers.push_back(integer(key, item, low, high));
    return numbers;
}

bool Fields::boolean(std::string_view key) {
    const Json& value = get(key);
    if (!value.is(Json::Type::boolean)) refuse(quote(key), " must be true or false");
    return value.boolean;
}

int64_t Fields::integer(std::string_view key, const Json& value, int64_t low, int64_t high) const {
    if (!value.is(Json::Type::integer)) refuse(quote(key), " must be made of integers");
    if (value.integer < low || value.integer > high)
        refuse(quote(key), " has ", value.integer, ", outside ", low, " .. ", high);
    return value.integer;
}

double Fields::number(std::string_view key, const Json& value, double low, double high) const {
    if (!value.is(Json::Type::integer) && !value.is(Json::Type::real))
        refuse(quote(key), " must be made of numbers");
    const double number = value.is(Json::Type::real) ? value.real : static_cast<double>(value.integer);
    if (!(number >= low && number <= high))
        refuse(quote(key), " has a number outside ",
               high > 1e18 ? "those of float32" : concat(static_cast<int64_t>(low), " .. ", static_cast<int64_t>(high)));
    return number;
}

std::string_view Fields::text(std::string_view key, const Json& value) const {
    if (!value.is(Json::Type::string)) refuse(quote(key), " must be a string");
    return value.text;
}

const std::vector<Json>& Fields::list(std::string_view key, const Json& value) const {
    if (!value.is(Json::Type::array)) refuse(quote(key), " must be a list");
    return value.items;
}

void Fields::refuse_others() const {
    for (const Json& item : object_.items)
        if (std::find(asked_.begin(), asked_.end(), item.key) == asked_.end())
            refuse("unknown attribute ", quote(item.key));
}

}  // namespace pbgen
