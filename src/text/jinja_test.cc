#include "text/jinja.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

namespace carat {
namespace {

using Json = nlohmann::ordered_json;

Result<std::string> rendered(std::string_view text, const Json& variables = Json::object()) {
  CARAT_TRY(const JinjaTemplate parsed, JinjaTemplate::parse(text, "probe"));
  return parsed.render(variables);
}

std::string error_of(std::string_view text, const Json& variables = Json::object()) {
  const Result<std::string> result = rendered(text, variables);
  return result.ok() ? "no error but: " + result->substr(0, 200) : result.error().message;
}

std::string repeated(std::string_view part, size_t times) {
  std::string text;
  for (size_t i = 0; i < times; ++i) text += part;
  return text;
}

// tests/oracle/jinja_probes.py wrote what jinja2 makes of each template.
TEST(Jinja, RendersAsJinja2Does) {
  std::ifstream file(CARAT_SOURCE_DIR "/tests/golden/jinja/probes.jsonl");
  std::string line;
  ASSERT_TRUE(std::getline(file, line));
  const Json variables = Json::parse(line).at("variables");
  int texts = 0;
  int errors = 0;
  while (std::getline(file, line)) {
    const Json probe = Json::parse(line);
    const auto text = probe.at("template").get<std::string>();
    const Result<std::string> result = rendered(text, variables);
    ++(probe.contains("text") ? texts : errors);
    if (!probe.contains("text")) {
      EXPECT_FALSE(result.ok()) << text << "\nexpected an error: " << probe.at("error") << "\nfound: " << *result;
    } else {
      ASSERT_TRUE(result.ok()) << text << "\n" << result.error().message;
      EXPECT_EQ(*result, probe.at("text").get<std::string>()) << text;
    }
  }
  EXPECT_GE(texts, 250);
  EXPECT_GE(errors, 100);
}

TEST(Jinja, NamesTheLineOfASyntaxError) {
  EXPECT_EQ(error_of("a\n{% if x %}\nb"), "probe: line 3: found the end of the template, expected \"{% endif %}\"");
  EXPECT_EQ(error_of("\n\n{{ a b }}"), "probe: line 3: found \"b\", expected \"}}\"");
  EXPECT_EQ(error_of("{% for x of y %}{% endfor %}"), "probe: line 1: found \"of\", expected \"in\"");
  EXPECT_EQ(error_of("{% include 'x' %}"),
            "probe: line 1: found \"include\", expected the name of a statement that is supported here");
  EXPECT_EQ(error_of("{{ (1] }}"), "probe: line 1: found ']', expected ')'");
  EXPECT_EQ(error_of("\n{{ 'abc }}"), "probe: line 2: found a string without end");
  EXPECT_EQ(error_of("\n{# abc"), "probe: line 2: found a comment without end, expected \"#}\"");
  EXPECT_EQ(error_of("a\n{{ '\\ud800' }}"), "probe: line 2: found an escape in a string that names no character");
  EXPECT_EQ(error_of("\xFF"), "probe: found a template that is no valid UTF-8");
}

TEST(Jinja, NamesTheLineOfAnErrorAtRunTime) {
  EXPECT_EQ(error_of("a\n{{ x.y.z }}", {{"x", Json::object()}}), "probe: line 2: 'dict object' has no attribute 'y'");
  EXPECT_EQ(error_of("{{ nobody() }}"), "probe: line 1: 'nobody' is undefined");
  EXPECT_EQ(error_of("{% if true %}\n\n{{ 1 +\n'a' }}{% endif %}"),
            "probe: line 3: unsupported operand types for +: 'int' and 'str'");
  EXPECT_EQ(error_of("{% macro m() %}\n{{ 1 // 0 }}{% endmacro %}\n\n{{ m() }}"), "probe: line 2: division by zero");
  EXPECT_EQ(error_of("\n{{ raise_exception('Only ' ~ n ~ ' turns') }}", {{"n", 2}}), "probe: line 2: Only 2 turns");
}

TEST(Jinja, AMessageOfATemplateCannotDriveATerminal) {
  EXPECT_EQ(error_of("{{ raise_exception(x) }}", {{"x", "\x1b[2J\n\u009b"}}), "probe: line 1: \\x1b[2J\\x0a\\xc2\\x9b");
}

TEST(Jinja, RefusesVariablesThatAreNoObject) {
  const JinjaTemplate parsed = JinjaTemplate::parse("a", "probe").value();
  EXPECT_EQ(parsed.render(Json::array()).error().kind, ErrorKind::kUsage);
  Json deep = 1;
  for (int i = 0; i < 200; ++i) deep = Json::array({deep});
  EXPECT_EQ(parsed.render({{"x", deep}}).error().kind, ErrorKind::kUsage);
  EXPECT_EQ(parsed.render({{"x", UINT64_MAX}}).error().kind, ErrorKind::kUsage);
  EXPECT_EQ(rendered("{{ x }}", {{"x", "a\xFF"}}).value(), "a\uFFFD");
}

TEST(Jinja, RefusesTemplatesThatNestTooDeeply) {
  for (const char* opening : {"(", "[", "{1:", "-", "not ", "x[", "f(", "x|default(", "1 if 1 else "}) {
    const std::string text = "{{ " + repeated(opening, 100000) + " }}";
    EXPECT_FALSE(rendered(text).ok()) << opening;
  }
  for (const char* chain : {" + 1", ".x", "[0]", "|e", " ~ 1 * 1 + 1", " and 1"}) {
    EXPECT_TRUE(error_of("{{ 1" + repeated(chain, 50000) + " }}").find("nested too deeply") != std::string::npos)
        << chain;
  }
  EXPECT_TRUE(error_of(repeated("{% if 1 %}", 5000)).find("nested too deeply") != std::string::npos);
  EXPECT_TRUE(error_of("{% for " + repeated("(", 50000)).find("nested too deeply") != std::string::npos);
  EXPECT_EQ(rendered("{{ 1" + repeated(" ~ 1", 9999) + " }}").value(), std::string(10000, '1'));
  EXPECT_EQ(error_of(std::string((1 << 20) + 1, 'a')),
            "probe: found a template of 1048577 bytes, expected at most 1048576");
}

TEST(Jinja, RefusesWhatDoesNotEnd) {
  const std::string loops =
      repeated("{% for x in range(100000) %}", 3) + "{% set y = x %}" + repeated("{% endfor %}", 3);
  EXPECT_TRUE(error_of(loops).find("too much work") != std::string::npos) << error_of(loops);
  for (const char* macro : {"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
                            "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}",
                            "{% macro m(x=m()) %}{% endmacro %}{{ m() }}"}) {
    EXPECT_TRUE(error_of(macro).find("nested too deeply") != std::string::npos) << error_of(macro);
  }
}

TEST(Jinja, RefusesWhatGrowsTooLarge) {
  const std::string grow =
      "{% set ns = namespace(v=V) %}{% for i in range(100) %}{% set ns.v = ns.v + ns.v %}{% endfor %}";
  for (const char* start : {"'ab'", "[1]", "(1,)"}) {
    std::string text = grow;
    text.replace(text.find("V)"), 1, start);
    EXPECT_FALSE(rendered(text).ok()) << start;
  }
  for (const char* text :
       {"{{ 'ab' * 10000000000 }}", "{{ [1] * 10000000000 }}", "{{ 10 ** 30 }}", "{{ 9223372036854775807 + 1 }}",
        "{{ range(100001) }}", "{{ '%1001d' % 1 }}", "{{ 'a'|indent(1000000000) }}",
        "{{ ('a' * 10000000)|replace('a', 'bbbbbbbbbbbbbbbb') }}", "{{ ('a' * 16000000)|list }}",
        "{{ ('a' * 16000000).find('a' * 8000000 ~ 'b') }}", "{{ 'x' | map(*(['map'] * 100000)) | list }}",
        "{% for i in range(100000) %}{{ 'a' * 1000 }}{% endfor %}"}) {
    EXPECT_FALSE(rendered(text).ok()) << text;
  }
}

// Shared parts double with each step: 2^90 leaves in 90 lists.
TEST(Jinja, RefusesToWalkThroughWhatOnlyLooksSmall) {
  const std::string shared =
      "{% set ns = namespace(a=[1], b=[1]) %}{% for i in range(90) %}"
      "{% set ns.a = [ns.a, ns.a] %}{% set ns.b = [ns.b, ns.b] %}{% endfor %}";
  for (const char* use :
       {"{{ ns.a }}", "{{ ns.a|tojson }}", "{{ ns.a == ns.b }}", "{{ ns.a < ns.b }}", "{{ ns.a in [ns.b] }}"}) {
    EXPECT_FALSE(rendered(shared + use).ok()) << use;
  }
  EXPECT_FALSE(
      rendered("{% set ns = namespace(a=[]) %}{% for i in range(100000) %}{% set ns.a = [ns.a] %}{% endfor %}").ok());
}

// Built with the address sanitizer, this also finds what is never freed.
TEST(Jinja, SurvivesCircles) {
  EXPECT_FALSE(rendered("{% set ns = namespace() %}{% set ns.l = [ns] %}{{ ns }}").ok());
  EXPECT_FALSE(rendered("{% set ns = namespace() %}{% set ns.l = [ns] %}{{ ns|tojson }}").ok());
  EXPECT_EQ(rendered("{% set ns = namespace() %}{% set ns.l = [ns] %}{{ ns == ns.l[0] }}").value(), "True");
  EXPECT_EQ(
      rendered("{% set ns = namespace() %}{% for x in [1] %}{% set ns.l = loop %}{{ loop.changed(loop) }}{% endfor %}"
               "{{ ns.l.changed(ns.l) }}{{ ns.l.length }}{{ ns.l.previtem }}")
          .value(),
      "TrueTrue0");
  EXPECT_EQ(
      rendered("{% for x in [1] %}{% macro m() %}{{ x }}{% endmacro %}{% set y = [m] %}{{ m() }}{% endfor %}").value(),
      "1");
  EXPECT_EQ(rendered("{% set first = namespace() %}{% set ns = namespace(at=first) %}{% for i in range(100000) %}"
                     "{% set next = namespace() %}{% set at = ns.at %}{% set at.next = next %}{% set ns.at = next %}"
                     "{% endfor %}ok")
                .value(),
            "ok");
}

TEST(Jinja, RefusesCaseBeyondAscii) {
  EXPECT_TRUE(error_of("{{ 'é'|upper }}").find("beyond ASCII") != std::string::npos);
  EXPECT_TRUE(error_of("{{ ['é', 'a']|sort }}").find("beyond ASCII") != std::string::npos);
  EXPECT_EQ(rendered("{{ ['é', 'a']|sort(case_sensitive=true) }}").value(), "['a', 'é']");
}

TEST(Jinja, HasNoDate) { EXPECT_EQ(rendered("{{ strftime_now is defined }}").value(), "False"); }

}  // namespace
}  // namespace carat
