#include "support/reference.h"

#include <cmath>

#include "engine/config.h"
#include "engine/rope.h"

namespace espalier::test {
namespace {

using Vector = std::vector<double>;

class Reference {
 public:
  explicit Reference(const WrittenModel& model) : model_(model), shape_(model.shape) {
    engine::loadModelConfig(model.folder, config_);
  }

  Vector token(int32_t token) {
    const auto width = static_cast<size_t>(shape_.hiddenSize);
    const auto row = model_.tensors.at("model.embed_tokens").begin() + static_cast<std::ptrdiff_t>(width) * token;
    Vector hidden(row, row + static_cast<std::ptrdiff_t>(width));
    keys_.resize(static_cast<size_t>(shape_.layers));
    values_.resize(keys_.size());
    for (size_t layer = 0; layer < keys_.size(); layer++) {
      const std::string prefix = "model.layers." + std::to_string(layer) + ".";
      addTo(hidden, attention(prefix + "self_attn.", layer, norm(prefix + "input_layernorm", hidden)));
      const Vector normed = norm(prefix + "post_attention_layernorm", hidden);
      Vector gate = linear(prefix + "mlp.gate_proj", normed);
      const Vector up = linear(prefix + "mlp.up_proj", normed);
      for (size_t i = 0; i < gate.size(); i++) gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
      addTo(hidden, linear(prefix + "mlp.down_proj", gate));
    }
    position_++;
    return linear(shape_.tied ? "model.embed_tokens" : "lm_head", norm("model.norm", hidden));
  }

 private:
  static void addTo(Vector& to, const Vector& what) {
    for (size_t i = 0; i < to.size(); i++) to[i] += what[i];
  }

  Vector linear(const std::string& name, const Vector& x) const {
    const Vector& weight = model_.tensors.at(name);
    Vector out(weight.size() / x.size());
    for (size_t row = 0; row < out.size(); row++)
      for (size_t i = 0; i < x.size(); i++) out[row] += weight[row * x.size() + i] * x[i];
    const auto bias = model_.tensors.find(name + ".bias");
    if (bias != model_.tensors.end()) addTo(out, bias->second);
    return out;
  }

  Vector norm(const std::string& name, const Vector& x) const {
    double squares = 0;
    for (const double value : x) squares += value * value;
    const double factor = 1 / std::sqrt(squares / static_cast<double>(x.size()) + 1e-5);
    Vector out(x.size());
    for (size_t i = 0; i < x.size(); i++) out[i] = x[i] * factor * model_.tensors.at(name)[i];
    return out;
  }

  void rotate(Vector& heads) const {
    const auto dim = static_cast<size_t>(shape_.headDim), half = dim / 2;
    for (size_t first = 0; first < heads.size(); first += dim)
      for (size_t i = 0; i < half; i++) {
        const double angle = position_ * engine::ropeFrequency(config_.rope, shape_.headDim, static_cast<int>(i));
        const double a = heads[first + i], b = heads[first + i + half];
        heads[first + i] = a * std::cos(angle) - b * std::sin(angle);
        heads[first + i + half] = b * std::cos(angle) + a * std::sin(angle);
      }
  }

  Vector attention(const std::string& prefix, size_t layer, const Vector& x) {
    Vector query = linear(prefix + "q_proj", x), key = linear(prefix + "k_proj", x);
    rotate(query);
    rotate(key);
    keys_[layer].push_back(key);
    values_[layer].push_back(linear(prefix + "v_proj", x));
    const auto dim = static_cast<size_t>(shape_.headDim),
               group = static_cast<size_t>(shape_.heads / shape_.kvHeads);
    Vector out(query.size());
    for (size_t head = 0; head < static_cast<size_t>(shape_.heads); head++) {
      Vector weights;
      double sum = 0;
      for (const Vector& at : keys_[layer]) {
        double score = 0;
        for (size_t i = 0; i < dim; i++) score += query[head * dim + i] * at[head / group * dim + i];
        sum += weights.emplace_back(std::exp(score / std::sqrt(static_cast<double>(dim))));
      }
      for (size_t at = 0; at < weights.size(); at++)
        for (size_t i = 0; i < dim; i++)
          out[head * dim + i] += weights[at] / sum * values_[layer][at][head / group * dim + i];
    }
    return linear(prefix + "o_proj", out);
  }

  const WrittenModel& model_;
  const TinyModel& shape_;
  engine::ModelConfig config_;
  std::vector<std::vector<Vector>> keys_, values_;  // [layer][position]
  int position_ = 0;
};

}  // namespace

std::vector<double> referenceLogits(const WrittenModel& model, std::span<const int32_t> tokens) {
  Reference reference(model);
  std::vector<double> out;
  for (const int32_t token : tokens) {
    const Vector logits = reference.token(token);
    out.insert(out.end(), logits.begin(), logits.end());
  }
  return out;
}

}  // namespace espalier::test
