#include "formula.h"

#include <cstring>

namespace pbgen {
namespace {

constexpr uint16_t none = UINT16_MAX;

size_t operand_count(Instruction instruction) {
    if (instruction == Instruction::where) return 3;
    return instruction >= Instruction::add ? 2 : 1;
}

}  // namespace

Formula::Formula(const Program& program)
    : inputs_(program.inputs), number_count_(program.numbers.size()), length_(program.steps.size()) {
    for (size_t i = 0; i < number_count_; ++i) std::fill_n(numbers_[i], most_lanes, program.numbers[i]);
    const size_t given = inputs_ + number_count_;
    uint16_t last_use[max_program_steps], where[max_program_steps], empty[max_program_steps];
    for (size_t i = 0; i < length_; ++i) {
        last_use[i] = static_cast<uint16_t>(i);
        for (size_t j = 0; j < operand_count(program.steps[i].instruction); ++j) {
            const size_t operand = program.steps[i].operands[j];
            if (operand >= given) last_use[operand - given] = static_cast<uint16_t>(i);
        }
    }
    size_t empty_count = 0;
    for (size_t i = 0; i < length_; ++i) {
        const Step& step = program.steps[i];
        Action& action = actions_[i];
        action.instruction = step.instruction;
        const auto release = [&](size_t result) {
            if (last_use[result] != i || where[result] == none) return;
            empty[empty_count++] = where[result];
            last_use[result] = none;  // but once
        };
        for (size_t j = 0; j < operand_count(step.instruction); ++j) {
            const size_t operand = step.operands[j];
            action.operands[j] = static_cast<uint16_t>(operand < given ? operand : given + where[operand - given]);
        }
        // A result may take the place of an operand.
        for (size_t j = 0; j < operand_count(step.instruction); ++j)
            if (step.operands[j] >= given) release(step.operands[j] - given);
        where[i] = i + 1 == length_ ? none
                   : empty_count    ? empty[--empty_count]
                                    : static_cast<uint16_t>(places_++);
        action.place = where[i];
        release(i);  // where nothing reads it
    }
}

void Formula::run(const Operand* inputs, size_t count, float* places, size_t place_numbers, float* result,
                  const Kernels& kernels) const {
    if (length_ == 0) {
        if (inputs[0].one)
            std::fill_n(result, count, *inputs[0].numbers);
        else
            std::memcpy(result, inputs[0].numbers, count * sizeof(float));
    }
    for (size_t i = 0; i < length_; ++i) {
        const Action& action = actions_[i];
        Operand operands[3];
        for (size_t j = 0; j < operand_count(action.instruction); ++j) {
            const size_t operand = action.operands[j];
            if (operand < inputs_)
                operands[j] = inputs[operand];
            else if (operand < inputs_ + number_count_)
                operands[j] = {numbers_[operand - inputs_], true};
            else
                operands[j] = {places + (operand - inputs_ - number_count_) * place_numbers, false};
        }
        kernels.calculate(action.instruction, operands, count,
                          action.place == none ? result : places + action.place * place_numbers);
    }
}

// As it lies in memory where it lies one after another; else it is gathered, unless that was done for the tile before.
Operand TileMaker::input(size_t i, const Walk& walk) {
    const Steps steps = loops_.steps(i);
    const int64_t rows = walk.rows(), columns = walk.columns();
    const float* from = data_[i] + walk.offset(i);
    const bool one_row = rows == 1, one_column = columns == 1;
    if ((one_row || steps.row == 0) && (one_column || steps.column == 0)) {
        std::fill_n(ones_[i], most_lanes, *from);
        return {ones_[i], true};
    }
    if ((one_column || steps.column == 1) && (one_row || steps.row == columns)) return {from, false};
    float* to = place(formula_.places() + i);
    Filled& filled = filled_[i];
    if (filled.from != from || filled.rows < rows || filled.columns != columns) {
        copy_block(from, steps, to, {columns, 1}, rows, columns);
        filled = {from, rows, columns};
    }
    return {to, false};
}

void TileMaker::make(const Walk& walk, float* result) {
    Operand inputs[max_program_inputs];
    for (size_t i = 0; i < formula_.inputs(); ++i) inputs[i] = input(i, walk);
    formula_.run(inputs, static_cast<size_t>(walk.rows() * walk.columns()), memory_, room_.step, result,
                 kernels_);
}

const float* TileMaker::make(const Walk& walk) {
    if (formula_.length() == 0) {
        const Operand in = input(0, walk);
        if (!in.one) return in.numbers;
    }
    float* result = place(formula_.places() + formula_.inputs());
    make(walk, result);
    return result;
}

}  // namespace pbgen
