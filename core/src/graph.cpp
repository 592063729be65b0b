#include "graph.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <string_view>

#include "fields.h"

namespace pbgen {
namespace {

constexpr int64_t version = 2;
constexpr int64_t max_attribute = int64_t{1} << 20;
constexpr int64_t max_integer = int64_t{1} << 53;
constexpr double max_number = 3.4028234663852886e38;

constexpr std::string_view op_names[] = {
    "conv",    "conv_transpose", "linear", "map",    "reduce", "constant", "range",    "reshape",       "permute",
    "expand",  "slice",          "concat", "pad",    "take",   "resample", "pool",     "adaptive_pool", "matmul"};
constexpr std::string_view size_op_names[] = {"+", "-", "*", "//", "%", "min", "max", "scaled"};
constexpr std::string_view noise_names[] = {"normal", "uniform"};
constexpr std::string_view instruction_names[] = {
    "neg", "abs",  "sign",    "sqrt", "rsqrt", "exp",   "expm1", "log",  "log1p", "sin", "cos",
    "tanh", "sigmoid", "erf", "floor", "ceil", "round", "relu",  "add",  "sub",   "mul", "div",
    "pow", "max",  "min",     "mod",  "leaky", "lt",    "le",    "gt",   "ge",    "eq",  "ne",
    "where"};
constexpr std::string_view reduction_names[] = {"sum", "mean", "max", "min"};
constexpr std::string_view padding_names[] = {"constant", "reflect", "replicate", "circular"};
constexpr std::string_view resampling_names[] = {"nearest", "nearest-exact", "linear", "cubic"};
constexpr std::string_view pool_names[] = {"max", "mean"};

size_t operands(Instruction instruction) {
    if (instruction == Instruction::where) return 3;
    return instruction >= Instruction::add ? 2 : 1;
}

bool is_name(std::string_view text) {
    const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
    const auto within = [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '_'; };
    return !text.empty() && letter(text[0]) && std::all_of(text.begin(), text.end(), within);
}

class Reader {
public:
    explicit Reader(const Container& container) : container_(container), users_(container.tensors.size(), none) {}

    Graph read(const Json& json) {
        Fields fields(json, "graph");
        const int64_t found = fields.integer("version", 0, INT64_MAX);
        if (found != version) fields.refuse("has version ", found, "; this engine reads version ", version);
        read_inputs(fields);
        for (const Json& size : fields.list("sizes")) read_size(fields, size);
        read_noise_shapes(fields);
        for (const Json& node : fields.list("nodes")) read_node(node);
        read_outputs(fields);
        fields.refuse_others();
        for (size_t i = 0; i < users_.size(); ++i)
            if (users_[i] == none) fail("tensor ", quote(container_.tensors[i].name), " is used by no node");
        return std::move(graph_);
    }

private:
    void read_inputs(Fields& fields) {
        const std::vector<Json>& inputs = fields.list("inputs");
        require(fields, !inputs.empty() && inputs.size() <= max_ends, "there must be 1 to 64 inputs");
        for (const Json& input : inputs) read_input(input);
        const auto drawn = [](const Input& input) { return input.noise != Noise::given; };
        if (std::all_of(graph_.inputs.begin(), graph_.inputs.end(), drawn)) fields.refuse("has no input but noise");
    }

    void read_input(const Json& json) {
        Fields fields(json, concat("input ", graph_.inputs.size()));
        Input input;
        input.name = fields.text("name");
        fields.rename(concat("input ", quote(input.name)));
        for (const Input& other : graph_.inputs) require(fields, other.name != input.name, "another has its name");
        if (fields.has("integer")) input.integer = fields.boolean("integer");
        if (fields.has("noise")) input.noise = static_cast<Noise>(1 + fields.choice("noise", noise_names));
        for (const Json& dim : fields.list("shape"))
            if (input.noise == Noise::given && dim.is(Json::Type::string) && find_size(dim.text) == none)
                add_size(fields, dim.text, true);
        if (input.noise == Noise::given) read_input_shape(fields, input);
        fields.refuse_others();
        graph_.inputs.push_back(std::move(input));
    }

    void read_input_shape(Fields& fields, Input& input) {
        input.shape = read_shape(fields);
        require(fields, is_one(input.shape[0]), "its shape must begin with 1, the batch");
    }

    // What noise has as sizes hangs on what is given.
    void read_noise_shapes(Fields& fields) {
        const std::vector<Json>& inputs = fields.list("inputs");
        for (size_t i = 0; i < inputs.size(); ++i) {
            Fields input(inputs[i], concat("input ", quote(graph_.inputs[i].name)));
            if (graph_.inputs[i].noise != Noise::given) read_input_shape(input, graph_.inputs[i]);
        }
    }

    void read_size(const Fields& fields, const Json& json) {
        const std::vector<Json>& parts = fields.list("sizes", json);
        require(fields, parts.size() == 4, "a size has a name, an operator and two operands");
        const std::string_view name = fields.text("sizes", parts[0]);
        SizeRule rule;
        rule.op = static_cast<SizeOp>(fields.choice("operator of a size", parts[1], size_op_names));
        rule.a = count(fields, "sizes", parts[2], -max_integer, max_integer);
        if (rule.op == SizeOp::scaled)
            rule.factor = fields.number("sizes", parts[3], -max_number, max_number);
        else
            rule.b = count(fields, "sizes", parts[3], -max_integer, max_integer);
        add_size(fields, name, false);
        graph_.sizes.push_back(rule);
    }

    void add_size(const Fields& fields, std::string_view name, bool free) {
        require(fields, is_name(name), "the name of a size consists of letters, digits and _, and begins with a letter");
        if (find_size(name) != none) fields.refuse("has two sizes ", quote(name));
        if (free) graph_.free.emplace_back(name);
        sizes_.emplace(name, sizes_.size());
    }

    size_t find_size(std::string_view name) const {
        const auto at = sizes_.find(name);
        return at == sizes_.end() ? none : at->second;
    }

    Count count(const Fields& fields, std::string_view key, const Json& json, int64_t low, int64_t high) const {
        if (!json.is(Json::Type::string)) return {fields.integer(key, json, low, high)};
        const size_t size = find_size(json.text);
        if (size == none) fields.refuse(quote(key), " names the size ", quote(json.text), ", which nothing before it makes");
        return {0, size};
    }

    Number number(const Fields& fields, std::string_view key, const Json& json) const {
        if (json.is(Json::Type::string)) return {0, count(fields, key, json, 0, 0).size};
        return {static_cast<float>(fields.number(key, json, -max_number, max_number))};
    }

    std::vector<Count> read_shape(Fields& fields) const {
        std::vector<Count> shape;
        for (const Json& dim : fields.list("shape")) shape.push_back(count(fields, "shape", dim, 1, max_elements));
        check_shape(fields, shape);
        return shape;
    }

    static void check_shape(const Fields& fields, const std::vector<Count>& shape) {
        if (shape.empty() || shape.size() > max_rank) fields.refuse("`shape` must have 1 to ", max_rank, " dimensions");
        int64_t known = 1;
        for (const Count& dim : shape)
            if (dim.known() && (known *= dim.integer) > max_elements)
                fields.refuse("`shape` has more than ", max_elements, " numbers");
    }

    void read_node(const Json& json) {
        const size_t number = graph_.nodes.size();
        Fields fields(json, concat("node ", number));
        Node node;
        node.name = fields.text("name");
        fields.rename(concat("node ", number, " ", quote(node.name)));
        node.op = static_cast<Op>(fields.choice("op", op_names));
        for (int64_t value : fields.integers("inputs", 0, INT64_MAX)) {
            if (static_cast<uint64_t>(value) >= graph_.values())
                fields.refuse("reads value ", value, ", which no node before it makes");
            node.inputs.push_back(static_cast<size_t>(value));
        }
        node.shape = read_shape(fields);
        read_attributes(fields, node);
        fields.refuse_others();
        graph_.nodes.push_back(std::move(node));
    }

    void read_attributes(Fields& fields, Node& node) {
        switch (node.op) {
            case Op::conv:
            case Op::conv_transpose: return read_convolution(fields, node);
            case Op::linear: return read_linear(fields, node);
            case Op::map: return read_map(fields, node);
            case Op::reduce: return read_reduce(fields, node);
            case Op::constant: return read_constant(fields, node);
            case Op::range: return read_range(fields, node);
            case Op::reshape: return expect_inputs(fields, node, 1);
            case Op::permute: return read_permute(fields, node);
            case Op::expand: return expect_same_rank(fields, node);
            case Op::slice: return read_slice(fields, node);
            case Op::concat: return read_concat(fields, node);
            case Op::pad: return read_pad(fields, node);
            case Op::take: return read_take(fields, node);
            case Op::resample: return read_resample(fields, node);
            case Op::pool: return read_pool(fields, node);
            case Op::adaptive_pool: return read_adaptive_pool(fields, node);
            case Op::matmul: return read_matmul(fields, node);
        }
    }

    const std::vector<Count>& input(const Node& node, size_t i = 0) const { return graph_.shape(node.inputs[i]); }

    static void require(const Fields& fields, bool condition, const char* otherwise) {
        if (!condition) fields.refuse(otherwise);
    }

    static bool is_one(const Count& count) { return count.known() && count.integer == 1; }

    void expect_inputs(const Fields& fields, const Node& node, size_t inputs) const {
        if (node.inputs.size() != inputs) fields.refuse("reads ", node.inputs.size(), " values instead of ", inputs);
    }

    void expect_same_rank(const Fields& fields, const Node& node) const {
        expect_inputs(fields, node, 1);
        require(fields, input(node).size() == node.shape.size(), "input and value must have as many dimensions");
    }

    int64_t channels(const Fields& fields, const Count& count) const {
        require(fields, count.known(), "the number of a layer's channels must be an integer");
        return count.integer;
    }

    // What is not said is `least` in each dimension.
    static std::vector<int64_t> geometry(Fields& fields, std::string_view key, size_t dims, int64_t least, int64_t most) {
        return fields.has(key) ? fields.integers(key, least, most) : std::vector<int64_t>(dims, least);
    }

    void read_convolution(Fields& fields, Node& node) {
        const bool computed = !fields.has("weight");
        require(fields, node.inputs.size() >= (computed ? 2 : 1), "reads too few values");
        const size_t rank = node.shape.size(), spatial = rank - 2;
        require(fields, (rank == 3 || rank == 4) && input(node).size() == rank && is_one(node.shape[0]) &&
                        is_one(input(node)[0]),
                "input and value must both be [1, C, L] or [1, C, H, W]");
        const std::vector<int64_t> kernel = fields.integers("kernel", 1, max_attribute);
        const size_t dims = kernel.size();
        const std::vector<int64_t> stride = geometry(fields, "stride", dims, 1, max_attribute);
        const std::vector<int64_t> padding = geometry(fields, "padding", dims, 0, INT64_MAX);
        const std::vector<int64_t> dilation = geometry(fields, "dilation", dims, 1, max_attribute);
        for (const auto* numbers : {&kernel, &stride, &padding, &dilation})
            require(fields, numbers->size() == spatial,
                    "`kernel`, `stride`, `padding` and `dilation` need one integer a spatial dimension");
        for (size_t i = 0; i < spatial; ++i) {
            const int64_t most = node.op == Op::conv_transpose ? dilation[i] * (kernel[i] - 1) : max_attribute;
            if (padding[i] > most) fields.refuse("`padding` has ", padding[i], ", outside 0 .. ", most);
            node.geometry.push_back({kernel[i], stride[i], padding[i], dilation[i]});
        }
        const int64_t in = channels(fields, input(node)[1]), out = channels(fields, node.shape[1]);
        if (fields.has("groups")) node.groups = fields.integer("groups", 1, max_attribute);
        if (in % node.groups || out % node.groups)
            fields.refuse("`groups` ", node.groups, " does not divide ", in, " and ", out, " channels");
        std::vector<int64_t> shape = {out, in / node.groups};
        shape.insert(shape.end(), kernel.begin(), kernel.end());
        if (computed)
            check_computed_weight(fields, node, shape);
        else
            read_weight(fields, node, shape);
        read_epilogue(fields, node, out);
    }

    void check_computed_weight(const Fields& fields, const Node& node, const std::vector<int64_t>& shape) const {
        const std::vector<Count>& weight = input(node, 1);
        const auto same = [](const Count& a, int64_t b) { return a.known() && a.integer == b; };
        require(fields, std::equal(weight.begin(), weight.end(), shape.begin(), shape.end(), same),
                "its second input must be [C_out, C_in / groups, kernel...]");
    }

    void read_linear(Fields& fields, Node& node) {
        require(fields, !node.inputs.empty(), "reads no value");
        require(fields, input(node).size() == node.shape.size(), "input and value must have as many dimensions");
        const int64_t in = channels(fields, input(node).back()), out = channels(fields, node.shape.back());
        node.geometry = {{}};
        read_weight(fields, node, {out, in});
        read_epilogue(fields, node, out);
    }

    // The index of a tensor of the node's own, which bears its name, or of another.
    size_t find_tensor(Fields& fields, const Node& node, std::string_view key) const {
        const Json& name = fields.get(key);
        const bool own = name.is(Json::Type::boolean) && name.boolean;
        if (!own) return container_.find(fields.text(key, name));
        return container_.find(node.op == Op::constant ? node.name : concat(node.name, ".", key));
    }

    void read_weight(Fields& fields, Node& node, const std::vector<int64_t>& shape) {
        node.weight = find_tensor(fields, node, "weight");
        const Tensor& tensor = container_.tensors[node.weight];
        int64_t weights = 1;
        for (int64_t dim : shape) {
            // No file holds so many, and within this bound nothing overflows.
            if (weights > (int64_t{1} << 35) / dim) fields.refuse("has too many weights");
            weights *= dim;
        }
        if (tensor.dtype != DType::u8) {
            if (tensor.shape != shape) refuse_shape(fields, tensor);
        } else {
            check_planes(fields, tensor, weights);
        }
        share_weight(fields, node);
    }

    void check_planes(const Fields& fields, const Tensor& tensor, int64_t weights) const {
        const std::vector<int64_t>& shape = tensor.shape;
        const int64_t row = (weights + 7) / 8, planes = shape.size() == 2 ? shape[0] : 1;
        if (shape.empty() || shape.size() > 2 || shape.back() != row) refuse_shape(fields, tensor);
        if (shape.size() == 2 && (planes < 2 || planes > max_planes))
            fields.refuse("tensor ", quote(tensor.name), " has ", planes, " planes; the shape of 2 to ", max_planes,
                          " planes is [planes, ", row, "], that of one [", row, "]");
        for (int64_t plane = 1; weights % 8 && plane <= planes; ++plane)
            if (tensor.data[plane * row - 1] >> weights % 8)
                fields.refuse("tensor ", quote(tensor.name), ": the unused bits of ",
                              planes == 1 ? "the" : "a plane's", " last byte are not 0");
    }

    // Nodes that share a weight share what is made of it, which depends on its shape and the groups.
    void share_weight(const Fields& fields, const Node& node) {
        const size_t first = users_[node.weight];
        users_[node.weight] = graph_.nodes.size();
        if (first == none) return;
        const Node& other = graph_.nodes[first];
        const auto same = [](const Geometry& a, const Geometry& b) { return a.kernel == b.kernel; };
        const auto channels_of = [&](const Node& of) {
            const std::vector<Count>& in = input(of);
            return of.op == Op::linear ? std::make_pair(in.back().integer, of.shape.back().integer)
                                       : std::make_pair(in[1].integer, of.shape[1].integer);
        };
        if (!other.is_layer() || channels_of(other) != channels_of(node) || other.groups != node.groups ||
            !std::equal(other.geometry.begin(), other.geometry.end(), node.geometry.begin(), node.geometry.end(), same))
            fields.refuse("shares its weight with node ", first, ", which has another shape");
    }

    void read_epilogue(Fields& fields, Node& node, int64_t outputs) {
        node.scale = find_vector(fields, node, "scale", outputs);
        node.shift = find_vector(fields, node, "shift", outputs);
        const size_t more = node.inputs.size() - node.own_inputs();
        if (fields.has("program"))
            read_program(fields, node, 1 + more);
        else
            require(fields, more == 0, "reads values for which it has no `program`");
    }

    // The tensor index of a scale or shift: one number a channel.
    size_t find_vector(Fields& fields, const Node& node, std::string_view key, int64_t outputs) {
        if (!fields.has(key)) return none;
        const size_t index = find_tensor(fields, node, key);
        const Tensor& tensor = container_.tensors[index];
        if (tensor.dtype == DType::u8 || tensor.shape != std::vector<int64_t>{outputs}) refuse_shape(fields, tensor);
        users_[index] = graph_.nodes.size();
        return index;
    }

    void read_program(Fields& fields, Node& node, size_t inputs) {
        GraphProgram& program = node.program;
        require(fields, inputs <= max_program_inputs, "a program reads at most 16 values");
        program.inputs = inputs;
        if (fields.has("numbers"))
            for (const Json& json : fields.list("numbers")) program.numbers.push_back(number(fields, "numbers", json));
        require(fields, program.numbers.size() <= max_program_numbers, "a program has at most 256 numbers");
        const std::vector<Json>& steps = fields.list("program");
        require(fields, !steps.empty() && steps.size() <= max_program_steps, "a program has 1 to 256 instructions");
        for (const Json& json : steps) {
            const std::vector<Json>& parts = fields.list("program", json);
            require(fields, !parts.empty(), "an instruction has a name and operands");
            Step step{static_cast<Instruction>(fields.choice("instruction", parts[0], instruction_names)), {}};
            require(fields, parts.size() == 1 + operands(step.instruction), "an instruction has too many operands, or too few");
            const auto known = static_cast<int64_t>(inputs + program.numbers.size() + program.steps.size());
            for (size_t i = 1; i < parts.size(); ++i)
                step.operands[i - 1] = static_cast<uint16_t>(fields.integer("program", parts[i], 0, known - 1));
            program.steps.push_back(step);
        }
    }

    void read_map(Fields& fields, Node& node) {
        require(fields, node.inputs.size() < max_program_inputs, "reads more than 16 values");
        read_program(fields, node, node.inputs.size());
        for (size_t i = 0; i < node.inputs.size(); ++i)
            require(fields, input(node, i).size() <= node.shape.size(), "an input has more dimensions than the value");
    }

    void read_reduce(Fields& fields, Node& node) {
        require(fields, !node.inputs.empty() && node.inputs.size() < max_program_inputs, "reads no value, or more than 16");
        node.reduction = static_cast<Reduction>(fields.choice("kind", reduction_names));
        read_axes(fields, node, node.shape.size());
        if (fields.has("program")) return read_program(fields, node, node.inputs.size());
        expect_inputs(fields, node, 1);
        node.program.inputs = 1;
    }

    // Some of `rank` dimensions, ascending.
    void read_axes(Fields& fields, Node& node, size_t rank) {
        for (int64_t axis : fields.integers("axes", 0, static_cast<int64_t>(rank) - 1)) {
            require(fields, node.axes.empty() || node.axes.back() < static_cast<size_t>(axis), "`axes` must ascend");
            node.axes.push_back(static_cast<size_t>(axis));
        }
        require(fields, !node.axes.empty(), "`axes` is empty");
    }

    void read_axis(Fields& fields, Node& node, size_t rank) {
        node.axes = {static_cast<size_t>(fields.integer("axis", 0, static_cast<int64_t>(rank) - 1))};
    }

    void read_constant(Fields& fields, Node& node) {
        expect_inputs(fields, node, 0);
        node.tensor = find_tensor(fields, node, "tensor");
        const Tensor& tensor = container_.tensors[node.tensor];
        const auto same = [](const Count& a, int64_t b) { return a.known() && a.integer == b; };
        if (tensor.dtype == DType::u8 ||
            !std::equal(node.shape.begin(), node.shape.end(), tensor.shape.begin(), tensor.shape.end(), same))
            refuse_shape(fields, tensor);
        users_[node.tensor] = graph_.nodes.size();
    }

    void read_range(Fields& fields, Node& node) {
        expect_inputs(fields, node, 0);
        require(fields, node.shape.size() == 1, "value must have one dimension");
        node.start = number(fields, "start", fields.get("start"));
        node.stride = number(fields, "step", fields.get("step"));
    }

    void read_permute(Fields& fields, Node& node) {
        expect_same_rank(fields, node);
        const auto rank = static_cast<int64_t>(node.shape.size());
        std::vector<bool> seen(node.shape.size());
        for (int64_t axis : fields.integers("axes", 0, rank - 1)) {
            require(fields, !seen[static_cast<size_t>(axis)], "`axes` names a dimension twice");
            seen[static_cast<size_t>(axis)] = true;
            node.axes.push_back(static_cast<size_t>(axis));
        }
        require(fields, node.axes.size() == node.shape.size(), "`axes` must name every dimension");
    }

    void read_slice(Fields& fields, Node& node) {
        expect_same_rank(fields, node);
        read_axis(fields, node, node.shape.size());
        node.first = count(fields, "start", fields.get("start"), 0, max_elements);
        node.step = fields.integer("step", -max_elements, max_elements);
        require(fields, node.step != 0, "`step` is 0");
    }

    void read_concat(Fields& fields, Node& node) {
        require(fields, node.inputs.size() >= 2, "reads fewer than two values");
        read_axis(fields, node, node.shape.size());
        for (size_t i = 0; i < node.inputs.size(); ++i)
            require(fields, input(node, i).size() == node.shape.size(), "inputs and value must have as many dimensions");
    }

    void read_pad(Fields& fields, Node& node) {
        expect_same_rank(fields, node);
        for (const Json& json : fields.list("before"))
            node.before.push_back(count(fields, "before", json, 0, max_elements));
        require(fields, node.before.size() == node.shape.size(), "`before` needs a count a dimension");
        node.padding = static_cast<Padding>(fields.choice("mode", padding_names));
        if (node.padding == Padding::constant) node.value = read_float(fields, "value");
    }

    static float read_float(Fields& fields, std::string_view key) {
        return static_cast<float>(fields.number(key, -max_number, max_number));
    }

    void read_take(Fields& fields, Node& node) {
        expect_inputs(fields, node, 2);
        read_axis(fields, node, input(node).size());
        require(fields, input(node).size() + input(node, 1).size() - 1 == node.shape.size(),
                "value has not as many dimensions as its inputs make");
    }

    void read_resample(Fields& fields, Node& node) {
        expect_same_rank(fields, node);
        node.resampling = static_cast<Resampling>(fields.choice("mode", resampling_names));
        read_axes(fields, node, node.shape.size());
        for (const Json& json : fields.list("step"))
            node.steps.push_back(json.is(Json::Type::null)
                                     ? -1
                                     : static_cast<float>(fields.number("step", json, 0, static_cast<double>(max_elements))));
        require(fields, node.steps.size() == node.axes.size(), "`step` needs a number or null an axis");
        if (node.resampling >= Resampling::linear) node.align_corners = fields.boolean("align_corners");
    }

    void read_pool(Fields& fields, Node& node) {
        expect_same_rank(fields, node);
        node.mean = fields.choice("kind", pool_names) == 1;
        const std::vector<int64_t> kernel = fields.integers("kernel", 1, max_attribute);
        const size_t dims = kernel.size();
        const std::vector<int64_t> stride = geometry(fields, "stride", dims, 1, max_attribute);
        const std::vector<int64_t> padding = geometry(fields, "padding", dims, 0, max_attribute);
        const std::vector<int64_t> dilation = geometry(fields, "dilation", dims, 1, max_attribute);
        for (const auto* numbers : {&stride, &padding, &dilation})
            require(fields, numbers->size() == kernel.size(), "`kernel`, `stride`, `padding` and `dilation` must be as long");
        require(fields, !kernel.empty() && kernel.size() <= node.shape.size(), "`kernel` has too many integers, or none");
        for (size_t i = 0; i < kernel.size(); ++i) {
            require(fields, padding[i] <= dilation[i] * (kernel[i] - 1), "`padding` is larger than the window");
            node.windows.push_back({kernel[i], stride[i], padding[i], dilation[i]});
        }
        if (node.mean) node.padded = fields.boolean("padded");
    }

    void read_adaptive_pool(Fields& fields, Node& node) {
        expect_same_rank(fields, node);
        node.mean = fields.choice("kind", pool_names) == 1;
        read_axes(fields, node, node.shape.size());
        require(fields, node.axes.back() - node.axes.front() == node.axes.size() - 1, "`axes` must be neighbours");
    }

    void read_matmul(Fields& fields, Node& node) {
        expect_inputs(fields, node, 2);
        const size_t a = input(node).size(), b = input(node, 1).size();
        require(fields, std::min(a, b) >= 2 && std::max(a, b) == node.shape.size(),
                "inputs must be matrices, and the value have as many dimensions as the larger");
    }

    void read_outputs(Fields& fields) {
        const std::vector<Json>& outputs = fields.list("outputs");
        require(fields, !outputs.empty() && outputs.size() <= max_ends, "there must be 1 to 64 outputs");
        for (const Json& json : outputs) {
            const std::vector<Json>& parts = fields.list("outputs", json);
            require(fields, parts.size() == 2, "an output has a name and a value");
            const auto last = static_cast<int64_t>(graph_.values()) - 1;
            Graph::Output output{std::string(fields.text("outputs", parts[0])),
                                 static_cast<size_t>(fields.integer("outputs", parts[1], 0, last))};
            for (const Graph::Output& other : graph_.outputs)
                require(fields, other.name != output.name, "two outputs have the same name");
            require(fields, is_one(graph_.shape(output.value)[0]), "an output's shape must begin with 1, the batch");
            graph_.outputs.push_back(std::move(output));
        }
    }

    [[noreturn]] static void refuse_shape(const Fields& fields, const Tensor& tensor) {
        fields.refuse("tensor ", quote(tensor.name), " has the wrong shape or dtype");
    }

    const Container& container_;
    std::vector<size_t> users_;  // for each tensor, the last node that uses it
    std::map<std::string, size_t, std::less<>> sizes_;  // by name; free ones come first
    Graph graph_;
};

}  // namespace

Graph read_graph(const Container& container) {
    const About about("", pack_again);
    std::string text = container.graph;
    return Reader(container).read(parse_json(text.data(), text.data() + text.size()));
}

}  // namespace pbgen
