// Inner loops as ARM's compilers make them of the engine's sources, for llvm-mca (arm_model.py): an iteration of each
// stands between two marks. Lanes are pixels in lookups, output channels in dense products.
#include <arm_neon.h>

#include <cstddef>
#include <cstdint>

#define BEGIN(name) asm volatile("# LLVM-MCA-BEGIN " name ::: "memory")
#define END asm volatile("# LLVM-MCA-END" ::: "memory")
#define UNROLL _Pragma("GCC unroll 16")

// Two tables of four inputs, the indices in one byte; `vectors` vectors of pixels: core/src/arch/vector/lookup.h.
#define FOUR(name, Vector, vectors, zero, add)                                                                      \
    void name(const uint8_t* weights, size_t stride, const Vector (*table)[16][vectors], size_t count, Vector* to) { \
        Vector sum[vectors];                                                                                        \
        UNROLL for (int v = 0; v < vectors; ++v) sum[v] = to[v];                                                    \
        for (; count; --count, table += 2, weights += stride) {                                                     \
            BEGIN(#name);                                                                                           \
            const unsigned index = *weights;                                                                        \
            UNROLL for (int v = 0; v < vectors; ++v) sum[v] = add(sum[v], table[0][index & 15][v]);                 \
            UNROLL for (int v = 0; v < vectors; ++v) sum[v] = add(sum[v], table[1][index >> 4][v]);                 \
            END;                                                                                                    \
        }                                                                                                           \
        UNROLL for (int v = 0; v < vectors; ++v) to[v] = sum[v];                                                    \
    }

// One tap of a table that taps share, its rows of `across` vectors `pitch` numbers apart: shared_tables.h.
#define SHARED(name, Vector, Number, down, across, pitch, load, add)                                                \
    void name(const size_t* shifts, const uint8_t* indices, size_t count, const char* table, size_t bytes, Vector* to) { \
        Vector sum[down][across];                                                                                   \
        UNROLL for (int r = 0; r < down; ++r) UNROLL for (int v = 0; v < across; ++v) sum[r][v] = to[r * across + v]; \
        for (size_t t = 0; t < count; ++t) {                                                                        \
            BEGIN(#name);                                                                                           \
            const auto* entry = reinterpret_cast<const Number*>(table + shifts[t] + indices[t] * bytes);            \
            UNROLL for (int r = 0; r < down; ++r) UNROLL for (int v = 0; v < across; ++v)                           \
                sum[r][v] = add(sum[r][v], load(entry + r * pitch + v * (16 / sizeof(Number))));                    \
            END;                                                                                                    \
        }                                                                                                           \
        UNROLL for (int r = 0; r < down; ++r) UNROLL for (int v = 0; v < across; ++v) to[r * across + v] = sum[r][v]; \
    }

FOUR(float32_four, float32x4_t, 8, {}, vaddq_f32)
FOUR(int16_four, int16x8_t, 4, {}, vaddq_s16)
SHARED(float32_six, float32x4_t, float, 4, 2, 16, vld1q_f32, vaddq_f32)
SHARED(int16_eight, int16x8_t, int16_t, 4, 1, 12, vld1q_s16, vaddq_s16)

// Dense, as the best peers have it: 4 inputs of 4 pixels, or 16 of 8 bits, with 4 vectors of output channels.
#define DENSE(name, In, Number, Sum, load, product)                                                                 \
    void name(const Number* weights, const Number* x, size_t step, size_t count, Sum* to) {                         \
        Sum sum[4][4];                                                                                              \
        UNROLL for (int p = 0; p < 4; ++p) UNROLL for (int v = 0; v < 4; ++v) sum[p][v] = to[p * 4 + v];            \
        for (; count; --count, weights += 256 / sizeof(Number), x += 16 / sizeof(Number)) {                         \
            BEGIN(#name);                                                                                           \
            In input[4];                                                                                            \
            UNROLL for (int p = 0; p < 4; ++p) input[p] = load(x + p * step);                                       \
            PART(product, load, 0) PART(product, load, 1) PART(product, load, 2) PART(product, load, 3)             \
            END;                                                                                                    \
        }                                                                                                           \
        UNROLL for (int p = 0; p < 4; ++p) UNROLL for (int v = 0; v < 4; ++v) to[p * 4 + v] = sum[p][v];            \
    }
#define PART(product, load, lane)                                                                                   \
    UNROLL for (int v = 0; v < 4; ++v) {                                                                            \
        const auto weight = load(weights + (lane * 4 + v) * (16 / sizeof *weights));                                \
        UNROLL for (int p = 0; p < 4; ++p) sum[p][v] = product(sum[p][v], weight, input[p], lane);                  \
    }

DENSE(float32_dense, float32x4_t, float, float32x4_t, vld1q_f32, vfmaq_laneq_f32)
DENSE(int8_dense, int8x16_t, int8_t, int32x4_t, vld1q_s8, vdotq_laneq_s32)

// Tables of four inputs in registers, for 4 pixels and 32 output channels: sums of 8 bits, of which those of two tables are
// added and widened. (Two tables in two registers, whose sums lie side by side and are added in pairs, do less.)
void int8_tbl(const uint8_t* weights, const int8_t* tables, size_t step, size_t count, int16x8_t* to) {
    int16x8_t sum[4][4];
    UNROLL for (int p = 0; p < 4; ++p) UNROLL for (int v = 0; v < 4; ++v) sum[p][v] = to[p * 4 + v];
    for (; count; --count, weights += 32, tables += 32) {
        BEGIN("int8_tbl");
        UNROLL for (int v = 0; v < 2; ++v) {
            const uint8x16_t both = vld1q_u8(weights + v * 16);
            const uint8x16_t low = vandq_u8(both, vdupq_n_u8(15)), high = vshrq_n_u8(both, 4);
            UNROLL for (int p = 0; p < 4; ++p) {
                const int8x16_t a = vqtbl1q_s8(vld1q_s8(tables + p * step), low);
                const int8x16_t b = vqtbl1q_s8(vld1q_s8(tables + p * step + 16), high);
                sum[p][2 * v] = vaddq_s16(sum[p][2 * v], vaddl_s8(vget_low_s8(a), vget_low_s8(b)));
                sum[p][2 * v + 1] = vaddq_s16(sum[p][2 * v + 1], vaddl_high_s8(a, b));
            }
        }
        END;
    }
    UNROLL for (int p = 0; p < 4; ++p) UNROLL for (int v = 0; v < 4; ++v) to[p * 4 + v] = sum[p][v];
}
