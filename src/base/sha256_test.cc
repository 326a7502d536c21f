#include "base/sha256.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace carat {
namespace {

/// Those that this processor can run.
std::vector<Sha256Blocks> implementations() {
  std::vector<Sha256Blocks> all = {add_blocks_portable};
  if (const Sha256Blocks x86 = x86_sha256_blocks()) all.push_back(x86);
  return all;
}

std::string digest_in_pieces(Sha256Blocks blocks, std::string_view text, size_t piece) {
  Sha256 hash(blocks);
  for (size_t at = 0; at < text.size(); at += piece) hash.update(as_bytes(text.substr(at, piece)));
  return hash.digest();
}

// The examples of FIPS 180-4 and of NIST's SHA256ShortMsg and SHA256LongMsg files.
TEST(Sha256, GivesTheDigestsOfTheStandard) {
  EXPECT_EQ(sha256(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(sha256("\xd3"), "28969cdfa74a12c82f3bad960b0b000aca2ac329deea5c2328ebc6f2ba9802c1");
  EXPECT_EQ(sha256(std::string(1000000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

// Lengths around the places where the padding needs another block; the digests are those of Python's hashlib.
TEST(Sha256, PadsEveryLength) {
  EXPECT_EQ(sha256(std::string(55, 'x')), "d5e285683cd4efc02d021a5c62014694958901005d6f71e89e0989fac77e4072");
  EXPECT_EQ(sha256(std::string(56, 'x')), "04c26261370ee7541549d16dee320c723e3fd14671e66a099afe0a377c16888e");
  EXPECT_EQ(sha256(std::string(63, 'x')), "75220b47218278e656f2013bb8f0c455a25eaf01e86c64924e9d48d89776d6f2");
  EXPECT_EQ(sha256(std::string(64, 'x')), "7ce100971f64e7001e8fe5a51973ecdfe1ced42befe7ee8d5fd6219506b5393c");
  EXPECT_EQ(sha256(std::string(65, 'x')), "9537c5fdf120482f7d58d25e9ed583f52c02b4e304ea814db1633ad565aed7e9");
}

TEST(Sha256, EveryImplementationGivesTheDigestsOfTheStandard) {
  for (const Sha256Blocks blocks : implementations()) {
    EXPECT_EQ(digest_in_pieces(blocks, "", 1), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    EXPECT_EQ(digest_in_pieces(blocks, "abc", 3), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    EXPECT_EQ(digest_in_pieces(blocks, std::string(1000000, 'a'), 4096),
              "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  }
}

TEST(Sha256, ADigestDependsNeitherOnThePiecesNorOnTheProcessor) {
  std::string text;
  for (int i = 0; i < 200; ++i) text += static_cast<char>(i * 37 + 11);
  for (size_t length = 0; length <= text.size(); ++length) {
    const std::string_view part = std::string_view(text).substr(0, length);
    const std::string expected = digest_in_pieces(add_blocks_portable, part, std::max<size_t>(length, 1));
    EXPECT_EQ(sha256(part), expected);
    for (const Sha256Blocks blocks : implementations()) {
      for (const size_t piece : {1, 3, 63, 64, 65, 127, 128, 200}) {
        EXPECT_EQ(digest_in_pieces(blocks, part, piece), expected) << length << " in pieces of " << piece;
      }
    }
  }
}

TEST(Sha256, MoreMayFollowADigest) {
  Sha256 hash;
  hash.update(as_bytes("abc"));
  EXPECT_EQ(hash.digest(), sha256("abc"));
  hash.update(as_bytes("def"));
  EXPECT_EQ(hash.digest(), sha256("abcdef"));
}

TEST(Sha256, KnowsADigest) {
  EXPECT_TRUE(is_sha256(sha256("abc")));
  EXPECT_FALSE(is_sha256(sha256("abc") + "0"));
  EXPECT_FALSE(is_sha256(sha256("abc").substr(1)));
  EXPECT_FALSE(is_sha256("BA7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
}

}  // namespace
}  // namespace carat
