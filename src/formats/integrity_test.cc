#include "formats/integrity.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/file_map.h"
#include "base/sha256.h"
#include "formats/checkpoint.h"
#include "formats/gguf.h"
#include "tests/support/tiny_model.h"

namespace carat {
namespace {

namespace fs = std::filesystem;

std::string read(const fs::path& path) { return read_text_file(path, 1 << 26).value(); }

void write(const fs::path& path, const std::string& content) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
}

std::string with_flipped_bit(std::string content, size_t at) {
  content[at] = static_cast<char>(content[at] ^ 1);
  return content;
}

Integrity check(const fs::path& path) { return check_integrity(path, nullptr).value(); }

void expect_intact(const fs::path& path) {
  const Integrity integrity = check(path);
  EXPECT_TRUE(integrity.recorded);
  EXPECT_TRUE(records_digests(path).value());
  EXPECT_TRUE(integrity.faults.empty()) << integrity.faults.front().file << " " << integrity.faults.front().text;
}

/// One fault, of this file, with these words.
void expect_fault(const fs::path& path, const std::string& file, const std::string& words) {
  const Integrity integrity = check(path);
  ASSERT_EQ(integrity.faults.size(), 1u) << path << " " << words;
  EXPECT_EQ(integrity.faults[0].file, file);
  EXPECT_NE(integrity.faults[0].text.find(words), std::string::npos) << integrity.faults[0].text;
}

class IntegrityTest : public testing::Test {
 protected:
  TemporaryFolder scratch_;
  fs::path gguf_ = scratch_ / "model.gguf";
  fs::path folder_ = scratch_ / "folder";
};

TEST_F(IntegrityTest, AnIntactCheckpointHasNoFault) {
  TinyModel().write(gguf_, "q4_0").value();
  TinyModel().write(folder_, "bf16").value();
  expect_intact(gguf_);
  expect_intact(folder_);
  EXPECT_EQ(check(gguf_).bytes, fs::file_size(gguf_));
  uint64_t bytes = 0;
  for (const auto& entry : fs::directory_iterator(folder_)) bytes += entry.file_size();
  EXPECT_EQ(check(folder_).bytes, bytes - fs::file_size(folder_ / "config.json"));
}

// As docs/provenance.md has it.
TEST_F(IntegrityTest, TheDigestIsThatOfTheFileWithZerosInItsPlace) {
  TinyModel().write(gguf_, "q4_0").value();
  std::string content = read(gguf_);
  const size_t begin = content.find("carat.sha256") + 24;
  const std::string recorded = content.substr(begin, 64);
  content.replace(begin, 64, 64, '0');
  EXPECT_EQ(recorded, sha256(content));

  TinyModel().write(folder_, "bf16").value();
  const auto files = nlohmann::json::parse(read(folder_ / "config.json"))["carat_files"];
  size_t others = 0;
  for (const auto& entry : fs::directory_iterator(folder_)) {
    const std::string name = entry.path().filename().string();
    if (name == "config.json") continue;
    ++others;
    EXPECT_EQ(files[name]["sha256"], sha256(read(entry.path()))) << name;
    EXPECT_EQ(files[name]["bytes"], entry.file_size()) << name;
  }
  EXPECT_EQ(files.size(), others);
}

TEST_F(IntegrityTest, NamesAGgufFileThatIsCutShort) {
  TinyModel().write(gguf_, "q4_0").value();
  const std::string whole = read(gguf_);
  const size_t data = whole.size() - 5000;
  for (const size_t size : {data, whole.size() - 4000, whole.size() - 33, whole.size() - 1}) {
    write(gguf_, whole.substr(0, size));
    expect_fault(gguf_, "model.gguf",
                 "is cut short: " + std::to_string(size) + " of " + std::to_string(whole.size()) + " bytes are there");
    const auto opened = Checkpoint::open(gguf_);
    if (size + 32 < whole.size()) {
      EXPECT_NE(opened.error().message.find("cut short: " + std::to_string(size) + " of "), std::string::npos)
          << opened.error().message;
    }
  }
  for (const size_t size : {size_t{0}, size_t{3}, size_t{100}, size_t{3000}}) {
    write(gguf_, whole.substr(0, size));
    EXPECT_EQ(check(gguf_).faults.size(), 1u) << size;
  }
  write(gguf_, whole + "more");
  expect_fault(gguf_, "model.gguf", "was altered: it has " + std::to_string(whole.size() + 4) + " bytes, expected ");
}

TEST_F(IntegrityTest, NamesAGgufFileOfWhichABitHasChanged) {
  TinyModel().write(gguf_, "q4_0").value();
  const std::string whole = read(gguf_);
  const size_t digits = whole.find("carat.sha256") + 24;
  const size_t value = whole.find("gemma4.context_length") + std::string("gemma4.context_length").size() + 4;
  for (const size_t at : {digits, value, whole.find("<|turn>"), whole.size() - 3000, whole.size() - 1}) {
    write(gguf_, with_flipped_bit(whole, at));
    expect_fault(gguf_, "model.gguf", "was altered: its SHA-256 is ");
  }
  // Nothing of the header is believed; what cannot be read is a fault too.
  for (size_t at = 0; at < digits + 100; ++at) {
    write(gguf_, with_flipped_bit(whole, at));
    const Integrity integrity = check(gguf_);
    const bool digest_is_lost = integrity.faults.empty() && !integrity.recorded;
    EXPECT_TRUE(integrity.faults.size() == 1 || digest_is_lost) << at;
  }
  std::string wrong = whole;
  wrong.replace(digits, 64, 64, 'X');
  write(gguf_, wrong);
  expect_fault(gguf_, "model.gguf", "carat.sha256: expected a string of 64 hexadecimal digits, found \"XXX");
}

TEST_F(IntegrityTest, NamesTheFileOfAFolder) {
  TinyModel().write(folder_, "bf16").value();
  for (const char* name : {"model.safetensors", "tokenizer.json", "generation_config.json"}) {
    const fs::path path = folder_ / name;
    const std::string whole = read(path);
    for (const size_t at : {size_t{20}, whole.size() / 2, whole.size() - 1}) {
      write(path, with_flipped_bit(whole, at));
      expect_fault(folder_, name, "was altered: its SHA-256 is ");
    }
    for (const size_t size : {size_t{0}, size_t{20}, whole.size() - 1}) {
      write(path, whole.substr(0, size));
      expect_fault(folder_, name,
                   "is cut short: " + std::to_string(size) + " of " + std::to_string(whole.size()) + " bytes");
    }
    write(path, whole + " ");
    expect_fault(folder_, name, "was altered: it has ");
    fs::remove(path);
    expect_fault(folder_, name, "is missing");
    write(path, whole);
  }
  expect_intact(folder_);
}

TEST_F(IntegrityTest, RefusesARecordThatNamesOtherPlaces) {
  TinyModel().write(folder_, "bf16").value();
  auto config = nlohmann::ordered_json::parse(read(folder_ / "config.json"));
  const auto files = config["carat_files"];
  const auto expect = [&](const nlohmann::ordered_json& record, const std::string& words) {
    config["carat_files"] = record;
    write(folder_ / "config.json", config.dump());
    expect_fault(folder_, "config.json", words);
  };
  const auto& entry = files["tokenizer.json"];
  expect("text", "carat_files: expected an object");
  for (const nlohmann::ordered_json& record : {nlohmann::ordered_json::object(), {{"tokenizer.json", entry}}}) {
    config["carat_files"] = record;
    write(folder_ / "config.json", config.dump());
    expect_fault(folder_, "model.safetensors", "is not among the files whose digests config.json records");
  }
  for (const char* name : {"../config.json", "/etc/hostname", "a/b", "..", ""}) {
    expect({{name, entry}}, "expected the name of a file of this folder");
  }
  expect({{"tokenizer.json", 5}}, "tokenizer.json: expected an object");
  expect({{"tokenizer.json", {{"bytes", -1}, {"sha256", entry["sha256"]}}}}, "expected bytes of 0 or more");
  expect({{"tokenizer.json", {{"bytes", 1}, {"sha256", "0"}}}}, "64 hexadecimal digits");
  write(folder_ / "config.json", "{");
  expect_fault(folder_, "config.json", "is no valid JSON");
  fs::remove(folder_ / "config.json");
  EXPECT_FALSE(check_integrity(folder_, nullptr).ok());
  EXPECT_FALSE(check_integrity(scratch_ / "missing", nullptr).ok());
}

/// A folder of another program: two shards and an index, nothing recorded.
TEST_F(IntegrityTest, ComparesFilesOfOthersWithTheirHeaders) {
  TinyModel().write(folder_, "bf16").value();
  auto config = nlohmann::ordered_json::parse(read(folder_ / "config.json"));
  config.erase("carat_files");
  write(folder_ / "config.json", config.dump());
  fs::rename(folder_ / "model.safetensors", folder_ / "one.safetensors");
  fs::copy(folder_ / "one.safetensors", folder_ / "two.safetensors");
  write(folder_ / "model.safetensors.index.json",
        R"({"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}})");
  EXPECT_EQ(weight_files(folder_).value(),
            (std::vector<fs::path>{folder_ / "one.safetensors", folder_ / "two.safetensors"}));
  EXPECT_FALSE(check(folder_).recorded);
  EXPECT_FALSE(records_digests(folder_).value());
  EXPECT_TRUE(check(folder_).faults.empty());

  const std::string whole = read(folder_ / "two.safetensors");
  write(folder_ / "two.safetensors", whole.substr(0, whole.size() - 1));
  expect_fault(folder_, "two.safetensors",
               "is cut short: " + std::to_string(whole.size() - 1) + " of " + std::to_string(whole.size()));
  write(folder_ / "two.safetensors", whole.substr(0, 100));
  expect_fault(folder_, "two.safetensors", "cut short or no safetensors file");
  fs::remove(folder_ / "two.safetensors");
  expect_fault(folder_, "two.safetensors", "is missing");
}

TEST_F(IntegrityTest, OpeningAFolderThatIsCutShortSaysSo) {
  TinyModel().write(folder_, "bf16").value();
  const std::string whole = read(folder_ / "model.safetensors");
  write(folder_ / "model.safetensors", whole.substr(0, whole.size() - 10));
  const auto opened = Checkpoint::open(folder_);
  ASSERT_FALSE(opened.ok());
  EXPECT_NE(opened.error().message.find("cut short: " + std::to_string(whole.size() - 10) + " of " +
                                        std::to_string(whole.size()) + " bytes are there"),
            std::string::npos)
      << opened.error().message;
}

TEST_F(IntegrityTest, DigestsOfFilesAreThoseOfTheirBytes) {
  const std::string large(std::string(9 << 20, 'x') + "end");  // more than one piece
  write(scratch_ / "large", large);
  write(scratch_ / "empty", "");
  uint64_t last = 0;
  const auto files = digest_files({scratch_ / "large", scratch_ / "empty"}, [&](uint64_t done, uint64_t total) {
    EXPECT_EQ(total, large.size());
    EXPECT_GT(done, last);
    last = done;
    return true;
  });
  EXPECT_EQ(last, large.size());
  const std::vector<SourceFile> expected = {{"large", large.size(), sha256(large)}, {"empty", 0, sha256("")}};
  EXPECT_EQ(files.value(), expected);

  const auto stopped = digest_files({scratch_ / "large"}, [](uint64_t, uint64_t) { return false; });
  EXPECT_EQ(stopped.error().kind, ErrorKind::kInterrupted);
  EXPECT_FALSE(digest_files({scratch_ / "missing"}, nullptr).ok());
}

}  // namespace
}  // namespace carat
