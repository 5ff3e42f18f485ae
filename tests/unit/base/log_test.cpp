#include "base/log.hpp"

#include <gmock/gmock.h>

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <thread>

#include "log_fixture.hpp"

namespace cpns::log {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;

class log_lines : public log_test {};

TEST_F(log_lines, have_time_level_component_event_and_fields) {
  ASSERT_TRUE(configure(s));
  info("gateway", "pne-found", "a device answered",
       {{"entity", "urn:dev:os:1-a"}, {"note", "two words"}, {"none", ""}});
  ASSERT_EQ(lines().size(), 1u);
  EXPECT_THAT(
      lines()[0],
      MatchesRegex(
          "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\\.[0-9]{3}Z info  gateway pne-found: a device answered "
          "entity=urn:dev:os:1-a note=\"two words\" none=\"\""));
}

TEST_F(log_lines, of_level_debug_are_bounded_and_the_others_are_counted) {
  s.threshold = level::debug;
  ASSERT_TRUE(configure(s));
  for (int i = 0; i < 2 * debug_burst; ++i) debug("radio", "dropped", "noise");
  info("radio", "link-up", "a link");
  const auto written = lines();
  EXPECT_GE(written.size(), static_cast<std::size_t>(debug_burst));
  EXPECT_LT(written.size(), static_cast<std::size_t>(debug_burst * 3 / 2));
  EXPECT_TRUE(std::any_of(written.begin(), written.end(),
                          [](const auto& l) { return l.find("debug-lines-left-out") != std::string::npos; }));
  EXPECT_THAT(written.back(), HasSubstr("link-up"));
}

TEST_F(log_lines, are_one_json_object_each) {
  s.form = format::json;
  ASSERT_TRUE(configure(s));
  warn("server", "refused", "said \"no\"", {{"path", "a\\b"}});
  ASSERT_EQ(lines().size(), 1u);
  EXPECT_THAT(
      lines()[0],
      HasSubstr(
          R"("level":"warn","component":"server","event":"refused","text":"said \"no\"","path":"a\\b"})"));
  EXPECT_EQ(lines()[0].front(), '{');
}

TEST_F(log_lines, have_no_line_breaks_or_escape_sequences_from_hostile_text) {
  for (const auto form : {format::text, format::json}) {
    s.form = form;
    s.file = folder + (form == format::text ? "/text" : "/json");
    ASSERT_TRUE(configure(s));
    std::string hostile = "a\nb\r\x1b[31m\x7f\t\"";
    hostile += '\0';
    info("gateway", "event", hostile, {{"field", hostile}});
    const auto written = lines();
    ASSERT_EQ(written.size(), 1u);
    EXPECT_TRUE(std::none_of(written[0].begin(), written[0].end(),
                             [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }));
    EXPECT_THAT(written[0], HasSubstr("a\\u000ab\\u000d\\u001b[31m\\u007f\\u0009\\\"\\u0000"));
  }
}

TEST_F(log_lines, escape_invalid_utf_8_but_not_letters_of_any_script) {
  for (const auto form : {format::text, format::json}) {
    s.form = form;
    s.file = folder + (form == format::text ? "/text" : "/json");
    ASSERT_TRUE(configure(s));
    info("gateway", "event", "K\u00fcche \u97f3 \U0001f3a7|\xff|\xc3|\xed\xa0\x80|\u0085|\xe9t\xe9");
    const auto written = lines();
    ASSERT_EQ(written.size(), 1u);
    EXPECT_THAT(
        written[0],
        HasSubstr(
            "K\u00fcche \u97f3 \U0001f3a7|\\u00ff|\\u00c3|\\u00ed\\u00a0\\u0080|\\u0085|\\u00e9t\\u00e9"));
  }
}

/// Standard error is a pipe, and JOURNAL_STREAM names what `stream` makes of its numbers.
class journal {
 public:
  explicit journal(const std::function<std::string(const struct stat&)>& stream) {
    EXPECT_EQ(::pipe(ends_), 0);
    ::dup2(ends_[1], STDERR_FILENO);
    struct stat about {};
    EXPECT_EQ(::fstat(STDERR_FILENO, &about), 0);
    ::setenv("JOURNAL_STREAM", stream(about).c_str(), 1);
  }
  ~journal() { end(); }
  std::string read() {
    end();
    std::string out(65536, '\0');
    out.resize(static_cast<std::size_t>(std::max<ssize_t>(0, ::read(ends_[0], out.data(), out.size()))));
    return out;
  }

 private:
  void end() {
    flush();
    ::dup2(before_, STDERR_FILENO);
    ::unsetenv("JOURNAL_STREAM");
  }
  const int before_ = ::dup(STDERR_FILENO);
  int ends_[2]{};
};

std::string numbers(const struct stat& about) {
  return std::to_string(about.st_dev) + ":" + std::to_string(about.st_ino);
}

TEST_F(log_lines, have_their_priority_for_the_journal_alone) {
  s.file.clear();
  s.threshold = level::debug;
  for (const auto form : {format::text, format::json}) {
    s.form = form;
    journal reads{numbers};
    ASSERT_TRUE(configure(s));
    EXPECT_EQ(journal_priority(level::error), "<3>");
    error("server", "e", "one");
    warn("server", "w", "two");
    info("server", "i", "three");
    debug("server", "d", "four");
    EXPECT_THAT(
        reads.read(),
        MatchesRegex("<3>[^<\n]*one[^\n]*\n<4>[^\n]*two[^\n]*\n<6>[^\n]*three[^\n]*\n<7>[^\n]*four[^\n]*\n"));
  }
  journal other{[](const struct stat& about) { return numbers(about) + "1"; }};
  ASSERT_TRUE(configure(s));
  EXPECT_EQ(journal_priority(level::error), "");
  error("server", "e", "one");
  EXPECT_THAT(other.read(), testing::Not(HasSubstr("<3>"))) << "standard error is another file";
  journal file{numbers};
  s.file = folder + "/file";
  ASSERT_TRUE(configure(s));
  error("server", "e", "one");
  EXPECT_THAT(lines().at(0), testing::Not(HasSubstr("<3>")));
}

TEST_F(log_lines, quote_a_field_that_looks_like_two) {
  ASSERT_TRUE(configure(s));
  info("gateway", "event", "text", {{"name", "a b=c"}});
  EXPECT_THAT(lines().at(0), HasSubstr("name=\"a b=c\""));
}

TEST_F(log_lines, follow_the_threshold_of_their_component) {
  s.threshold = level::warn;
  s.components["store"] = level::debug;
  s.components["radio"] = level::off;
  ASSERT_TRUE(configure(s));
  debug("store", "e", "kept");
  info("server", "e", "dropped");
  error("server", "e", "kept");
  error("radio", "e", "dropped");
  EXPECT_EQ(lines().size(), 2u);
  EXPECT_TRUE(enabled(level::debug, "store"));
  EXPECT_FALSE(enabled(level::info, "server"));
  EXPECT_FALSE(enabled(level::error, "radio"));
}

TEST_F(log_lines, are_whole_when_threads_write_at_once) {
  ASSERT_TRUE(configure(s));
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([] {
      for (int i = 0; i < 100; ++i) info("server", "line", "from a thread", {{"end", "here"}});
    });
  for (auto& t : threads) t.join();
  const auto written = lines();
  EXPECT_EQ(written.size(), 400u);
  EXPECT_TRUE(std::all_of(written.begin(), written.end(),
                          [](const std::string& l) { return l.ends_with("from a thread end=here"); }));
}

TEST_F(log_lines, need_a_file_that_can_be_opened) {
  s.file = folder + "/log/below/a/file";
  ASSERT_TRUE(std::ofstream{folder + "/log"}.put('x'));
  const auto out = configure(s);
  ASSERT_FALSE(out);
  EXPECT_EQ(out.error().code, errc::config_file);
}

TEST_F(log_lines, follow_a_level_that_is_set_at_run_time_until_the_log_is_configured_again) {
  s.components["radio"] = level::off;
  ASSERT_TRUE(configure(s));
  ASSERT_TRUE(set_level("store", level::debug));
  ASSERT_TRUE(set_level("radio", level::warn));
  debug("store", "e", "kept 1");
  debug("server", "e", "below");
  warn("radio", "e", "kept 2");
  EXPECT_EQ(level_of("store"), level::debug);
  EXPECT_EQ(level_of("server"), level::info);
  EXPECT_TRUE(enabled(level::debug, "store"));
  EXPECT_EQ(levels().threshold, level::info);
  EXPECT_EQ(levels().components,
            (std::map<std::string, level, std::less<>>{{"radio", level::warn}, {"store", level::debug}}));

  ASSERT_TRUE(set_level({}, level::error));
  warn("server", "e", "below");
  warn("radio", "e", "kept 3");
  EXPECT_EQ(level_of("server"), level::error);

  ASSERT_TRUE(set_level("store", std::nullopt));
  EXPECT_EQ(level_of("store"), level::error);
  ASSERT_TRUE(set_level("store", std::nullopt)) << "it has none already";

  ASSERT_TRUE(configure(s));
  EXPECT_EQ(levels().threshold, level::info);
  EXPECT_EQ(levels().components, s.components);
  info("server", "e", "kept 4");
  debug("store", "e", "below");
  EXPECT_EQ(texts(), (std::vector<std::string>{"kept 1", "kept 2", "kept 3", "kept 4"}));
}

TEST_F(log_lines, reach_the_observer_from_level_info_on_whatever_the_thresholds_are) {
  s.threshold = level::error;
  s.components["radio"] = level::off;
  ASSERT_TRUE(configure(s));
  std::vector<std::string> seen;
  observe([&seen](const packed_line& line) { seen.emplace_back(line.event()); });
  EXPECT_TRUE(enabled(level::info, "server"));
  EXPECT_TRUE(enabled(level::error, "radio"));
  EXPECT_FALSE(enabled(level::debug, "server")) << "neither the log nor the observer takes it";
  debug("server", "below", "text");
  info("server", "quiet", "text");
  error("radio", "silenced", "text");
  observe({});
  EXPECT_FALSE(enabled(level::info, "server"));
  info("server", "unobserved", "text");
  EXPECT_EQ(seen, (std::vector<std::string>{"quiet", "silenced"}));
  EXPECT_TRUE(lines().empty());
}

TEST_F(log_lines, of_an_observer_are_what_the_log_writes_as_json) {
  s.form = format::json;
  ASSERT_TRUE(configure(s));
  const auto without_time = [](const std::string& line) { return line.substr(line.find(R"("level")")); };
  std::vector<std::string> seen, written;
  observe([&](const packed_line& line) { seen.push_back(without_time(line.json())); });
  const std::string name = "a \"hostile\" name\n";
  info("radio", "found", "a text\t", {{"name", name}, {"empty", ""}});
  warn("server", "bare", "");
  observe({});
  for (const auto& line : lines()) written.push_back(without_time(line));
  EXPECT_EQ(seen.size(), 2U);
  EXPECT_EQ(seen, written);
}

TEST(packed_line, keeps_the_time_at_which_it_was_made) {
  const packed_line line{level::info, "server", "kept", "text", {{"key", "value"}}};
  const auto first = line.json();
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds{3};
  while (std::chrono::steady_clock::now() < until) {
  }
  EXPECT_EQ(packed_line{line}.json(), first);
  EXPECT_EQ(line.event(), "kept");
  EXPECT_NE(first.find(R"("component":"server","event":"kept","text":"text","key":"value"})"),
            std::string::npos)
      << first;
}

TEST_F(log_lines, follow_the_configured_levels_after_a_reset) {
  s.components["pne"] = level::warn;
  ASSERT_TRUE(configure(s));
  ASSERT_TRUE(set_level({}, level::debug));
  ASSERT_TRUE(set_level("pne", level::debug));
  ASSERT_TRUE(set_level("store", level::off));
  reset_levels();
  EXPECT_EQ(levels().threshold, level::info);
  EXPECT_EQ(levels().components, s.components);
  debug("server", "e", "below");
  info("store", "e", "kept");
  EXPECT_EQ(texts(), std::vector<std::string>{"kept"});
}

TEST(log_levels, belong_to_components_that_exist) {
  const auto unknown = set_level("stroe", level::debug);
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, errc::state_unknown);
  EXPECT_THAT(unknown.error().detail, HasSubstr("stroe"));
  EXPECT_THAT(unknown.error().detail, HasSubstr("actors, assignment, audit"));
  EXPECT_EQ(set_level({}, std::nullopt).error().code, errc::config_range);
  for (const auto name : component_names) EXPECT_TRUE(set_level(name, level::info)) << name;
  reset_levels();
  EXPECT_TRUE(std::is_sorted(component_names.begin(), component_names.end()));
}

TEST(log_level, is_parsed_from_its_name) {
  for (const auto l : {level::debug, level::info, level::warn, level::error, level::off})
    EXPECT_EQ(parse_level(name_of(l)).value(), l);
  EXPECT_EQ(parse_level("trace").error().code, errc::config_range);
  EXPECT_FALSE(parse_level(""));
}

}  // namespace
}  // namespace cpns::log
