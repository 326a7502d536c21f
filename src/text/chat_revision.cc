#include "text/chat_revision.h"

#include <algorithm>
#include <array>

#include "base/sha256.h"

namespace carat {
namespace {

constexpr TemplateRevision kLaunch = {.name = "2026-04-02",
                                      .declarations = DeclarationStyle::kLaunch,
                                      .shown_thoughts = ShownThoughts::kNone,
                                      .newline_after_think = false,
                                      .joins_turns = false,
                                      .closes_once = false,
                                      .can_keep_thoughts = false,
                                      .opens_thought_after_results = false,
                                      .empties_thought_after_results = true,
                                      .opens_missing_result = false,
                                      .writes_null = false,
                                      .ignores_blank_text = false};

constexpr TemplateRevision kJoined = {.name = "2026-04-10",
                                      .declarations = DeclarationStyle::kFiltered,
                                      .shown_thoughts = ShownThoughts::kOfCalls,
                                      .closes_once = false,
                                      .can_keep_thoughts = false,
                                      .opens_thought_after_results = false,
                                      .writes_null = false,
                                      .ignores_blank_text = false};

constexpr TemplateRevision kComplete = {.name = "2026-04-28",
                                        .shown_thoughts = ShownThoughts::kOfCalls,
                                        .closes_once = false,
                                        .can_keep_thoughts = false,
                                        .opens_thought_after_results = false,
                                        .writes_null = false};

constexpr TemplateRevision named(TemplateRevision revision, std::string_view name) {
  revision.name = name;
  return revision;
}

constexpr TemplateRevision large(TemplateRevision revision) {
  revision.size = ChatSize::kLarge;
  return revision;
}

// The revision of May differs from the one before only in media within tool results.
constexpr TemplateRevision kMedia = named(kComplete, "2026-05-18");
constexpr TemplateRevision kBalanced = {.name = "2026-07-09"};

constexpr std::array<TemplateRevision, 10> kRevisions = {kLaunch,   large(kLaunch),   kJoined, large(kJoined),
                                                         kComplete, large(kComplete), kMedia,  large(kMedia),
                                                         kBalanced, large(kBalanced)};

// SHA-256 of the file chat_template.jinja, in the order of the revisions.
constexpr std::array<std::string_view, kRevisions.size()> kDigests = {
    "52152da6b5f2113aa652de81ee93c0b3febe1ffab8a08a6bc20414ebee74ab18",
    "2dfbfc7d538912f4ea11d29d85b4e25d7bc26386e53f57529f1d707c28b5828c",
    "781d10940fbc44be40064b5d43a056fc486c84ceaa55538226368b57314132bf",
    "85a08664d16d8f3be4416c92427b3ac10df1024ac566cc0b4bc3bab409393f98",
    "33204f1acb5bd0002713e16a593847f24ceeafe711ed88bda2a352dc996a3373",
    "94899c0f917d93f6fe81c95744d1e8ddab2d21d39228d2e4aec1fb2a25bff413",
    "2f1b4d75d067bae3fe44e676721c7f077d243bc007156cb9c2f8b5836613d082",
    "36e3a42e5cf14cd0020e72d92e1fdd9970f59b82170e421f0cbe1bb42bead3f0",
    "0a2c8073c878ab1da004bee933a998606537bbb62016310352c7285c3f01c5b5",
    "ae53464bf3be25802b3a5b37def7fd89667067d7577049b3b2d74c4d8de4c6d4"};

}  // namespace

std::span<const TemplateRevision> template_revisions() { return kRevisions; }

const TemplateRevision& latest_revision(ChatSize size) {
  return *(kRevisions.end() - (size == ChatSize::kSmall ? 2 : 1));
}

std::string_view template_digest(const TemplateRevision& revision) {
  const auto is_it = [&](const TemplateRevision& other) {
    return other.name == revision.name && other.size == revision.size;
  };
  return kDigests[static_cast<size_t>(std::ranges::find_if(kRevisions, is_it) - kRevisions.begin())];
}

const TemplateRevision* recognise_template(std::string_view text) {
  const std::string_view bare = text.ends_with('\n') ? text.substr(0, text.size() - 1) : text;
  for (const std::string& digest : {sha256(bare), sha256(std::string(bare) + "\n")}) {
    if (const auto found = std::ranges::find(kDigests, digest); found != kDigests.end()) {
      return &kRevisions[static_cast<size_t>(found - kDigests.begin())];
    }
  }
  return nullptr;
}

}  // namespace carat
