#include "eval/eval_text.h"

#include <gtest/gtest.h>

#include <fstream>

#include "kernels/select.h"
#include "model/model.h"
#include "tests/support/golden_logits.h"
#include "tests/support/tiny_model.h"
#include "text/tokenizer.h"

namespace carat {
namespace {

void expect_refused(const std::string& content, const std::string& expected) {
  const auto lines = parse_text_lines(content, "t.jsonl");
  ASSERT_FALSE(lines.ok()) << content;
  EXPECT_NE(lines.error().message.find(expected), std::string::npos) << lines.error().message;
}

TEST(TextLinesTest, HaveATextAndPerhapsACategory) {
  const auto lines = parse_text_lines(
      "{\"text\": \"one\\ntwo\", \"category\": \"code\"}\n\n \r\n"
      "{\"text\": \"three\", \"source\": [1, {\"a\": null}]}\r\n"
      "{\"text\": \"four\", \"category\": null}",
      "t.jsonl");
  ASSERT_TRUE(lines.ok()) << lines.error().message;
  ASSERT_EQ(lines->size(), 3u);
  EXPECT_EQ((*lines)[0].text, "one\ntwo");
  EXPECT_EQ((*lines)[0].category, "code");
  EXPECT_EQ((*lines)[1].text, "three");
  EXPECT_EQ((*lines)[1].category, "");
  EXPECT_EQ((*lines)[2].category, "");
}

TEST(TextLinesTest, AreRefusedByTheirNumber) {
  const std::string good = "{\"text\": \"a\"}\n\n";
  expect_refused(good + "{\"text\": \"a\"", "t.jsonl, line 3: is no valid JSON");
  expect_refused(good + "[]", "line 3: expected a JSON object");
  expect_refused(good + "{\"category\": \"code\"}", "line 3: text: is missing");
  expect_refused(good + "{\"text\": 5}", "line 3: text: ");
  expect_refused(good + "{\"text\": \"\"}", "line 3: text: is empty");
  expect_refused(good + "{\"text\": \"\xff\"}", "line 3: is no valid JSON");
  expect_refused(good + "{\"text\": \"a\", \"category\": 1}", "line 3: category: ");
  expect_refused(good + "{\"text\": \"a\", \"category\": \"\"}", "line 3: category: expected 1 to 64");
  expect_refused(good + "{\"text\": \"a\", \"category\": \"\\u001b[2J\"}", "\\x1b");
  expect_refused(good + "{\"text\": \"a\", \"category\": \"" + std::string(65, 'c') + "\"}", "line 3: category: ");
  expect_refused("{\"text\": " + std::string(100'000, '['), "line 1: is no valid JSON");
  expect_refused("\n \n", "is empty");
}

class EvalTextTest : public ::testing::Test {
 protected:
  Result<EvalText> read(const char* name, const std::string& content) {
    std::ofstream(folder_ / name, std::ios::binary) << content;
    return read_eval_text(folder_ / name, vocabulary_);
  }

  TemporaryFolder folder_;
  Vocabulary vocabulary_ = Checkpoint::open(golden_model("e2b_bf16").folder)->vocabulary();
  Tokenizer tokenizer_ = Tokenizer::create(vocabulary_).value();
};

TEST_F(EvalTextTest, AnyOtherFileIsOneDocument) {
  const std::string content = "{\"text\": \"the sand\"}\n";
  const EvalText text = read("t.txt", content).value();
  ASSERT_EQ(text.documents.size(), 1u);
  EXPECT_EQ(text.documents[0].ids, tokenizer_.encode(content));
  EXPECT_FALSE(text.documents[0].category);
  EXPECT_TRUE(text.categories.empty());
  EXPECT_EQ(read("t.txt", "").error().kind, ErrorKind::kUsage);
}

TEST_F(EvalTextTest, CategoriesAreInTheOrderInWhichTheyCome) {
  const EvalText text = read("t.jsonl",
                             "{\"text\": \"the sand\", \"category\": \"prose\"}\n"
                             "{\"text\": \"in hand\"}\n"
                             "{\"text\": \"a = b\", \"category\": \"code\"}\n"
                             "{\"text\": \"a stone\", \"category\": \"prose\"}\n")
                            .value();
  EXPECT_EQ(text.categories, (std::vector<std::string>{"prose", "code"}));
  ASSERT_EQ(text.documents.size(), 4u);
  EXPECT_EQ(text.documents[0].category, std::optional<size_t>(0));
  EXPECT_EQ(text.documents[1].category, std::nullopt);
  EXPECT_EQ(text.documents[2].category, std::optional<size_t>(1));
  EXPECT_EQ(text.documents[3].category, std::optional<size_t>(0));
  EXPECT_EQ(text.documents[1].ids, tokenizer_.encode("in hand"));
  EXPECT_EQ(text.tokens(), static_cast<int64_t>(text.documents[0].ids.size() + text.documents[1].ids.size() +
                                                text.documents[2].ids.size() + text.documents[3].ids.size()));
}

TEST_F(EvalTextTest, TooManyCategoriesAreRefused) {
  std::string content;
  for (size_t i = 0; i <= kMostCategories; ++i) {
    content += "{\"text\": \"a\", \"category\": \"" + std::to_string(i) + "\"}\n";
  }
  const auto refused = read("t.jsonl", content);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message.find("more than 64 categories"), std::string::npos) << refused.error().message;
}

TEST(ShortenTest, DropsWhatIsBehindTheFirstIds) {
  const auto shortened = [](int64_t count) {
    EvalText text = one_document({1, 2, 3});
    text.documents.push_back({.ids = {4, 5}, .category = 0});
    text.shorten(count);
    std::vector<std::vector<int32_t>> left;
    for (const EvalDocument& document : text.documents) left.push_back(document.ids);
    return left;
  };
  using Ids = std::vector<std::vector<int32_t>>;
  EXPECT_EQ(shortened(9), (Ids{{1, 2, 3}, {4, 5}}));
  EXPECT_EQ(shortened(4), (Ids{{1, 2, 3}, {4}}));
  EXPECT_EQ(shortened(3), (Ids{{1, 2, 3}}));
  EXPECT_EQ(shortened(1), (Ids{{1}}));
}

}  // namespace
}  // namespace carat
