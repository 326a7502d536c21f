#pragma once

#include <string>

#include "loaded_model.h"
#include "text/chat.h"

namespace carat {

/// What a chat says first, in three lines: which model this is, what it takes in memory when the context is full, and
/// in which format it is talked to.
///
///     opal.gguf: q4_0, 12.8 million parameters, context 512, avx2 kernels, 2 threads, loaded in 0.03 s
///     memory: weights 7.4 MB, keys and values up to 720 kB, activations 5.35 MB
///     chat format: ...
std::string introduction(const LoadedModel& loaded, const ChatFormat& format);

}  // namespace carat
