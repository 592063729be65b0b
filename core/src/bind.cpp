#include "bind.h"

#include <algorithm>
#include <cmath>

#include "error.h"

namespace pbgen {
namespace {

constexpr int64_t max_size = int64_t{1} << 53;

std::string text(const Shape& shape) {
    std::string words;
    for (size_t i = 0; i < shape.rank; ++i) words += concat(i ? ", " : "", shape[i]);
    return "(" + words + ")";
}

int64_t floor_divide(int64_t a, int64_t b) { return a / b - (a % b && (a < 0) != (b < 0)); }

// Operands are at most 2^53, so only a product can overflow.
int64_t made(const SizeRule& rule, int64_t a, int64_t b) {
    switch (rule.op) {
        case SizeOp::add: return a + b;
        case SizeOp::sub: return a - b;
        case SizeOp::mul: {
            int64_t product;
            return __builtin_mul_overflow(a, b, &product) ? INT64_MAX : product;
        }
        case SizeOp::div: return floor_divide(a, b);
        case SizeOp::mod: return a - floor_divide(a, b) * b;
        case SizeOp::min: return std::min(a, b);
        case SizeOp::max: return std::max(a, b);
        case SizeOp::scaled: {
            const double scaled = std::floor(static_cast<double>(a) * rule.factor);
            return std::abs(scaled) <= static_cast<double>(max_size) ? static_cast<int64_t>(scaled) : INT64_MAX;
        }
    }
    return 0;
}

class Binder {
public:
    Binder(const Graph& graph, const std::vector<Shape>& inputs, int64_t most) : graph_(graph), most_(most) {
        bind_given(inputs);
        for (const SizeRule& rule : graph.sizes) add_size(rule);
        for (size_t i = 0; i < inputs.size(); ++i)
            bound_.shapes.push_back(shape_of(graph.inputs[i].shape, concat("input ", quote(graph.inputs[i].name))));
    }

    const std::vector<Shape>& inputs() const { return bound_.shapes; }

    Bound bind_nodes() {
        for (const Node& node : graph_.nodes) {
            node_ = &node;
            bound_.shapes.push_back(shape_of(node.shape, concat("layer ", quote(node.name))));
            check(node, bound_.shapes.back());
        }
        return std::move(bound_);
    }

private:
    void bind_given(const std::vector<Shape>& inputs) {
        bound_.sizes.assign(graph_.free.size(), 0);
        for (size_t i = 0; i < inputs.size(); ++i) {
            const Input& input = graph_.inputs[i];
            if (input.noise != Noise::given) continue;
            if (inputs[i].rank != input.shape.size())
                fail("input ", quote(input.name), " has ", inputs[i].rank - 1, " dimensions beside the batch instead of ", input.shape.size() - 1);
            for (size_t axis = 0; axis < inputs[i].rank; ++axis) bind_dimension(input, axis, inputs[i][axis]);
        }
    }

    void bind_dimension(const Input& input, size_t axis, int64_t found) {
        const Count& dim = input.shape[axis];
        if (found < 1 || found > max_elements)
            fail("input ", quote(input.name), ": its dimension ", axis, " is ", found, ", outside 1 .. ", max_elements);
        if (dim.known()) {
            if (found != dim.integer)
                fail("input ", quote(input.name), ": its dimension ", axis, " is ", found, " and must be ", dim.integer);
            return;
        }
        int64_t& size = bound_.sizes[dim.size];
        if (size && size != found)
            fail("input ", quote(input.name), ": its dimension ", axis, " is ", found, ", but ",
                 quote(graph_.free[dim.size]), " is ", size, " elsewhere");
        size = found;
    }

    void add_size(const SizeRule& rule) {
        const int64_t a = bound_(rule.a), b = rule.op == SizeOp::scaled ? 1 : bound_(rule.b);
        if (b == 0 && (rule.op == SizeOp::div || rule.op == SizeOp::mod)) fail("a size divides by 0 there");
        const int64_t size = made(rule, a, b);
        if (size < -max_size || size > max_size) fail("a size is outside -2^53 .. 2^53 there");
        bound_.sizes.push_back(size);
    }

    Shape shape_of(const std::vector<Count>& counts, const std::string& where) const {
        Shape shape;
        for (const Count& count : counts) {
            const int64_t dim = bound_(count);
            if (dim < 1) fail(where, ": its dimension ", shape.rank, " would be ", dim, "; give a larger input");
            shape[shape.rank++] = dim;
        }
        check_elements(shape, where);
        return shape;
    }

    void check_elements(const Shape& shape, const std::string& where) const {
        int64_t product = 1;
        for (size_t i = 0; i < shape.rank; product *= shape[i++])
            if (shape[i] > std::min(max_elements, most_ / product))
                fail(where, ": more than ", most_, " numbers in ", text(shape), "; give a smaller input, or work in tiles");
    }

    template <class... Parts>
    [[noreturn]] void refuse(const Parts&... parts) const {
        fail("layer ", quote(node_->name), ": ", parts...);
    }

    void require(bool condition, const char* otherwise) const {
        if (!condition) refuse(otherwise);
    }

    const Shape& input(size_t i = 0) const { return bound_.shapes[node_->inputs[i]]; }

    void check(const Node& node, const Shape& shape) const {
        switch (node.op) {
            case Op::conv:
            case Op::conv_transpose: check_convolution(node, shape); break;
            case Op::linear: check_same_but(shape, shape.rank - 1); break;
            case Op::map: check_broadcast(0, shape); break;
            case Op::reduce: return check_reduce(node, shape);
            case Op::constant:
            case Op::range: return;
            case Op::reshape: return require_size(shape);
            case Op::permute:
                for (size_t i = 0; i < shape.rank; ++i) require(shape[i] == input()[node.axes[i]], "permutes another shape");
                return;
            case Op::expand: return check_broadcast(0, shape);
            case Op::slice: return check_slice(node, shape);
            case Op::concat: return check_concat(node, shape);
            case Op::pad: return check_pad(node, shape);
            case Op::take: return check_take(node, shape);
            case Op::resample: return check_same_but_axes(node, shape);
            case Op::pool: return check_pool(node, shape);
            case Op::adaptive_pool: return check_same_but_axes(node, shape);
            case Op::matmul: return check_matmul(shape);
        }
        if (node.is_layer()) check_broadcast(node.own_inputs(), shape);
    }

    void require_size(const Shape& shape) const {
        if (shape.size() == input().size()) return;
        const size_t read = node_->inputs[0];
        if (graph_.inputs.size() > 1 && read < graph_.inputs.size() && shape.rank == input().rank) refuse_beside(read, shape);
        refuse("cannot see ", text(input()), " as ", text(shape));
    }

    // An input that is read with as many dimensions, and others, is not as large as the sizes of the others make it.
    [[noreturn]] void refuse_beside(size_t read, const Shape& shape) const {
        std::string others;
        for (size_t i = 0; i < graph_.inputs.size(); ++i)
            if (i != read && graph_.inputs[i].noise == Noise::given)
                others += concat(others.empty() ? "" : " and ", quote(graph_.inputs[i].name), " of ", text(bound_.shapes[i]));
        fail("input ", quote(graph_.inputs[read].name), ": has the shape ", text(input()), "; beside ", others, " it must be ",
             text(shape));
    }

    void check_broadcast(size_t first, const Shape& shape) const {
        for (size_t i = first; i < node_->inputs.size(); ++i) {
            const Shape& in = input(i);
            bool fits = in.rank <= shape.rank;
            for (size_t k = 0; fits && k < in.rank; ++k) fits = in[k] == 1 || in[k] == shape[shape.rank - in.rank + k];
            if (!fits) refuse(text(in), " does not broadcast to ", text(shape), hint);
        }
    }

    void check_same_but(const Shape& shape, size_t axis) const {
        for (size_t i = 0; i < shape.rank; ++i)
            if (i != axis && shape[i] != input()[i]) refuse("makes ", text(shape), " of ", text(input()));
    }

    void check_same_but_axes(const Node& node, const Shape& shape) const {
        for (size_t i = 0; i < shape.rank; ++i)
            if (shape[i] != input()[i] && std::find(node.axes.begin(), node.axes.end(), i) == node.axes.end())
                refuse("makes ", text(shape), " of ", text(input()));
    }

    void check_convolution(const Node& node, const Shape& shape) const {
        for (size_t i = 0; i < node.geometry.size(); ++i) {
            const Geometry& g = node.geometry[i];
            const int64_t in = input()[2 + i], out = shape[2 + i], reach = g.dilation * (g.kernel - 1);
            const int64_t longest = node.op == Op::conv_transpose
                                        ? (in - 1) * g.stride - g.padding + reach + 1 + std::max(g.stride, g.dilation)
                                        : (in + 2 * g.padding) / g.stride + 1;
            if (out > longest) refuse("makes ", text(shape), ", more than its attributes can make of ", text(input()));
        }
    }

    void check_reduce(const Node& node, const Shape& shape) const {
        std::vector<Shape> shapes;
        for (size_t i = 0; i < node.inputs.size(); ++i) shapes.push_back(input(i));
        const Shape all = broadcast(shapes);
        check_broadcast(0, all);
        bool fits = all.rank == shape.rank;
        for (size_t i = 0; fits && i < shape.rank; ++i) {
            const bool reduced = std::find(node.axes.begin(), node.axes.end(), i) != node.axes.end();
            fits = shape[i] == (reduced ? 1 : all[i]);
        }
        if (!fits) refuse("makes ", text(shape), " of ", text(all));
        check_elements(all, concat("layer ", quote(node.name)));
    }

    void check_slice(const Node& node, const Shape& shape) const {
        check_same_but(shape, node.axis());
        const int64_t first = bound_(node.first), in = input()[node.axis()];
        const int64_t last = first + (shape[node.axis()] - 1) * node.step;
        if (first < 0 || first >= in || last < 0 || last >= in)
            refuse("takes numbers ", first, " to ", last, " of ", in, "; give a larger input");
    }

    void check_concat(const Node& node, const Shape& shape) const {
        int64_t sum = 0;
        for (size_t i = 0; i < node.inputs.size(); ++i) {
            for (size_t k = 0; k < shape.rank; ++k)
                if (k != node.axis() && input(i)[k] != shape[k])
                    refuse("joins values that do not fit: ", text(input()), " and ", text(input(i)), hint);
            sum += input(i)[node.axis()];
        }
        require(sum == shape[node.axis()], "value is not as long as its inputs together");
    }

    void check_pad(const Node& node, const Shape& shape) const {
        for (size_t i = 0; i < shape.rank; ++i) {
            const int64_t before = bound_(node.before[i]), in = input()[i];
            if (before < 0 || before > max_elements || shape[i] - before - in < 0)
                refuse("pads ", text(input()), " to ", text(shape));
            const int64_t most = std::max(before, shape[i] - before - in);
            if ((node.padding == Padding::reflect && most >= in) || (node.padding == Padding::circular && most > in))
                refuse("pads ", in, " pixels with ", most, " of their own; give a larger input");
        }
    }

    void check_take(const Node& node, const Shape& shape) const {
        const Shape &values = input(), &indices = input(1);
        const size_t axis = node.axis();
        for (size_t i = 0; i < shape.rank; ++i) {
            const int64_t expected = i < axis ? values[i] : i < axis + indices.rank ? indices[i - axis] : values[i - indices.rank + 1];
            if (shape[i] != expected) refuse("makes ", text(shape), " of ", text(values), " and ", text(indices));
        }
    }

    void check_pool(const Node& node, const Shape& shape) const {
        const size_t first = shape.rank - node.windows.size();
        for (size_t i = 0; i < first; ++i)
            if (shape[i] != input()[i]) refuse("makes ", text(shape), " of ", text(input()));
        for (size_t i = 0; i < node.windows.size(); ++i)
            if (!holds_pixels(node.windows[i], input()[first + i], shape[first + i]))
                refuse("has windows without a pixel in ", text(input()), "; give a larger input");
    }

    // Whether every window does. Those that begin before the input are few: the padding is bounded.
    static bool holds_pixels(const Window& window, int64_t in, int64_t out) {
        if ((out - 1) * window.stride - window.padding >= in) return false;
        for (int64_t o = 0, begin; o < out && (begin = o * window.stride - window.padding) < 0; ++o) {
            const int64_t tap = (-begin + window.dilation - 1) / window.dilation;
            if (tap >= window.kernel || begin + tap * window.dilation >= in) return false;
        }
        return true;
    }

    void check_matmul(const Shape& shape) const {
        const Shape &a = input(), &b = input(1);
        bool fits = a[a.rank - 2] == shape[shape.rank - 2] && b[b.rank - 1] == shape[shape.rank - 1] && a[a.rank - 1] == b[b.rank - 2];
        for (const Shape* in : {&a, &b})
            for (size_t k = 0; k + 2 < in->rank; ++k) fits &= (*in)[k] == 1 || (*in)[k] == shape[shape.rank - in->rank + k];
        if (!fits) refuse("makes ", text(shape), " of ", text(a), " and ", text(b), hint);
    }

    static constexpr const char* hint = "; this network may need sizes that are multiples of some number";

    const Graph& graph_;
    const int64_t most_;
    const Node* node_ = nullptr;
    Bound bound_;
};

}  // namespace

Program Bound::program(const GraphProgram& program) const {
    Program result{program.inputs, {}, program.steps};
    for (const Number& number : program.numbers) result.numbers.push_back((*this)(number));
    return result;
}

Bound bind(const Graph& graph, const std::vector<Shape>& inputs, int64_t most) {
    Binder binder(graph, inputs, most);
    for (size_t i = 0; i < inputs.size(); ++i)
        if (inputs[i] != binder.inputs()[i])
            fail("input ", quote(graph.inputs[i].name), ": has the shape ", text(inputs[i]), "; it must be ", text(binder.inputs()[i]));
    return binder.bind_nodes();
}

std::vector<Shape> complete(const Graph& graph, std::vector<Shape> inputs) { return Binder(graph, inputs, most_in_tiles).inputs(); }

Shape broadcast(const std::vector<Shape>& shapes) {
    Shape all;
    for (const Shape& shape : shapes) all.rank = std::max(all.rank, shape.rank);
    for (const Shape& shape : shapes)
        for (size_t i = 0; i < shape.rank; ++i) {
            int64_t& dim = all[all.rank - shape.rank + i];
            dim = std::max(dim, shape[i]);
        }
    return all;
}

Strides broadcast(const Shape& shape, const Strides& from, const Shape& to) {
    Strides strides;
    for (size_t i = 0; i < shape.rank; ++i) strides[to.rank - shape.rank + i] = shape[i] == 1 ? 0 : from[i];
    return strides;
}

}  // namespace pbgen
