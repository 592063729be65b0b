// A program made ready to run over many numbers at a time.
//
// Neighbouring light instructions are one chain, whose results stay in registers. What a chain makes has a place among few.
#pragma once

#include "../arch/kernels.h"
#include "../program.h"

namespace pbgen {

class Formula {
public:
    explicit Formula(const Program& program);

    // Places for results in between, at least.
    size_t places() const { return places_; }
    size_t inputs() const { return inputs_; }
    size_t length() const { return length_; }

    // result[i] is what comes of the inputs' i; `places` has places() times `place_numbers`, which is `count` or more. Where
    // `extremes` is not nullptr, they become those of the results as well. `streams`: whether these are written past the caches,
    // which takes a result on a cache line.
    void run(const Operand* inputs, size_t count, float* places, size_t place_numbers, float* result,
             bool streams, Extremes* extremes, const Kernels& kernels) const;

private:
    // Operands are inputs, numbers, and then places; or what the action before has made.
    struct Action {
        Instruction instruction;
        uint16_t operands[3];
    };
    // Some actions, each of what the one before has made, and where the last one's goes.
    struct Actions {
        uint16_t begin, end, place;
    };

    // Which chain a step's result comes of, and which reads a chain's last.
    struct Uses {
        uint16_t maker[max_program_steps], reader[max_program_steps];
    };

    bool joins(const Program& program, size_t step, const uint16_t* reads) const;
    void chain(const Program& program, Uses& uses);
    void place(Uses& uses);

    size_t inputs_, number_count_, length_, chain_count_ = 0, places_ = 0;
    Action actions_[max_program_steps];
    Actions chains_[max_program_steps + 1];
    alignas(64) float numbers_[max_program_numbers][most_lanes];
};

}  // namespace pbgen
