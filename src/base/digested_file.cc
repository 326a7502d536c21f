#include "base/digested_file.h"

namespace carat {

Result<DigestedFile> DigestedFile::create(const std::filesystem::path& target) {
  CARAT_TRY(AtomicFile file, AtomicFile::create(target));
  return DigestedFile(std::move(file));
}

Status DigestedFile::write(Bytes bytes) {
  hash_.update(bytes);
  return file_.write(bytes);
}

}  // namespace carat
