#include "locality.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "error.h"

namespace pbgen {
namespace {

constexpr int64_t most_align = int64_t{1} << 20;

class Tracer {
public:
    Tracer(const Graph& graph, const Bound& bound) : graph_(graph), bound_(bound) {
        locality_.align.assign(graph.free.size(), 1);
        find_sources();
        for (size_t i = 0; i < graph.inputs.size(); ++i) locality_.inputs.push_back(add(input_traces(graph.inputs[i])));
        for (const Node& node : graph.nodes) {
            node_ = &node;
            shape_ = &bound.shapes[traces_.size()];
            add(of(node));
        }
        for (const Graph::Output& output : graph.outputs) locality_.outputs.push_back(traces_[output.value]);
    }

    Locality take() { return std::move(locality_); }

private:
    template <class... Parts>
    [[noreturn]] void refuse(const Parts&... parts) const {
        fail("layer ", quote(node_->name), " ", parts..., ", so it cannot be made in tiles");
    }
    [[noreturn]] void refuse_all() const { refuse("makes each pixel of all of the picture"); }

    // Which free size each size hangs on alone; graph.free.size() where on several, none where on none.
    void find_sources() {
        for (size_t i = 0; i < graph_.free.size(); ++i) sources_.push_back(i);
        for (const SizeRule& rule : graph_.sizes) {
            const size_t a = source(rule.a), b = rule.op == SizeOp::scaled ? none : source(rule.b);
            sources_.push_back(a == none ? b : b == none || a == b ? a : graph_.free.size());
        }
    }

    size_t source(const Count& count) const { return count.known() ? none : sources_[count.size]; }

    Traces input_traces(const Input& input) const {
        Traces traces;
        for (const Count& count : input.shape) {
            Trace trace{source(count)};
            if (trace.size == graph_.free.size()) fail("input ", quote(input.name), " hangs on several sizes, so it cannot be cut into tiles");
            if (trace.size != none) trace = scaled(trace, bound_.sizes[trace.size], bound_(count));
            traces.push_back(trace);
        }
        return traces;
    }

    const Traces& add(Traces traces) {
        for (const Trace& trace : traces) {
            if (trace.size == none) continue;
            int64_t& align = locality_.align[trace.size];
            align = std::lcm(align, trace.numerator);
            if (align > most_align) fail("moves in steps that are too large, so it cannot be made in tiles");
        }
        traces_.push_back(std::move(traces));
        return traces_.back();
    }

    static Trace scaled(Trace trace, int64_t times, int64_t by) {
        const int64_t first = std::gcd(trace.numerator, by), second = std::gcd(times, trace.denominator);
        trace.numerator = trace.numerator / first * (times / second);
        trace.denominator = trace.denominator / second * (by / first);
        const int64_t common = std::gcd(trace.numerator, trace.denominator);
        trace.numerator /= common;
        trace.denominator /= common;
        if (std::max(trace.numerator, trace.denominator) > most_align) fail("has scales that are no simple fractions, so it cannot be made in tiles");
        return trace;
    }

    // Of an axis whose pixel o hangs on those from o * times / by + low to o * times / by + high of an axis.
    static Trace read(const Trace& from, int64_t times, int64_t by, double low, double high) {
        if (from.size == none) return from;
        Trace trace = scaled(from, times, by);
        trace.low = from.low + low * from.step();
        trace.high = from.high + high * from.step();
        return trace;
    }

    const Traces& input(size_t i = 0) const { return traces_[node_->inputs[i]]; }
    const Shape& input_shape(size_t i = 0) const { return bound_.shapes[node_->inputs[i]]; }
    bool is_traced(size_t axis) const { return input()[axis].size != none; }

    Traces of(const Node& node) const {
        switch (node.op) {
            case Op::conv:
            case Op::conv_transpose: return convolution(node);
            case Op::linear:
                if (is_traced(shape_->rank - 1)) refuse_all();
                return with_operands(node, input());
            case Op::map: return broadcast_traces(0, *shape_);
            case Op::reduce: return reduce(node);
            case Op::constant: return Traces(shape_->rank);
            case Op::range:
                if (source(node.shape[0]) != none) refuse("numbers the pixels of the picture");
                return Traces(1);
            case Op::reshape: return reshape();
            case Op::permute: return permute(node);
            case Op::expand: return broadcast_traces(0, *shape_);
            case Op::slice: return slice(node);
            case Op::concat: return concat(node);
            case Op::pad: return pad(node);
            case Op::take: return take(node);
            case Op::resample: return resample(node);
            case Op::pool: return pool(node);
            case Op::adaptive_pool:
                for (size_t axis : node.axes)
                    if (is_traced(axis)) refuse_all();
                return input();
            case Op::matmul: return matmul();
        }
        return {};
    }

    Traces convolution(const Node& node) const {
        if (node.weight == none)
            for (const Trace& trace : input(1))
                if (trace.size != none) refuse_all();
        Traces traces = input();
        for (size_t i = 0; i < node.geometry.size(); ++i) {
            const Geometry& g = node.geometry[i];
            const auto reach = static_cast<double>(g.dilation * (g.kernel - 1)), padding = static_cast<double>(g.padding);
            const auto stride = static_cast<double>(g.stride);
            traces[2 + i] = node.op == Op::conv
                                ? read(input()[2 + i], g.stride, 1, -padding, reach - padding)
                                : read(input()[2 + i], 1, g.stride, (padding - reach) / stride, padding / stride);
        }
        return with_operands(node, std::move(traces));
    }

    // What a layer's program reads moves as its sums do.
    Traces with_operands(const Node& node, Traces traces) const {
        return joined(std::move(traces), broadcast_traces(node.own_inputs(), *shape_));
    }

    Traces joined(Traces traces, const Traces& others) const {
        for (size_t i = 0; i < traces.size(); ++i) {
            Trace& trace = traces[i];
            const Trace& other = others[i];
            if (other.size == none) continue;
            if (trace.size == none)
                trace = other;
            else if (trace.size != other.size || trace.numerator != other.numerator || trace.denominator != other.denominator)
                refuse("joins pictures of other scales");
            trace.low = std::min(trace.low, other.low);
            trace.high = std::max(trace.high, other.high);
        }
        return traces;
    }

    Traces broadcast_traces(size_t first, const Shape& to) const {
        Traces traces(to.rank);
        for (size_t i = first; i < node_->inputs.size(); ++i) {
            const Shape& from = input_shape(i);
            Traces others(to.rank);
            for (size_t axis = 0; axis < from.rank; ++axis) others[to.rank - from.rank + axis] = input(i)[axis];
            traces = joined(std::move(traces), others);
        }
        return traces;
    }

    Traces reduce(const Node& node) const {
        std::vector<Shape> shapes;
        for (size_t i = 0; i < node.inputs.size(); ++i) shapes.push_back(input_shape(i));
        Traces traces = broadcast_traces(0, broadcast(shapes));
        for (size_t axis : node.axes)
            if (traces[axis].size != none) refuse_all();
        return traces;
    }

    // Axes fall into runs that hold the same numbers; in each, the one that is traced must be the outermost.
    Traces reshape() const {
        const Shape &from = input_shape(), &to = *shape_;
        Traces traces(to.rank);
        for (size_t i = 0, j = 0; i < from.rank || j < to.rank;) {
            int64_t left = i < from.rank ? from[i] : 1, right = j < to.rank ? to[j] : 1;
            const size_t first = i, made = j;
            if (i < from.rank) ++i;
            if (j < to.rank) ++j;
            while (left != right) left < right ? left *= from[i++] : right *= to[j++];
            trace_run(first, i, made, j, &traces);
        }
        return traces;
    }

    void trace_run(size_t first, size_t last, size_t made, size_t end, Traces* traces) const {
        const auto outermost = [](const Shape& shape, size_t at, size_t stop) {
            while (at + 1 < stop && shape[at] == 1) ++at;
            return at;
        };
        size_t traced = none;
        for (size_t i = first; i < last; ++i)
            if (is_traced(i)) traced = i;
        if (traced == none) return;
        if (traced != outermost(input_shape(), first, last) || made == end) refuse_all();
        int64_t inner = 1;
        for (size_t i = traced + 1; i < last; ++i) inner *= input_shape()[i];
        const auto within = static_cast<double>(inner);
        Trace trace = read(input()[traced], 1, inner, -(within - 1) / within, 0);
        const size_t to = outermost(*shape_, made, end);
        int64_t outer = 1;
        for (size_t j = to + 1; j < end; ++j) outer *= (*shape_)[j];
        (*traces)[to] = read(trace, outer, 1, 0, static_cast<double>(outer - 1));
    }

    Traces permute(const Node& node) const {
        Traces traces;
        for (size_t axis : node.axes) traces.push_back(input()[axis]);
        return traces;
    }

    Traces slice(const Node& node) const {
        Traces traces = input();
        Trace& trace = traces[node.axis()];
        if (trace.size == none) return traces;
        if (node.step < 0) refuse("turns the picture around");
        const auto first = static_cast<double>(bound_(node.first));
        trace = read(trace, node.step, 1, first, first);
        return traces;
    }

    Traces concat(const Node& node) const {
        Traces traces = input();
        for (size_t i = 0; i < node.inputs.size(); ++i) {
            if (input(i)[node.axis()].size != none) refuse("joins pictures along an edge");
            traces = joined(std::move(traces), input(i));
        }
        return traces;
    }

    // At the picture's edges a mirrored pixel lies as far inside as outside.
    Traces pad(const Node& node) const {
        Traces traces = input();
        for (size_t i = 0; i < traces.size(); ++i) {
            if (traces[i].size == none) continue;
            const auto before = static_cast<double>(bound_(node.before[i]));
            const double after = static_cast<double>((*shape_)[i] - input_shape()[i]) - before;
            if (node.padding == Padding::circular && (before > 0 || after > 0)) refuse("joins opposite edges of the picture");
            const double mirrored = node.padding == Padding::reflect ? std::max(before, after) : 0;
            traces[i] = read(traces[i], 1, 1, -before - mirrored, -before + mirrored);
        }
        return traces;
    }

    Traces take(const Node& node) const {
        if (is_traced(node.axis())) refuse_all();
        Traces traces = input();
        traces.erase(traces.begin() + static_cast<ptrdiff_t>(node.axis()));
        traces.insert(traces.begin() + static_cast<ptrdiff_t>(node.axis()), input(1).begin(), input(1).end());
        return traces;
    }

    Traces resample(const Node& node) const {
        Traces traces = input();
        for (size_t axis : node.axes) {
            if (!is_traced(axis)) continue;
            if (node.align_corners) refuse("has a scale that hangs on the picture's size (align_corners)");
            const int64_t in = input_shape()[axis], out = (*shape_)[axis];
            const double step = static_cast<double>(in) / static_cast<double>(out);
            const double middle = 0.5 * step - 0.5;
            switch (node.resampling) {
                case Resampling::nearest: traces[axis] = read(traces[axis], in, out, -1, 1); break;
                case Resampling::nearest_exact: traces[axis] = read(traces[axis], in, out, 0.5 * step - 1, 0.5 * step + 1); break;
                case Resampling::linear: traces[axis] = read(traces[axis], in, out, middle - 1, middle + 2); break;
                case Resampling::cubic: traces[axis] = read(traces[axis], in, out, middle - 2, middle + 3); break;
            }
        }
        return traces;
    }

    Traces pool(const Node& node) const {
        Traces traces = input();
        const size_t first = traces.size() - node.windows.size();
        for (size_t i = 0; i < node.windows.size(); ++i) {
            const Window& window = node.windows[i];
            const auto padding = static_cast<double>(window.padding);
            traces[first + i] = read(traces[first + i], window.stride, 1, -padding,
                                     static_cast<double>(window.dilation * (window.kernel - 1)) - padding);
        }
        return traces;
    }

    Traces matmul() const {
        const Shape& to = *shape_;
        if (input(0).back().size != none || input(1)[input(1).size() - 2].size != none) refuse_all();
        Traces traces(to.rank);
        for (size_t i : {0, 1}) {
            const size_t rank = input_shape(i).rank;
            Traces others(to.rank);
            for (size_t axis = 0; axis < rank; ++axis) others[to.rank - rank + axis] = input(i)[axis];
            others[to.rank - 1 - i] = {};
            traces = joined(std::move(traces), others);
        }
        return traces;
    }

    const Graph& graph_;
    const Bound& bound_;
    const Node* node_ = nullptr;
    const Shape* shape_ = nullptr;
    std::vector<size_t> sources_;
    std::vector<Traces> traces_;  // by value
    Locality locality_;
};

}  // namespace

Locality find_locality(const Graph& graph, const Bound& bound) { return Tracer(graph, bound).take(); }

}  // namespace pbgen
