#include "kernels/select.h"

#include <cstdlib>
#include <string>

#include "base/cpu.h"

namespace carat {

std::vector<const Kernels*> all_kernels() {
  std::vector<const Kernels*> tables;
  const CpuFeatures cpu = cpu_features();
  if (kAvx2Kernels != nullptr && cpu.avx2 && cpu.fma && cpu.f16c) tables.push_back(kAvx2Kernels);
  tables.push_back(&kReferenceKernels);
  return tables;
}

Result<const Kernels*> kernels_named(std::string_view name) {
  std::string names;
  for (const Kernels* table : all_kernels()) {
    if (name == table->name) return table;
    names += (names.empty() ? "" : ", ") + std::string(table->name);
  }
  return wrong_usage("kernels '" + std::string(name) + "': unknown, or not for this processor; choose one of " + names);
}

Result<const Kernels*> select_kernels() {
  const char* forced = std::getenv("CARAT_KERNELS");
  if (forced == nullptr) return all_kernels().front();
  auto table = kernels_named(forced);
  if (!table.ok()) return wrong_usage("CARAT_KERNELS: " + table.error().message);
  return table;
}

}  // namespace carat
