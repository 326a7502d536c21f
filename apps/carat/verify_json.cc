#include "verify_report.h"

namespace carat {
namespace {

using Json = nlohmann::ordered_json;

const char* result_name(VerifyResult result) {
  switch (result) {
    case VerifyResult::kSame:
      return "same";
    case VerifyResult::kDifferent:
      return "different";
    case VerifyResult::kOnLattice:
      return "on_lattice";
    case VerifyResult::kOffLattice:
      return "off_lattice";
    case VerifyResult::kDamaged:
      return "damaged";
    case VerifyResult::kUndeclared:
      return "undeclared";
  }
  __builtin_unreachable();
}

Json model_json(const VerifiedModel& model) {
  Json faults = Json::array();
  for (const IntegrityFault& fault : model.integrity.faults) {
    faults.push_back({{"file", fault.file}, {"text", fault.text}});
  }
  return {{"path", model.path},
          {"container", model.container.empty() ? Json() : Json(model.container)},
          {"digest_recorded", model.integrity.recorded},
          {"bytes_digested", model.integrity.bytes},
          {"faults", std::move(faults)}};
}

Json source_json(const SourceClaim& claim) {
  return {{"of", claim.of}, {"file", claim.file}, {"same", claim.same}, {"recorded_sha256", claim.recorded}};
}

Json tensor_json(const TensorComparison& tensor) {
  Json first = Json::array();
  for (const WeightDifference& place : tensor.first) {
    first.push_back({{"row", place.row}, {"column", place.column}, {"a", place.a}, {"b", place.b}});
  }
  return {{"name", tensor.name},
          {"type_a", tensor.type_a},
          {"type_b", tensor.type_b},
          {"exact_scales_beside", tensor.exact_scales_beside},
          {"problem", tensor.problem.empty() ? Json() : Json(tensor.problem)},
          {"rounded_to", tensor.rounded_to ? Json(dtype_name(*tensor.rounded_to)) : Json()},
          {"two_narrow_types", tensor.two_narrow_types},
          {"weights", tensor.weights},
          {"equal", tensor.equal},
          {"equal_rounded", tensor.equal_rounded},
          {"different", tensor.different},
          {"not_finite", tensor.not_finite},
          {"blocks", tensor.blocks},
          {"different_blocks", tensor.different_blocks},
          {"largest_difference", tensor.largest_difference},
          {"relative_rms", tensor.relative_rms},
          {"first", std::move(first)}};
}

Json optional_number(const std::optional<float>& number) { return number ? Json(*number) : Json(); }

Json comparison_json(const CheckpointComparison& comparison) {
  uint64_t weights = 0, equal = 0, equal_rounded = 0, different = 0, blocks = 0, different_blocks = 0;
  Json tensors = Json::array(), scales = Json::array();
  for (const TensorComparison& tensor : comparison.tensors) {
    weights += tensor.weights;
    equal += tensor.equal;
    equal_rounded += tensor.equal_rounded;
    different += tensor.different;
    blocks += tensor.blocks;
    different_blocks += tensor.different_blocks;
    tensors.push_back(tensor_json(tensor));
  }
  for (const ScaleDifference& scale : comparison.scales) {
    scales.push_back({{"name", scale.name}, {"a", optional_number(scale.a)}, {"b", optional_number(scale.b)}});
  }
  return {{"weights", weights},
          {"equal", equal},
          {"equal_rounded", equal_rounded},
          {"different", different},
          {"blocks", blocks},
          {"different_blocks", different_blocks},
          {"static_scales", comparison.static_scales},
          {"different_scales", std::move(scales)},
          {"contradictions", comparison.contradictions},
          {"tensors", std::move(tensors)}};
}

Json count_json(const RecoveryCount& count) {
  return {{"groups", count.groups},
          {"exact", count.exact},
          {"scale_unfit", count.scale_unfit},
          {"off_lattice", count.off_lattice}};
}

Json tensor_json(const TensorOnLattice& tensor) {
  Json first = Json::array();
  for (const OffLattice& place : tensor.first) {
    first.push_back(
        {{"row", place.row}, {"column", place.column}, {"value", place.value}, {"scale_unfit", place.scale_unfit}});
  }
  Json json = {{"name", tensor.name},       {"type", tensor.type},       {"lattice", tensor.lattice},
               {"weights", tensor.weights}, {"by_type", tensor.by_type}, {"on_lattice", tensor.on_lattice()}};
  json.update(count_json(tensor.count));
  json["first"] = std::move(first);
  return json;
}

Json lattice_json(const LatticeReport& report) {
  RecoveryCount all;
  uint64_t weights = 0;
  Json tensors = Json::array();
  for (const TensorOnLattice& tensor : report.tensors) {
    all.add(tensor.count);
    weights += tensor.weights;
    tensors.push_back(tensor_json(tensor));
  }
  Json json = {{"scheme", report.scheme.empty() ? Json() : Json(report.scheme)},
               {"weights", weights},
               {"other_weights", report.other_weights}};
  json.update(count_json(all));
  json["missing_quantizers"] = report.missing_quantizers;
  json["tensors"] = std::move(tensors);
  return json;
}

Json sample_json(const LatticeSample& sample) {
  return {{"lattice", sample.lattice},
          {"scheme", sample.scheme},
          {"groups", sample.count.groups},
          {"telling", sample.count.telling},
          {"telling_exact", sample.count.telling_exact}};
}

}  // namespace

Json verify_json(const VerifyReport& report) {
  const VerifyResult result = result_of(report);
  Json models = Json::array(), sources = Json::array(), samples = Json::array();
  for (const VerifiedModel& model : report.models) models.push_back(model_json(model));
  for (const SourceClaim& claim : report.sources) sources.push_back(source_json(claim));
  for (const LatticeSample& sample : report.samples) samples.push_back(sample_json(sample));
  return {{"result", result_name(result)},
          {"proven", is_proven(result)},
          {"verdict", verdict_of(report)},
          {"models", std::move(models)},
          {"refusal", report.refusal.empty() ? Json() : Json(report.refusal)},
          {"sources", std::move(sources)},
          {"comparison", report.comparison ? comparison_json(*report.comparison) : Json()},
          {"lattice", report.lattice ? lattice_json(*report.lattice) : Json()},
          {"samples", std::move(samples)}};
}

}  // namespace carat
