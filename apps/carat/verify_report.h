#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "formats/integrity.h"
#include "formats/verify.h"

namespace carat {

/// A model that was looked at.
struct VerifiedModel {
  std::string path;
  std::string container;  ///< empty when it could not be opened
  Integrity integrity;
};

/// What a model says of a file of the other one: whether it was made from it.
struct SourceClaim {
  std::string of;        ///< path of the model that says it
  std::string file;      ///< of the other model
  bool same = false;     ///< the file is the one that it was made from, or another one of that name
  std::string recorded;  ///< SHA-256 that it records
};

/// All that `carat verify` found.
struct VerifyReport {
  std::vector<VerifiedModel> models;  ///< one or two
  std::string refusal;                ///< why one that is damaged could not be read; empty when all were
  std::vector<SourceClaim> sources;
  std::optional<CheckpointComparison> comparison;
  std::optional<LatticeReport> lattice;
  std::vector<LatticeSample> samples;  ///< of floats that declare nothing
};

enum class VerifyResult : uint8_t { kSame, kDifferent, kOnLattice, kOffLattice, kDamaged, kUndeclared };

VerifyResult result_of(const VerifyReport& report);

/// Whether everything is as it should be.
bool is_proven(VerifyResult result);

/// The result in one line.
std::string verdict_of(const VerifyReport& report);

/// Tables for people, with the verdict as the last line.
std::string verify_text(const VerifyReport& report);

nlohmann::ordered_json verify_json(const VerifyReport& report);

}  // namespace carat
