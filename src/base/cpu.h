#pragma once

namespace carat {

/// Instruction sets that this processor and the operating system can run.
struct CpuFeatures {
  bool avx2 = false;
  bool fma = false;
  bool f16c = false;
  bool sha = false;  ///< those for SHA-256, and SSE 4.1
};

CpuFeatures cpu_features();

/// Processors that this process may use: its scheduling affinity, lowered by a cgroup's CPU quota (rounded up).
int available_cores();

}  // namespace carat
