#include "formats/tflite.h"

#include <algorithm>

#include "formats/quote.h"

namespace carat {
namespace {

// Well above a graph of Gemma's; they bound what a file of nothing but tiny entries makes us keep.
constexpr size_t kMostEntries = 1 << 16;
constexpr size_t kMostDimensions = 8;
constexpr size_t kMostOperands = 4096;
// Operators above this number have theirs in a newer field.
constexpr int8_t kHighestOldOperator = 127;

class Parser {
 public:
  Parser(Bytes bytes, const std::string& source) : bytes_(bytes), source_(source) {}

  Result<TfliteGraph> parse(std::string_view signature) {
    constexpr std::string_view kMark = "TFL3";
    if (bytes_.size() < 8 || as_text(bytes_.subspan(4, kMark.size())) != kMark) {
      return error("expected a TFLite model, which has \"TFL3\" at byte 4; the file is damaged");
    }
    CARAT_TRY(const FlatTable model, FlatTable::root(bytes_, source_));
    TfliteGraph graph;
    CARAT_TRY(const uint32_t index, find_graph(model, signature, graph));
    CARAT_TRY(const FlatTables graphs, model.tables(2));
    if (index >= graphs.size()) return error("graph " + std::to_string(index) + " is missing; the file is damaged");
    CARAT_TRY(const FlatTable entry, graphs.at(index));
    CARAT_TRY_STATUS(read_tensors(model, entry, graph));
    CARAT_TRY_STATUS(read_operators(model, entry, graph));
    const auto outside = std::ranges::find_if(graph.inputs, [&](const TfliteInput& input) {
      return input.tensor < 0 || static_cast<size_t>(input.tensor) >= graph.tensors.size();
    });
    if (outside != graph.inputs.end()) return error("input " + in_quotes(outside->name) + " names no tensor");
    return graph;
  }

 private:
  Error error(const std::string& message) const { return refused(source_ + ": " + message); }

  Status check_count(const char* what, size_t count, size_t most) const {
    if (count <= most) return success();
    return error(std::to_string(count) + " " + what + ", expected at most " + std::to_string(most));
  }

  /// An honest file stores no byte twice, so that all texts and lists of it take less than the file.
  Status spend(size_t bytes) {
    if (bytes > bytes_.size() - spent_)
      return error("names, scales and lists that lie on each other; the file is damaged");
    spent_ += bytes;
    return success();
  }

  /// The graph of the signature; fills in its inputs.
  Result<uint32_t> find_graph(const FlatTable& model, std::string_view signature, TfliteGraph& graph) {
    CARAT_TRY(const FlatTables signatures, model.tables(7));
    CARAT_TRY_STATUS(check_count("signatures", signatures.size(), kMostEntries));
    for (size_t i = 0; i < signatures.size(); ++i) {
      CARAT_TRY(const FlatTable entry, signatures.at(i));
      CARAT_TRY(const std::string_view key, entry.text(2));
      if (key != signature) continue;
      CARAT_TRY(const FlatTables inputs, entry.tables(0));
      CARAT_TRY_STATUS(check_count("inputs", inputs.size(), kMostEntries));
      for (size_t input = 0; input < inputs.size(); ++input) {
        CARAT_TRY(const FlatTable named, inputs.at(input));
        CARAT_TRY(const std::string_view name, named.text(0));
        CARAT_TRY_STATUS(spend(name.size()));
        CARAT_TRY(const uint32_t tensor, named.number<uint32_t>(1, 0));
        graph.inputs.push_back({name, static_cast<int32_t>(std::min<uint32_t>(tensor, INT32_MAX))});
      }
      return entry.number<uint32_t>(4, 0);
    }
    return uint32_t{0};
  }

  Status read_tensors(const FlatTable& model, const FlatTable& entry, TfliteGraph& graph) {
    CARAT_TRY(const FlatTables tensors, entry.tables(0));
    CARAT_TRY_STATUS(check_count("tensors", tensors.size(), kMostEntries));
    CARAT_TRY(const FlatTables buffers, model.tables(4));
    for (size_t i = 0; i < tensors.size(); ++i) {
      CARAT_TRY(const FlatTable table, tensors.at(i));
      CARAT_TRY(TfliteTensor tensor, read_tensor(table, buffers));
      graph.tensors.push_back(std::move(tensor));
    }
    return success();
  }

  Result<TfliteTensor> read_tensor(const FlatTable& table, const FlatTables& buffers) {
    TfliteTensor tensor{};
    CARAT_TRY(tensor.name, table.text(3));
    CARAT_TRY_STATUS(spend(tensor.name.size()));
    CARAT_TRY(const int8_t type, table.number<int8_t>(1, 0));
    tensor.type = static_cast<TfliteType>(type);
    CARAT_TRY(const auto shape, table.numbers<int32_t>(0));
    CARAT_TRY_STATUS(check_count("dimensions", shape.size(), kMostDimensions));
    for (size_t d = 0; d < shape.size(); ++d) tensor.shape.push_back(shape[d]);
    CARAT_TRY_STATUS(read_quantization(table, tensor));
    CARAT_TRY(const uint32_t external, table.number<uint32_t>(10, 0));
    if (external != 0) {
      return error(printable(tensor.name) +
                   ": its values lie in a section of their own (TFLiteWeights), which is not supported; "
                   "use a bundle that keeps them in its models");
    }
    CARAT_TRY(const uint32_t buffer, table.number<uint32_t>(2, 0));
    if (buffer >= buffers.size())
      return error(printable(tensor.name) + ": buffer " + std::to_string(buffer) + " is missing");
    CARAT_TRY(const FlatTable stored, buffers.at(buffer));
    CARAT_TRY(tensor.data, read_buffer(stored, printable(tensor.name)));
    return tensor;
  }

  Status read_quantization(const FlatTable& table, TfliteTensor& tensor) {
    CARAT_TRY(const std::optional<FlatTable> quantization, table.table(4));
    if (!quantization) return success();
    CARAT_TRY(tensor.scales, quantization->numbers<float>(2));
    CARAT_TRY(tensor.zero_points, quantization->numbers<int64_t>(3));
    CARAT_TRY_STATUS(spend(tensor.scales.bytes().size()));
    CARAT_TRY_STATUS(spend(tensor.zero_points.bytes().size()));
    CARAT_TRY(tensor.quantized_dimension, quantization->number<int32_t>(6, 0));
    return success();
  }

  Result<Bytes> read_buffer(const FlatTable& buffer, const std::string& where) const {
    CARAT_TRY(const uint64_t offset, buffer.number<uint64_t>(1, 0));
    CARAT_TRY(const uint64_t size, buffer.number<uint64_t>(2, 0));
    // 0 and 1 stand for data inside the flatbuffer.
    if (offset <= 1) {
      CARAT_TRY(const auto data, buffer.numbers<std::byte>(0));
      return data.bytes();
    }
    if (offset <= bytes_.size() && size <= bytes_.size() - offset) return bytes_.subspan(offset, size);
    return error(where + ": " + std::to_string(size) + " bytes at byte " + std::to_string(offset) +
                 " do not fit in the model's " + std::to_string(bytes_.size()) + "; the file is truncated or damaged");
  }

  Status read_operators(const FlatTable& model, const FlatTable& entry, TfliteGraph& graph) {
    CARAT_TRY(const std::vector<TfliteOp> codes, read_codes(model));
    CARAT_TRY(const FlatTables operators, entry.tables(3));
    CARAT_TRY_STATUS(check_count("operators", operators.size(), kMostEntries));
    for (size_t i = 0; i < operators.size(); ++i) {
      CARAT_TRY(const FlatTable table, operators.at(i));
      CARAT_TRY(const uint32_t code, table.number<uint32_t>(0, 0));
      if (code >= codes.size()) return error("operator " + std::to_string(i) + " is of no kind");
      CARAT_TRY(const auto inputs, table.numbers<int32_t>(1));
      CARAT_TRY(const auto outputs, table.numbers<int32_t>(2));
      CARAT_TRY_STATUS(check_operands(inputs, graph.tensors.size()));
      CARAT_TRY_STATUS(check_operands(outputs, graph.tensors.size()));
      graph.operators.push_back({codes[code], inputs, outputs});
    }
    return success();
  }

  Result<std::vector<TfliteOp>> read_codes(const FlatTable& model) const {
    CARAT_TRY(const FlatTables tables, model.tables(1));
    CARAT_TRY_STATUS(check_count("kinds of operators", tables.size(), kMostEntries));
    std::vector<TfliteOp> codes;
    for (size_t i = 0; i < tables.size(); ++i) {
      CARAT_TRY(const FlatTable table, tables.at(i));
      CARAT_TRY(const int8_t old, table.number<int8_t>(0, 0));
      CARAT_TRY(const int32_t code, table.number<int32_t>(3, 0));
      codes.push_back(static_cast<TfliteOp>(old < kHighestOldOperator ? std::max<int32_t>(old, code) : code));
    }
    return codes;
  }

  Status check_operands(const FlatNumbers<int32_t>& operands, size_t tensors) {
    CARAT_TRY_STATUS(check_count("operands", operands.size(), kMostOperands));
    CARAT_TRY_STATUS(spend(operands.bytes().size()));
    for (size_t i = 0; i < operands.size(); ++i) {
      if (operands[i] < -1 || operands[i] >= static_cast<int64_t>(tensors)) {
        return error("an operator names tensor " + std::to_string(operands[i]) + " of " + std::to_string(tensors));
      }
    }
    return success();
  }

  Bytes bytes_;
  const std::string& source_;
  size_t spent_ = 0;
};

}  // namespace

std::optional<DType> dtype_of(TfliteType type) {
  switch (type) {
    case TfliteType::kF32:
      return DType::kF32;
    case TfliteType::kI8:
      return DType::kI8;
    case TfliteType::kI4:
      return DType::kS4;
    case TfliteType::kI2:
      return DType::kS2;
  }
  return std::nullopt;
}

Result<TfliteGraph> read_tflite(Bytes model, std::string_view signature, const std::string& source) {
  return Parser(model, source).parse(signature);
}

}  // namespace carat
