#include "formats/protobuf.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace carat {
namespace {

/// All fields, or the message of the error.
Result<std::vector<ProtoField>> read_all(const std::string& bytes) {
  ProtoReader reader(as_bytes(bytes), "message");
  std::vector<ProtoField> fields;
  while (!reader.at_end()) {
    CARAT_TRY(fields.emplace_back(), reader.next());
  }
  return fields;
}

void expect_refused(const std::string& bytes, const std::string& message) {
  const auto fields = read_all(bytes);
  ASSERT_FALSE(fields.ok()) << message;
  EXPECT_EQ(fields.error().kind, ErrorKind::kRefused);
  EXPECT_TRUE(fields.error().message.starts_with("message: " + message)) << fields.error().message;
}

TEST(Protobuf, ReadsEveryKind) {
  // The bytes of protobuf.dev's own examples: 150 as field 1, "testing" as field 2.
  const std::string bytes = "\x08\x96\x01\x12\x07testing" + std::string("\x1D\0\0\x80\x3F", 5) +
                            std::string("\x21\1\0\0\0\0\0\0\0", 9) + "\x28\x01";
  const std::vector<ProtoField> fields = read_all(bytes).value();
  ASSERT_EQ(fields.size(), 5u);
  EXPECT_EQ(fields[0].number, 1u);
  EXPECT_EQ(fields[0].integer(), 150);
  EXPECT_EQ(as_text(*fields[1].text()), "testing");
  EXPECT_EQ(fields[2].number32(), 1.0f);
  EXPECT_EQ(fields[3].bits, 1u);
  EXPECT_EQ(fields[4].number, 5u);
  EXPECT_EQ(fields[4].flag(), true);
}

TEST(Protobuf, AFieldOfAnotherKindReadsAsNothing) {
  const ProtoField number = read_all("\x08\x96\x01").value()[0];
  EXPECT_FALSE(number.text() || number.number32());
  const ProtoField text = read_all("\x12\x01t").value()[0];
  EXPECT_FALSE(text.integer() || text.flag() || text.number32());
}

TEST(Protobuf, ReadsNegativeNumbers) {
  const ProtoField field = read_all("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01").value()[0];
  EXPECT_EQ(field.integer(), -1);
}

TEST(Protobuf, RefusesWhatIsDamaged) {
  expect_refused("\x08", "the message ends in the middle of a number");
  expect_refused("\x08\x80", "the message ends in the middle of a number");
  expect_refused("\x1D\x01\x02", "the message ends in the middle of a number");
  expect_refused("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", "a number of more than 64 bits");
  expect_refused("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "a number of more than 64 bits");
  expect_refused("\x12\x07test", "a field of 7 bytes does not fit");
  expect_refused("\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "a field of 18446744073709551615 bytes does not fit");
  expect_refused(std::string("\0\0", 2), "a field without a number");
  expect_refused("\x0B", "a field of kind 3");
  expect_refused("\x0F", "a field of kind 7");
}

TEST(Protobuf, AnyBytesAreReadOrRefused) {
  const bool held = rc::check("reading ends", [](const std::string& bytes) {
    const auto fields = read_all(bytes);
    const size_t count = fields.ok() ? fields->size() : 0;
    RC_ASSERT(count <= bytes.size());
  });
  EXPECT_TRUE(held);
}

}  // namespace
}  // namespace carat
