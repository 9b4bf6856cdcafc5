#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "support/model_writer.h"

namespace espalier::test {

/// Logits of every position of one sequence, [token × vocabSize], by the textbook in double precision.
std::vector<double> referenceLogits(const WrittenModel& model, std::span<const int32_t> tokens);

}  // namespace espalier::test
