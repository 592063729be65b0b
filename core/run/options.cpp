#include "options.h"

#include <algorithm>
#include <charconv>
#include <string_view>

#include "error.h"
#include "json.h"

namespace pbgen {
namespace {

constexpr uint64_t max_count = 1000000;
constexpr uint64_t max_threads = 1024;

bool ends_in_png(std::string_view name) { return name.size() > 4 && name.substr(name.size() - 4) == ".png"; }

class Reader {
public:
    Reader(int argc, char** argv) : next_(argv + 1), end_(argv + argc) {}

    Options read() {
        while (next_ != end_) read_argument(*next_++);
        if (options_.help || options_.version) return options_;
        if (options_.file.empty()) fail("FILE is missing: give a packed generator; see pbgen-run --help");
        if (options_.output.empty() && !options_.time) fail("--output is missing: give the picture's name, -o grid.png");
        if (!options_.output.empty() && !ends_in_png(options_.output))
            fail("--output ", options_.output, ": only PNG is written; give a name such as grid.png");
        return options_;
    }

private:
    void read_argument(std::string_view argument) {
        if (argument.size() < 2 || argument[0] != '-') return read_file(argument);
        const size_t equals = argument.substr(0, 2) == "--" ? argument.find('=') : argument.npos;
        const std::string_view name = argument.substr(0, equals);
        value_ = equals == argument.npos ? nullptr : argument.data() + equals + 1;
        read_option(name);
        if (value_) fail(name, ": takes no value, and was given ", quote(value_));
    }

    void read_option(std::string_view name) {
        if (name == "-h" || name == "--help") options_.help = true;
        else if (name == "--version") options_.version = true;
        else if (name == "--time") options_.time = true;
        else if (name == "-o" || name == "--output") options_.output = value(name);
        else if (name == "--seed") options_.seed = number(name, 0, UINT64_MAX);
        else if (name == "-n" || name == "--count") options_.count = static_cast<size_t>(number(name, 1, max_count));
        else if (name == "--threads") options_.threads = static_cast<unsigned>(number(name, 1, max_threads));
        else if (name == "--activations") options_.activations = activations(name);
        else if (name == "--range") read_range(name);
        else fail(name, ": no such option; see pbgen-run --help");
    }

    void read_file(std::string_view argument) {
        if (!options_.file.empty()) fail(quote(argument), ": one file is enough, and ", options_.file, " was given");
        if (argument.empty()) fail("FILE is an empty name; give a packed generator");
        options_.file = argument;
    }

    // What stands behind `=` or is the next argument.
    std::string value(std::string_view name) {
        const char* const text = value_ ? value_ : next_ != end_ ? *next_++ : "";
        value_ = nullptr;
        if (!*text) fail(name, ": needs a value; see pbgen-run --help");
        return text;
    }

    uint64_t number(std::string_view name, uint64_t low, uint64_t high) {
        const std::string text = value(name);
        uint64_t number = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
        if (error != std::errc() || end != text.data() + text.size() || number < low || number > high)
            fail(name, " ", quote(text), ": must be a whole number from ", low, " to ", high);
        return number;
    }

    void read_range(std::string_view name) {
        constexpr double most = 1e6;
        const std::string text = value(name);
        const size_t colon = std::min(text.find(':'), text.size());
        double &black = options_.black, &white = options_.white;
        if (!read_real(text.substr(0, colon), black) || !read_real(text.substr(std::min(colon + 1, text.size())), white) ||
            black < -most || white > most || black >= white)
            fail(name, " ", quote(text), ": give the numbers for black and white, such as 0:1, -1:1 or 0:255");
    }

    // A number as JSON has it: the standard library's parsers of such are as large as all else here.
    static bool read_real(std::string text, double& number) {
        try {
            const Json json = parse_json(text.data(), text.data() + text.size());
            number = json.is(Json::Type::integer) ? static_cast<double>(json.integer) : json.real;
            return json.is(Json::Type::integer) || json.is(Json::Type::real);
        } catch (const Error&) {
            return false;
        }
    }

    pbgen_activations activations(std::string_view name) {
        const std::string text = value(name);
        if (text == "float32") return PBGEN_FLOAT32;
        if (text == "int8") return PBGEN_INT8;
        fail(name, " ", quote(text), ": must be float32 or int8");
    }

    char** next_;
    char** end_;
    const char* value_ = nullptr;  // given with `=` and not yet taken
    Options options_;
};

}  // namespace

Options read_options(int argc, char** argv) { return Reader(argc, argv).read(); }

}  // namespace pbgen
