#include "graph.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "error.h"
#include "json.h"

namespace pbgen {
namespace {

constexpr int64_t version = 1;
constexpr int64_t max_elements = int64_t{1} << 28;  // of one value
constexpr int64_t max_attribute = int64_t{1} << 20;

constexpr std::string_view op_names[] = {"conv",   "conv_transpose", "linear",   "affine",       "add",
                                         "concat", "reshape",        "upsample", "pixel_shuffle"};
constexpr std::string_view activation_names[] = {"none", "relu", "leaky_relu", "tanh", "sigmoid"};
constexpr std::string_view mode_names[] = {"nearest", "bilinear"};

// A JSON object read key by key; in the end, keys that nothing asked for are refused.
class Fields {
public:
    Fields(const Json& object, std::string where) : object_(object), where_(std::move(where)) {
        if (!object.is(Json::Type::object)) refuse("must be an object");
    }

    template <class... Parts>
    [[noreturn]] void refuse(const Parts&... parts) const {
        fail(where_, ": ", parts...);
    }

    void rename(std::string where) { where_ = std::move(where); }

    const Json* find(std::string_view key) {
        asked_.push_back(key);
        return object_.find(key);
    }

    const Json& get(std::string_view key) {
        const Json* value = find(key);
        if (!value) refuse("has no ", quote(key));
        return *value;
    }

    int64_t integer(std::string_view key, int64_t low, int64_t high) { return integer(key, get(key), low, high); }

    std::vector<int64_t> integers(std::string_view key, int64_t low, int64_t high) {
        std::vector<int64_t> numbers;
        for (const Json& item : list(key)) numbers.push_back(integer(key, item, low, high));
        return numbers;
    }

    float number(std::string_view key, double low, double high) { return number(key, get(key), low, high); }

    std::vector<float> numbers(std::string_view key, double low, double high) {
        std::vector<float> numbers;
        for (const Json& item : list(key)) numbers.push_back(number(key, item, low, high));
        return numbers;
    }

    std::string_view text(std::string_view key) {
        const Json& value = get(key);
        if (!value.is(Json::Type::string)) refuse(quote(key), " must be a string");
        return value.text;
    }

    bool boolean(std::string_view key) {
        const Json& value = get(key);
        if (!value.is(Json::Type::boolean)) refuse(quote(key), " must be true or false");
        return value.boolean;
    }

    const std::vector<Json>& list(std::string_view key) {
        const Json& value = get(key);
        if (!value.is(Json::Type::array)) refuse(quote(key), " must be a list");
        return value.items;
    }

    // Where in `names` the string under `key` stands.
    template <size_t count>
    size_t choice(std::string_view key, const std::string_view (&names)[count]) {
        const std::string_view name = text(key);
        const auto* at = std::find(names, names + count, name);
        if (at == names + count) refuse("unknown ", key, " ", quote(name));
        return static_cast<size_t>(at - names);
    }

    void refuse_others() const {
        for (const Json& item : object_.items)
            if (std::find(asked_.begin(), asked_.end(), item.key) == asked_.end())
                refuse("unknown attribute ", quote(item.key));
    }

private:
    int64_t integer(std::string_view key, const Json& value, int64_t low, int64_t high) const {
        if (!value.is(Json::Type::integer)) refuse(quote(key), " must be made of integers");
        if (value.integer < low || value.integer > high)
            refuse(quote(key), " has ", value.integer, ", outside ", low, " .. ", high);
        return value.integer;
    }

    float number(std::string_view key, const Json& value, double low, double high) const {
        if (!value.is(Json::Type::integer) && !value.is(Json::Type::real))
            refuse(quote(key), " must be made of numbers");
        const double number = value.is(Json::Type::real) ? value.real : static_cast<double>(value.integer);
        if (number < low || number > high)
            refuse(quote(key), " has a number outside ", static_cast<int64_t>(low), " .. ", static_cast<int64_t>(high));
        return static_cast<float>(number);
    }

    const Json& object_;
    std::string where_;
    std::vector<std::string_view> asked_;
};

class Reader {
public:
    explicit Reader(const Container& container) : container_(container), users_(container.tensors.size(), none) {}

    Graph read(const Json& json) {
        Fields fields(json, "graph");
        const int64_t found = fields.integer("version", 0, INT64_MAX);
        if (found != version) fields.refuse("has version ", found, "; this engine reads version ", version);
        graph_.input = read_shape(fields, "input");
        for (const Json& node : fields.list("nodes")) read_node(node);
        graph_.output = static_cast<size_t>(fields.integer("output", 0, static_cast<int64_t>(graph_.nodes.size())));
        fields.refuse_others();
        for (size_t i = 0; i < users_.size(); ++i)
            if (users_[i] == none) fail("tensor ", quote(container_.tensors[i].name), " is used by no node");
        return std::move(graph_);
    }

private:
    static Shape read_shape(Fields& fields, std::string_view key) {
        const std::vector<int64_t> dims = fields.integers(key, 1, max_elements);
        if (dims.empty() || dims.size() > 3) fields.refuse(quote(key), " must have one to three dimensions");
        Shape shape;
        shape.rank = dims.size();
        shape.channels = dims[0];
        if (dims.size() == 3) shape.height = dims[1];
        if (dims.size() >= 2) shape.width = dims.back();
        // Each factor is at most 2^28, so no product of two overflows.
        if (shape.pixels() > max_elements || shape.pixels() * shape.channels > max_elements)
            fields.refuse(quote(key), " has more than ", max_elements, " elements");
        return shape;
    }

    void read_node(const Json& json) {
        const size_t number = graph_.nodes.size();
        Fields fields(json, concat("node ", number));
        Node node;
        node.name = fields.text("name");
        fields.rename(concat("node ", number, " ", quote(node.name)));
        node.op = static_cast<Op>(fields.choice("op", op_names));
        for (int64_t value : fields.integers("inputs", 0, INT64_MAX)) {
            if (value > static_cast<int64_t>(number))
                fields.refuse("reads value ", value, ", which no node before it makes");
            node.inputs.push_back(static_cast<size_t>(value));
        }
        node.shape = read_shape(fields, "shape");
        read_attributes(fields, node);
        fields.refuse_others();
        graph_.nodes.push_back(std::move(node));
    }

    void read_attributes(Fields& fields, Node& node) {
        const bool many = node.op == Op::add || node.op == Op::concat;
        if (many ? node.inputs.size() < 2 : node.inputs.size() != 1)
            fields.refuse("reads ", node.inputs.size(), " values instead of ", many ? "two or more" : "one");
        switch (node.op) {
            case Op::conv:
            case Op::conv_transpose: return read_convolution(fields, node);
            case Op::linear: return read_linear(fields, node);
            case Op::affine: return read_affine(fields, node);
            case Op::add: return check_add(fields, node);
            case Op::concat: return read_concat(fields, node);
            case Op::reshape: return check_reshape(fields, node);
            case Op::upsample: return read_upsample(fields, node);
            case Op::pixel_shuffle: return read_pixel_shuffle(fields, node);
        }
    }

    const Shape& input(const Node& node) const { return graph_.shape(node.inputs[0]); }

    void read_convolution(Fields& fields, Node& node) {
        const Shape& in = input(node);
        if (in.rank < 2 || in.rank != node.shape.rank)
            fields.refuse("input and value must both be [C, L] or [C, H, W]");
        const std::vector<int64_t> kernel = fields.integers("kernel", 1, max_attribute);
        const std::vector<int64_t> stride = fields.integers("stride", 1, max_attribute);
        const std::vector<int64_t> padding = fields.integers("padding", 0, INT64_MAX);
        const std::vector<int64_t> dilation = fields.integers("dilation", 1, max_attribute);
        for (const auto* numbers : {&kernel, &stride, &padding, &dilation})
            if (numbers->size() != in.rank - 1)
                fields.refuse("`kernel`, `stride`, `padding` and `dilation` need one integer a spatial dimension");
        const auto geometry = [&](size_t i) { return Geometry{kernel[i], stride[i], padding[i], dilation[i]}; };
        node.x = geometry(in.rank - 2);
        if (in.rank == 3) node.y = geometry(0);
        check_geometry(fields, node.op, node.y, in.height, node.shape.height);
        check_geometry(fields, node.op, node.x, in.width, node.shape.width);

        node.groups = fields.integer("groups", 1, max_attribute);
        if (in.channels % node.groups || node.shape.channels % node.groups)
            fields.refuse("`groups` ", node.groups, " does not divide ", in.channels, " and ", node.shape.channels,
                          " channels");
        std::vector<int64_t> shape = {node.shape.channels, in.channels / node.groups};
        shape.insert(shape.end(), kernel.begin(), kernel.end());
        read_weight(fields, node, shape);
        read_epilogue(fields, node);
    }

    static void check_geometry(const Fields& fields, Op op, const Geometry& g, int64_t in, int64_t out) {
        const int64_t reach = g.dilation * (g.kernel - 1);
        const int64_t max_padding = op == Op::conv_transpose ? reach : max_attribute;
        if (g.padding > max_padding) fields.refuse("`padding` has ", g.padding, ", outside 0 .. ", max_padding);
        const int64_t longest = op == Op::conv_transpose
                                    ? (in - 1) * g.stride - g.padding + reach + 1 + std::max(g.stride, g.dilation)
                                    : (in + 2 * g.padding) / g.stride + 1;
        if (out > longest) fields.refuse("`shape` has ", out, ", more than these attributes can make of ", in);
    }

    void read_linear(Fields& fields, Node& node) {
        if (input(node).rank != 1 || node.shape.rank != 1) fields.refuse("input and value must both be [C]");
        read_weight(fields, node, {node.shape.channels, input(node).channels});
        read_epilogue(fields, node);
    }

    void read_affine(Fields& fields, Node& node) {
        require(fields, node.shape == input(node), "value must have the input's shape");
        read_epilogue(fields, node);
    }

    void check_add(Fields& fields, const Node& node) {
        for (size_t value : node.inputs)
            require(fields, graph_.shape(value) == node.shape, "inputs and value must all have the same shape");
    }

    void read_concat(Fields& fields, Node& node) {
        const int64_t axis = fields.integer("axis", 0, static_cast<int64_t>(node.shape.rank) - 1);
        // [C, L] has its length along the width.
        node.axis = static_cast<int>(axis == 1 && node.shape.rank == 2 ? 2 : axis);
        const auto along = [&](Shape& shape) -> int64_t& {
            return node.axis == 0 ? shape.channels : node.axis == 1 ? shape.height : shape.width;
        };
        Shape sum = graph_.shape(node.inputs[0]);
        along(sum) = 0;
        for (size_t value : node.inputs) {
            Shape part = graph_.shape(value);
            along(sum) += along(part);
            along(part) = along(sum);
            require(fields, part == sum, "inputs must agree but along `axis`");
        }
        require(fields, sum == node.shape, "value must be as long along `axis` as its inputs together");
    }

    void check_reshape(Fields& fields, const Node& node) {
        require(fields, node.shape.size() == input(node).size(), "value must have as many elements as the input");
    }

    void read_upsample(Fields& fields, Node& node) {
        const Shape& in = input(node);
        require(fields, in.rank >= 2 && in.rank == node.shape.rank && in.channels == node.shape.channels,
                "input and value must both be [C, L] or [C, H, W], with the same channels");
        node.bilinear = fields.choice("mode", mode_names) == 1;
        const std::vector<float> step = fields.numbers("step", 0, static_cast<double>(max_elements));
        if (step.size() != in.rank - 1) fields.refuse("`step` needs one number a spatial dimension");
        node.step_x = step.back();
        if (in.rank == 3) node.step_y = step[0];
        if (!node.bilinear) return;
        require(fields, in.rank == 3, "bilinear needs [C, H, W]");
        node.align_corners = fields.boolean("align_corners");
    }

    void read_pixel_shuffle(Fields& fields, Node& node) {
        const Shape &in = input(node), &out = node.shape;
        const int64_t f = node.factor = fields.integer("factor", 1, 1 << 14);
        require(fields,
                in.rank == 3 && out.rank == 3 && in.channels == out.channels * f * f && out.height == in.height * f &&
                    out.width == in.width * f,
                "input and value must be [C f f, H, W] and [C, H f, W f]");
    }

    static void require(const Fields& fields, bool condition, const char* rule) {
        if (!condition) fields.refuse("wrong shapes: ", rule);
    }

    // `shape` is the weight's: (C_out, C_in / groups, kernel...)
    void read_weight(Fields& fields, Node& node, const std::vector<int64_t>& shape) {
        node.weight = container_.find(fields.text("weight"));
        const Tensor& tensor = container_.tensors[node.weight];
        int64_t count = 1;
        for (int64_t dim : shape) {
            // No file holds so many, and within this bound nothing overflows.
            if (count > (int64_t{1} << 35) / dim) fields.refuse("has too many weights");
            count *= dim;
        }
        if (tensor.dtype != DType::u8) {
            if (tensor.shape != shape) refuse_shape(fields, tensor);
        } else {
            if (tensor.shape != std::vector<int64_t>{(count + 7) / 8}) refuse_shape(fields, tensor);
            if (count % 8 && tensor.data[tensor.count - 1] >> count % 8)
                fields.refuse("tensor ", quote(tensor.name), ": the unused bits of the last byte are not 0");
        }
        share_weight(fields, node);
    }

    // Nodes that share a weight share what is made of it, which depends on its shape and the groups.
    void share_weight(const Fields& fields, const Node& node) {
        const size_t first = users_[node.weight];
        users_[node.weight] = graph_.nodes.size();
        if (first == none) return;
        const Node& other = graph_.nodes[first];
        if (other.shape.channels != node.shape.channels || input(other).channels != input(node).channels ||
            other.groups != node.groups || other.y.kernel != node.y.kernel || other.x.kernel != node.x.kernel)
            fields.refuse("shares its weight with node ", first, ", which has another shape");
    }

    void read_epilogue(Fields& fields, Node& node) {
        node.scale = find_vector(fields, node, "scale");
        node.shift = find_vector(fields, node, "shift");
        if (fields.find("activation"))
            node.activation = static_cast<Activation>(fields.choice("activation", activation_names));
        if (node.activation == Activation::leaky_relu) node.slope = fields.number("slope", -1e6, 1e6);
    }

    // The tensor index of a scale or shift: one number a channel.
    size_t find_vector(Fields& fields, const Node& node, std::string_view key) {
        if (!fields.find(key)) return none;
        const size_t index = container_.find(fields.text(key));
        const Tensor& tensor = container_.tensors[index];
        if (tensor.dtype == DType::u8 || tensor.shape != std::vector<int64_t>{node.shape.channels})
            refuse_shape(fields, tensor);
        users_[index] = graph_.nodes.size();
        return index;
    }

    [[noreturn]] static void refuse_shape(const Fields& fields, const Tensor& tensor) {
        fields.refuse("tensor ", quote(tensor.name), " has the wrong shape or dtype");
    }

    const Container& container_;
    std::vector<size_t> users_;  // for each tensor, the last node that uses it
    Graph graph_;
};

}  // namespace

Graph read_graph(const Container& container) {
    std::string text = container.graph;
    try {
        return Reader(container).read(parse_json(text.data(), text.data() + text.size()));
    } catch (const Error& error) {
        fail(error.what(), pack_again);
    }
}

}  // namespace pbgen
