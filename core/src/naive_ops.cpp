// Placeholder until core/src/ops/ is merged.
#include "ops.h"
#include <cmath>
#include <vector>
#include <algorithm>
namespace pbgen {
namespace {
template <class F> void each(const Shape& s, const F& f) {
    int64_t i[max_rank] = {};
    for (int64_t n = s.size(), k = 0; k < n; ++k) {
        f(i);
        for (size_t d = s.rank; d-- > 0;) { if (++i[d] < s[d]) break; i[d] = 0; }
    }
}
template <class S> auto& at(const S& a, const int64_t* i) { int64_t o = 0; for (size_t d = 0; d < a.shape.rank; ++d) o += i[d] * a.strides[d]; return a.data[o]; }
float run(const Program& p, const Reads* in, const int64_t* i) {
    std::vector<float> v;
    for (size_t k = 0; k < p.inputs; ++k) v.push_back(at(in[k], i));
    for (float n : p.numbers) v.push_back(n);
    if (p.steps.empty()) return v[0];
    for (const Step& s : p.steps) {
        float a = v[s.operands[0]], b = v[s.operands[1]], c = v[s.operands[2]], r = 0;
        switch (s.instruction) {
            case Instruction::neg: r = -a; break; case Instruction::abs: r = std::fabs(a); break;
            case Instruction::sign: r = a > 0 ? 1 : a < 0 ? -1 : a; break; case Instruction::sqrt: r = std::sqrt(a); break;
            case Instruction::rsqrt: r = 1 / std::sqrt(a); break; case Instruction::exp: r = std::exp(a); break;
            case Instruction::expm1: r = std::expm1(a); break; case Instruction::log: r = std::log(a); break;
            case Instruction::log1p: r = std::log1p(a); break; case Instruction::sin: r = std::sin(a); break;
            case Instruction::cos: r = std::cos(a); break; case Instruction::tanh: r = std::tanh(a); break;
            case Instruction::sigmoid: r = 1 / (1 + std::exp(-a)); break; case Instruction::erf: r = std::erf(a); break;
            case Instruction::floor: r = std::floor(a); break; case Instruction::ceil: r = std::ceil(a); break;
            case Instruction::round: r = std::nearbyint(a); break; case Instruction::relu: r = a < 0 ? 0 : a; break;
            case Instruction::add: r = a + b; break; case Instruction::sub: r = a - b; break; case Instruction::mul: r = a * b; break;
            case Instruction::div: r = a / b; break; case Instruction::pow: r = std::pow(a, b); break;
            case Instruction::max: r = a != a || a > b ? a : b; break; case Instruction::min: r = a != a || a < b ? a : b; break;
            case Instruction::mod: r = a - std::floor(a / b) * b; break; case Instruction::leaky: r = a >= 0 ? a : a * b; break;
            case Instruction::lt: r = a < b; break; case Instruction::le: r = a <= b; break; case Instruction::gt: r = a > b; break;
            case Instruction::ge: r = a >= b; break; case Instruction::eq: r = a == b; break; case Instruction::ne: r = a != b; break;
            case Instruction::where: r = a != 0 ? b : c; break;
        }
        v.push_back(r);
    }
    return v.back();
}
}
void copy(const Reads& in, const Writes& out, Threads&) { each(out.shape, [&](const int64_t* i) { at(out, i) = at(in, i); }); }
void map(const Program& p, const Reads* in, const Writes& out, const Kernels&, Threads&) { each(out.shape, [&](const int64_t* i) { at(out, i) = run(p, in, i); }); }
void reduce(Reduction kind, const Program& p, const Reads* in, const Shape& shape, const Writes& out, const Kernels&, Threads&) {
    Writes o = out; double n = (double)shape.size() / out.shape.size();
    for (size_t d = 0; d < shape.rank; ++d) if (out.shape[d] == 1) o.strides[d] = 0;
    std::vector<double> acc(out.shape.size(), kind == Reduction::max ? -INFINITY : kind == Reduction::min ? INFINITY : 0);
    Strided<double> a{acc.data(), out.shape, row_major(out.shape)};
    for (size_t d = 0; d < shape.rank; ++d) if (out.shape[d] == 1) a.strides[d] = 0;
    each(shape, [&](const int64_t* i) { double v = run(p, in, i), &t = at(a, i); t = kind == Reduction::max ? std::max(t, v) : kind == Reduction::min ? std::min(t, v) : t + v; });
    each(out.shape, [&](const int64_t* i) { at(out, i) = (float)(kind == Reduction::mean ? at(a, i) / n : at(a, i)); });
}
void range(float start, float step, const Writes& out) { for (int64_t i = 0; i < out.shape[0]; ++i) out.data[i * out.strides[0]] = start + i * step; }
void pad(const Reads& in, const int64_t* before, Padding mode, float value, const Writes& out, Threads&) {
    each(out.shape, [&](const int64_t* i) {
        int64_t j[max_rank]; bool inside = true;
        for (size_t d = 0; d < out.shape.rank; ++d) {
            int64_t n = in.shape[d], k = i[d] - before[d];
            if (k < 0 || k >= n) { inside = false; k = mode == Padding::reflect ? (k < 0 ? -k : 2 * (n - 1) - k) : mode == Padding::replicate ? std::clamp<int64_t>(k, 0, n - 1) : mode == Padding::circular ? (k + n) % n : 0; }
            j[d] = k;
        }
        at(out, i) = !inside && mode == Padding::constant ? value : at(in, j);
    });
}
bool take(const Reads& v, size_t axis, const Reads& idx, const Writes& out, Threads&) {
    bool good = true;
    each(idx.shape, [&](const int64_t* i) { float x = at(idx, i); good &= x >= 0 && x < v.shape[axis] && x == std::floor(x); });
    if (!good) return false;
    each(out.shape, [&](const int64_t* i) {
        int64_t j[max_rank], r = (int64_t)idx.shape.rank;
        for (size_t d = 0; d < v.shape.rank; ++d) j[d] = d < axis ? i[d] : d == axis ? (int64_t)at(idx, i + axis) : i[d + r - 1];
        at(out, i) = at(v, j);
    });
    return true;
}
void resample(const Reads& in, size_t axis, Resampling mode, float step, bool corners, const Writes& out, Threads&) {
    const int64_t n = in.shape[axis];
    each(out.shape, [&](const int64_t* i) {
        int64_t j[max_rank]; std::copy_n(i, max_rank, j);
        const auto get = [&](int64_t k) { j[axis] = std::clamp<int64_t>(k, 0, n - 1); return at(in, j); };
        float o = (float)i[axis];
        if (mode == Resampling::nearest) at(out, i) = get((int64_t)std::floor(o * step));
        else if (mode == Resampling::nearest_exact) at(out, i) = get((int64_t)std::floor((o + 0.5f) * step));
        else if (mode == Resampling::linear) {
            float p = corners ? o * step : std::max(0.0f, (o + 0.5f) * step - 0.5f); int64_t k = std::min<int64_t>((int64_t)p, n - 1); float w = std::min(p - k, 1.0f);
            at(out, i) = (1 - w) * get(k) + w * get(k + 1);
        } else {
            float p = corners ? o * step : (o + 0.5f) * step - 0.5f; int64_t k = (int64_t)std::floor(p); float t = p - k, a = -0.75f;
            const auto near = [&](float x) { return ((a + 2) * x - (a + 3)) * x * x + 1; };
            const auto far = [&](float x) { return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a; };
            at(out, i) = far(t + 1) * get(k - 1) + near(t) * get(k) + near(1 - t) * get(k + 1) + far(2 - t) * get(k + 2);
        }
    });
}
namespace {
template <class B> void windows(const Reads& in, bool mean, size_t first, size_t count, const Writes& out, const B& bounds) {
    each(out.shape, [&](const int64_t* i) {
        int64_t j[max_rank]; std::copy_n(i, max_rank, j); double acc = mean ? 0 : -INFINITY, n = 0, div = 1; 
        std::vector<std::vector<int64_t>> ks(count);
        for (size_t w = 0; w < count; ++w) { int64_t d = 0; bounds(w, i[first + w], in.shape[first + w], ks[w], d); div *= d; }
        std::vector<size_t> p(count, 0);
        for (;;) {
            for (size_t w = 0; w < count; ++w) j[first + w] = ks[w][p[w]];
            double v = at(in, j); acc = mean ? acc + v : std::max(acc, v); ++n;
            size_t w = count; while (w-- > 0) { if (++p[w] < ks[w].size()) break; p[w] = 0; if (w == 0) { at(out, i) = (float)(mean ? acc / div : acc); return; } }
        }
    });
}
}
void pool(const Reads& in, bool mean, const Window* win, size_t count, bool padded, const Writes& out, Threads&) {
    windows(in, mean, in.shape.rank - count, count, out, [&](size_t w, int64_t o, int64_t n, std::vector<int64_t>& ks, int64_t& d) {
        for (int64_t k = 0; k < win[w].kernel; ++k) { int64_t p = o * win[w].stride - win[w].padding + k * win[w].dilation; if (p >= 0 && p < n) ks.push_back(p); if (p < n + win[w].padding) d += padded; }
        if (!padded) d = (int64_t)ks.size();
    });
}
void adaptive_pool(const Reads& in, bool mean, size_t first, size_t count, const Writes& out, Threads&) {
    windows(in, mean, first, count, out, [&](size_t w, int64_t o, int64_t n, std::vector<int64_t>& ks, int64_t& d) {
        int64_t m = out.shape[first + w]; for (int64_t p = o * n / m; p < ((o + 1) * n + m - 1) / m; ++p) ks.push_back(p); d = (int64_t)ks.size();
    });
}
size_t matmul_scratch(const Shape&, const Shape&, const Kernels&, size_t) { return 0; }
void matmul(const Reads& a, const Reads& b, const Writes& out, uint8_t*, const Kernels&, Threads&) {
    size_t r = out.shape.rank;
    each(out.shape, [&](const int64_t* i) {
        int64_t x[max_rank], y[max_rank]; std::copy_n(i, max_rank, x); std::copy_n(i, max_rank, y); double s = 0;
        for (int64_t k = 0; k < a.shape[r - 1]; ++k) { x[r - 1] = k; y[r - 2] = k; s += (double)at(a, x) * at(b, y); }
        at(out, i) = (float)s;
    });
}
}
