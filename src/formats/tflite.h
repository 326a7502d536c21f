#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/flatbuffer.h"
#include "tensor/tensor.h"

namespace carat {

/// Element types of TFLite that Carat reads, with their numbers in the file; others stay numbers.
enum class TfliteType : int8_t { kF32 = 0, kI8 = 9, kI4 = 17, kI2 = 19 };

/// The type that holds the same numbers inside Carat; 4 and 2 bits are two's complement. Nothing for other types.
std::optional<DType> dtype_of(TfliteType type);

/// Operators by their numbers in the file; others stay numbers.
enum class TfliteOp : int32_t { kFullyConnected = 9, kMul = 18, kComposite = 206 };

struct TfliteTensor {
  std::string_view name;
  TfliteType type;
  Shape shape;
  Bytes data;  ///< empty for what is computed
  FlatNumbers<float> scales;
  FlatNumbers<int64_t> zero_points;
  int32_t quantized_dimension;

  bool is_constant() const { return !data.empty(); }
};

/// Indices of tensors are in range; -1 stands for an input that is left out.
struct TfliteOperator {
  TfliteOp op;
  FlatNumbers<int32_t> inputs;
  FlatNumbers<int32_t> outputs;
};

/// An input of the whole graph by the name that its signature gives it.
struct TfliteInput {
  std::string_view name;
  int32_t tensor;
};

/// One graph of a TFLite model. Views lie in the model's bytes.
struct TfliteGraph {
  std::vector<TfliteTensor> tensors;
  std::vector<TfliteOperator> operators;  ///< in the order in which they run
  std::vector<TfliteInput> inputs;        ///< empty when the model has no signature of that name
};

/// The graph of the signature `signature`, or the first one of a model that has no such signature (TensorFlow:
/// lite/schema/schema.fbs). What constants hold lies in the flatbuffer or at an offset behind it. Refuses constants
/// outside of `model`, indices without tensors, constants in a file of their own, and counts that no model has.
/// `source` names the model in messages and outlives what is returned.
Result<TfliteGraph> read_tflite(Bytes model, std::string_view signature, const std::string& source);

}  // namespace carat
