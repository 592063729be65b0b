#include "formula.h"

#include <algorithm>

namespace pbgen {
namespace {

constexpr uint16_t none = UINT16_MAX, before = none;

}  // namespace

Formula::Formula(const Program& program)
    : inputs_(program.inputs), number_count_(program.numbers.size()), length_(program.steps.size()) {
    for (size_t i = 0; i < number_count_; ++i) std::fill_n(numbers_[i], most_lanes, program.numbers[i]);
    Uses uses;
    chain(program, uses);
    place(uses);
}

// Whether both are light, and this step alone reads what the one before makes, once.
bool Formula::joins(const Program& program, size_t step, const uint16_t* reads) const {
    if (step == 0 || reads[step - 1] != 1) return false;
    const Step &last = program.steps[step - 1], &next = program.steps[step];
    const size_t made = inputs_ + number_count_ + step - 1;
    const bool first = next.operands[0] == made, second = operand_count(next.instruction) > 1 && next.operands[1] == made;
    // Leaky ReLU of a slope that was made: chains know its other order alone.
    if (!is_light(last.instruction) || !is_light(next.instruction) || (!first && next.instruction == Instruction::leaky))
        return false;
    const Actions& actions = chains_[chain_count_ - 1];
    return (first || second) && actions.end - actions.begin < static_cast<int>(most_links);
}

void Formula::chain(const Program& program, Uses& uses) {
    const size_t given = inputs_ + number_count_;
    uint16_t reads[max_program_steps] = {};
    for (const Step& step : program.steps)
        for (size_t j = 0; j < operand_count(step.instruction); ++j)
            if (step.operands[j] >= given) ++reads[step.operands[j] - given];
    for (size_t i = 0; i < length_; ++i) {
        const Step& step = program.steps[i];
        const bool joined = joins(program, i, reads);
        if (!joined) chains_[chain_count_++] = {static_cast<uint16_t>(i), 0, none};
        const auto current = static_cast<uint16_t>(chain_count_ - 1);
        chains_[current].end = static_cast<uint16_t>(i + 1);
        actions_[i].instruction = step.instruction;
        for (size_t j = 0; j < operand_count(step.instruction); ++j) {
            const bool made_before = joined && step.operands[j] == given + i - 1;
            actions_[i].operands[j] = made_before ? before : step.operands[j];
            if (step.operands[j] >= given) uses.reader[uses.maker[step.operands[j] - given]] = current;
        }
        uses.maker[i] = uses.reader[current] = current;
    }
    if (length_ == 0) chains_[chain_count_++] = {0, 0, none};  // the first input as it is
}

// Gives each chain's result a place, but for the last one's, and its readers that place for an operand.
void Formula::place(Uses& uses) {
    const size_t given = inputs_ + number_count_;
    uint16_t empty[max_program_steps];
    size_t empty_count = 0;
    const auto release = [&](size_t result) {
        empty[empty_count++] = chains_[result].place;
        uses.reader[result] = none;  // but once
    };
    for (size_t c = 0; c < chain_count_; ++c) {
        // A result may take the place of an operand.
        for (size_t i = chains_[c].begin; i < chains_[c].end; ++i)
            for (size_t j = 0; j < operand_count(actions_[i].instruction); ++j) {
                uint16_t& operand = actions_[i].operands[j];
                if (operand < given || operand == before) continue;
                const size_t result = uses.maker[operand - given];
                operand = static_cast<uint16_t>(given + chains_[result].place);
                if (uses.reader[result] == c) release(result);
            }
        if (c + 1 == chain_count_) return;
        chains_[c].place = empty_count ? empty[--empty_count] : static_cast<uint16_t>(places_++);
        if (uses.reader[c] == c) release(c);  // nothing reads it
    }
}

void Formula::run(const Operand* inputs, size_t count, float* places, size_t place_numbers, float* result,
                  bool streams, Extremes* extremes, const Kernels& kernels) const {
    const auto operand = [&](size_t i) -> Operand {
        if (i < inputs_) return inputs[i];
        if (i < inputs_ + number_count_) return {numbers_[i - inputs_], true};
        return {places + (i - inputs_ - number_count_) * place_numbers, false};
    };
    for (const Actions* chained = chains_; chained < chains_ + chain_count_; ++chained) {
        Link links[most_links];
        Chain chain = {operand(length_ ? actions_[chained->begin].operands[0] : 0), links, 0};
        for (size_t i = chained->begin; i < chained->end; ++i) {
            const Action& action = actions_[i];
            Link& link = links[chain.length++];
            link = {action.instruction, i > chained->begin && action.operands[0] != before, {}};
            for (size_t j = 1; j < operand_count(action.instruction); ++j)
                link.others[j - 1] = operand(action.operands[link.second ? 0 : j]);
        }
        const bool last = chained->place == none;
        chain.streams = last && streams;
        kernels.calculate(chain, count, last ? result : places + chained->place * place_numbers, last ? extremes : nullptr);
    }
}

}  // namespace pbgen
