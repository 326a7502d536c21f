#include "session/stop_strings.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace carat {
namespace {

using Strings = std::vector<std::string>;

struct Ended {
  std::string text;
  std::string found;
  bool operator==(const Ended&) const = default;
};

/// The text in parts that end at `cuts`, in order.
Ended stream(const Strings& strings, const std::string& text, const std::vector<size_t>& cuts) {
  StopStrings stop = StopStrings::create(strings).value();
  std::string given;
  size_t begin = 0;
  for (const size_t cut : cuts) {
    given += stop.append(std::string_view(text).substr(begin, cut - begin));
    begin = cut;
  }
  given += stop.append(std::string_view(text).substr(begin));
  const std::string found = stop.found();
  return {given + stop.end(), found};
}

/// The same by looking at each place of the whole text.
Ended search(const Strings& strings, const std::string& text) {
  for (size_t end = 1; end <= text.size(); ++end) {
    std::string found;
    for (const std::string& string : strings) {
      if (text.substr(0, end).ends_with(string) && string.size() > found.size()) found = string;
    }
    if (!found.empty()) return {text.substr(0, end - found.size()), found};
  }
  return {text, ""};
}

TEST(StopStringsTest, EndsBeforeTheFirst) {
  EXPECT_EQ(stream({"\n\n", "User:"}, "Yes.\nUse it.\n\nUser:", {}), (Ended{"Yes.\nUse it.", "\n\n"}));
  EXPECT_EQ(stream({"User:", "\n\n"}, "User: hello", {}), (Ended{"", "User:"}));
  EXPECT_EQ(stream({"x"}, "no such letter", {}), (Ended{"no such letter", ""}));
  EXPECT_EQ(stream({}, "anything", {}), (Ended{"anything", ""}));
}

TEST(StopStringsTest, HoldsBackOnlyWhatMayBecomeAStopString) {
  StopStrings stop = StopStrings::create({"\n\n", "User:"}).value();
  EXPECT_EQ(stop.append("Yes.\nUs"), "Yes.\n");
  EXPECT_EQ(stop.append("e it."), "Use it.");
  EXPECT_EQ(stop.append("\n"), "");
  EXPECT_EQ(stop.append("\nUser"), "");
  EXPECT_EQ(stop.found(), "\n\n");
  EXPECT_EQ(stop.append("more"), "");
}

TEST(StopStringsTest, GivesOutAtTheEndWhatWaits) {
  StopStrings stop = StopStrings::create({"stop"}).value();
  EXPECT_EQ(stop.append("a sto"), "a ");
  EXPECT_EQ(stop.end(), "sto");
  EXPECT_EQ(stop.append("p it"), "p it") << "the stream is as new";
}

TEST(StopStringsTest, SeesAStringBehindItsOwnBeginning) {
  EXPECT_EQ(stream({"aab"}, "aaab!", {}), (Ended{"a", "aab"}));
  EXPECT_EQ(stream({"ababc"}, "abababc", {}), (Ended{"ab", "ababc"}));
}

TEST(StopStringsTest, TheFirstToBeCompleteEndsTheText) {
  EXPECT_EQ(stream({"abcd", "bc"}, "xabcd", {}), (Ended{"xa", "bc"}));
  EXPECT_EQ(stream({"bc", "abc"}, "xabcd", {}), (Ended{"x", "abc"})) << "of two with the same end, the longer one";
}

TEST(StopStringsTest, NeverSplitsACharacter) {
  StopStrings stop = StopStrings::create({"\u00e9t\u00e9"}).value();
  EXPECT_EQ(stop.append("\u00e9t"), "");
  EXPECT_EQ(stop.append("\u00ea"), "\u00e9t\u00ea");
}

TEST(StopStringsTest, TheSameWhereverTheTextIsCut) {
  const Strings strings = {"\n\nUser:", "\u00e9\u00e9", "###", "User"};
  for (const std::string text : {"One.\n\nUse two.\n\nUser: three", "\u00e9a\u00e9\u00e9", "# ## ### #", "Use\nUser"}) {
    const Ended whole = search(strings, text);
    for (size_t cut = 0; cut <= text.size(); ++cut) EXPECT_EQ(stream(strings, text, {cut}), whole) << text << cut;
    for (size_t first = 0; first <= text.size(); ++first) {
      for (size_t second = first; second <= text.size(); ++second) {
        EXPECT_EQ(stream(strings, text, {first, second}), whole) << text;
      }
    }
  }
}

TEST(StopStringsTest, FindsWhatASearchFinds) {
  const auto letters = [] { return *rc::gen::container<std::string>(rc::gen::element('a', 'a', 'b', 'c')); };
  const bool held = rc::check("streaming, byte by byte and whole, gives what a plain search gives", [&] {
    Strings strings;
    for (int i = *rc::gen::inRange(0, 4); i > 0; --i) strings.push_back(letters() + "a");
    const std::string text = letters() + letters();
    std::vector<size_t> cuts;
    for (size_t cut = 0; cut < text.size(); ++cut) cuts.push_back(cut);
    RC_ASSERT(stream(strings, text, {}) == search(strings, text));
    RC_ASSERT(stream(strings, text, cuts) == search(strings, text));
  });
  EXPECT_TRUE(held);
}

TEST(StopStringsTest, RefusesWhatMakesNoSense) {
  EXPECT_NE(StopStrings::create({"a", ""}).error().message.find("found 0"), std::string::npos);
  EXPECT_NE(StopStrings::create({std::string(1025, 'a')}).error().message.find("found 1025"), std::string::npos);
  EXPECT_NE(StopStrings::create({"\xff"}).error().message.find("UTF-8"), std::string::npos);
  EXPECT_NE(StopStrings::create(Strings(65, "a")).error().message.find("at most 64, found 65"), std::string::npos);
  EXPECT_EQ(StopStrings::create({""}).error().kind, ErrorKind::kUsage);
}

}  // namespace
}  // namespace carat
