#include "test/transport/product.h"
#include "test/transport/shapes.h"
#include "transport/mesh_group.h"

namespace espalier::test {
namespace {

using transport::Algorithm;
using transport::Choice;
using transport::kRingOrderBytes;
using transport::MeshGroup;
using transport::Plan;

Choice choiceOf(Algorithm algorithm, std::initializer_list<int> radices) {
  Choice choice;
  choice.algorithm = algorithm;
  for (const int radix : radices) choice.levels.radix[choice.levels.count++] = static_cast<uint8_t>(radix);
  return choice;
}

Plan only(const Choice& choice) {
  Plan plan;
  for (Plan::Table* table : {&plan.ordered, &plan.anyOrder}) {
    table->choices[0] = choice;
    table->count = 1;
  }
  return plan;
}

struct Forced {
  int size;
  Shape shape;
  Choice choice;
};

std::string text(const Forced& forced) {
  std::string out = std::string(algorithmName(forced.choice.algorithm)) + " of " + std::to_string(forced.size) +
                    " ranks by";
  for (int i = 0; i < forced.choice.levels.count; ++i) out += " " + std::to_string(forced.choice.levels.radix[i]);
  return out;
}

void checkForced(const Forced& forced, LinkKind kind) {
  SharedBoard board;
  runThreads(forced.size, [&](int rank) {
    auto group = join(shapedOptions(forced.shape, rank, forced.size, kind, board.get()));
    static_cast<MeshGroup&>(*group).collectives().follow(only(forced.choice));
    for (const size_t count : {0u, 1u, 7u, 4'099u, 200'001u}) {
      const bool sparseRing = forced.shape == Shape::Ring && forced.size > 3;
      TreeOrder tree;
      tree.allReduce = forced.choice.algorithm != Algorithm::Ring;
      tree.reduceScatter = !sparseRing || count / forced.size * forced.size * sizeof(float) < kRingOrderBytes;
      const std::string what = text(forced) + ", " + std::to_string(count) + " elements";
      checkReduce<float>(*group, DataType::Float32, count, ReduceOp::Sum, tree, what);
      if (count < 10'000) checkReduce<int16_t>(*group, DataType::Int16, count, ReduceOp::Sum, {}, what);
    }
    CHECK_OK(group->barrier());
  });
}

const Forced kForced[] = {
    {2, Shape::Full, choiceOf(Algorithm::Exchange, {2})},     {5, Shape::Full, choiceOf(Algorithm::Exchange, {5})},
    {4, Shape::Full, choiceOf(Algorithm::Exchange, {2, 2})},  {8, Shape::Full, choiceOf(Algorithm::Exchange, {2, 2, 2})},
    {6, Shape::Full, choiceOf(Algorithm::Exchange, {2, 3})},  {8, Shape::Full, choiceOf(Algorithm::Exchange, {4, 2})},
    {3, Shape::Full, choiceOf(Algorithm::Blocks, {3})},       {4, Shape::Line, choiceOf(Algorithm::Blocks, {4})},
    {4, Shape::Full, choiceOf(Algorithm::Hierarchy, {2, 2})}, {6, Shape::Full, choiceOf(Algorithm::Hierarchy, {2, 3})},
    {8, Shape::Full, choiceOf(Algorithm::Hierarchy, {4, 2})}, {3, Shape::Ring, choiceOf(Algorithm::PassAround, {3})},
    {4, Shape::Ring, choiceOf(Algorithm::PassAround, {4})},   {5, Shape::Ring, choiceOf(Algorithm::PassAround, {5})},
    {3, Shape::Full, choiceOf(Algorithm::Ring, {3})},         {4, Shape::Ring, choiceOf(Algorithm::Ring, {4})},
    {7, Shape::Ring, choiceOf(Algorithm::Ring, {7})}};

TEST("every algorithm gives the promised bits") {
  for (const Forced& forced : kForced) checkForced(forced, LinkKind::Tcp);
}
TEST("slow: every algorithm gives the promised bits over shared memory") {
  for (const Forced& forced : kForced) checkForced(forced, LinkKind::SharedMemory);
}

}  // namespace
}  // namespace espalier::test
