#include "eval_json.h"

#include "base/memory.h"

namespace carat {
namespace {

using Json = nlohmann::ordered_json;

/// The members of a figure, null when there is none.
void put(Json& json, const std::string& name, const Estimate* estimate) {
  json[name] = estimate == nullptr ? Json(nullptr) : Json(estimate->value);
  json[name + "_stderr"] = estimate == nullptr ? Json(nullptr) : Json(estimate->standard_error);
}

Json figures_json(const Comparison& figures, bool has_reference) {
  Json json = {{"tokens", figures.tokens}};
  const auto put_compared = [&](const char* name, const Estimate& estimate) {
    put(json, name, has_reference ? &estimate : nullptr);
  };
  put(json, "perplexity", &figures.perplexity);
  put_compared("reference_perplexity", figures.reference_perplexity);
  put_compared("perplexity_ratio", figures.perplexity_ratio);
  put_compared("mean_kld", figures.mean_kld);
  put_compared("median_kld", figures.median_kld);
  put_compared("kld_999", figures.kld_999);
  put_compared("top1_agreement", figures.top1_agreement);
  put_compared("top5_agreement", figures.top5_agreement);
  put_compared("rms_delta_p", figures.rms_delta_p);
  return json;
}

Json text_or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

void put_setting(Json& json, const EvalSetting& setting) {
  json["reference"] = text_or_null(setting.reference.reference);
  json["reference_weights_sha256"] = text_or_null(setting.reference.weights_sha256);
  json["reference_logits"] = text_or_null(setting.reference_logits);
  json["text"] = setting.text;
  json["windows"] = {
      {"positions", setting.positions}, {"bos", true}, {"overlap", setting.overlap}, {"documents", setting.documents}};
}

Json model_json(const EvalSetting& setting, const ModelEvaluation& evaluation) {
  const bool has_reference = !setting.reference.reference.empty();
  Json json = {{"model", evaluation.model}, {"scheme", text_or_null(evaluation.scheme)}};
  json.update(figures_json(evaluation.figures.whole, has_reference));
  put_setting(json, setting);
  json["categories"] = Json::array();
  for (size_t c = 0; c < setting.categories.size(); ++c) {
    Json category = {{"category", setting.categories[c]}};
    category.update(figures_json(evaluation.figures.categories[c], has_reference));
    json["categories"].push_back(std::move(category));
  }
  json["warnings"] = evaluation.warnings;
  if (evaluation.fit) json["cache_statistics"] = fit_json(*evaluation.fit);
  json["model_bytes"] = evaluation.bytes;
  json["tokens_per_s"] = evaluation.tokens_per_s;
  return json;
}

}  // namespace

Json to_json(const EvalSetting& setting, const std::vector<ModelEvaluation>& models) {
  Json json;
  if (models.empty()) {
    json["tokens"] = setting.tokens;
    put_setting(json, setting);
  } else if (models.size() == 1) {
    json = model_json(setting, models.front());
  } else {
    json["models"] = Json::array();
    for (const ModelEvaluation& model : models) json["models"].push_back(model_json(setting, model));
  }
  json["peak_rss_bytes"] = peak_rss_bytes();
  return json;
}

}  // namespace carat
