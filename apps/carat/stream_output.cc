#include "stream_output.h"

#include "output.h"
#include "text/stream.h"

namespace carat {

Result<Generation> stream_generation(Session& session, const Tokenizer& tokenizer, std::span<const int32_t> prompt,
                                     const GenerationOptions& options, const std::atomic<bool>& interrupted) {
  TextStream text(tokenizer);
  Status written = success();
  CARAT_TRY(Generation generation, generate(session, prompt, options, [&](int32_t id) {
              written = write_output(text.append(id));
              return written.ok() && !interrupted;
            }));
  CARAT_TRY_STATUS(std::move(written));
  CARAT_TRY_STATUS(write_output(text.end() + "\n"));
  return generation;
}

}  // namespace carat
