#include "cli/demo/log_follower.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <ctime>
#include <fstream>
#include <optional>

namespace cpns::cli {
namespace {

constexpr std::size_t unmatched_max = 200;
constexpr std::streamoff last_words_within = 64 * 1024;  ///< bytes from the end of a log

/// "2026-01-31T12:00:00.123Z" as Unix milliseconds; 0 if it is something else.
std::int64_t parse_time(std::string_view t) {
  if (t.size() != 24) return 0;
  const auto number = [&t](std::size_t at, std::size_t n) {
    int v = 0;
    std::from_chars(t.data() + at, t.data() + at + n, v);
    return v;
  };
  std::tm utc{};
  utc.tm_year = number(0, 4) - 1900;
  utc.tm_mon = number(5, 2) - 1;
  utc.tm_mday = number(8, 2);
  utc.tm_hour = number(11, 2);
  utc.tm_min = number(14, 2);
  utc.tm_sec = number(17, 2);
  return static_cast<std::int64_t>(timegm(&utc)) * 1000 + number(20, 3);
}

std::optional<log_event> parse_line(const std::string& line) {
  boost::system::error_code wrong;
  const auto value = boost::json::parse(line, wrong);
  if (wrong || !value.is_object()) return std::nullopt;
  log_event e;
  for (const auto& [key, v] : value.get_object()) {
    if (!v.is_string()) continue;
    const std::string text{v.get_string().c_str(), v.get_string().size()};
    if (key == "time")
      e.at = parse_time(text);
    else if (key == "level")
      e.level = text;
    else if (key == "component")
      e.component = text;
    else if (key == "event")
      e.event = text;
    else if (key == "text")
      e.text = text;
    else
      e.fields.emplace(std::string{key}, text);
  }
  return e;
}

}  // namespace

std::string last_words(const std::string& file) {
  std::ifstream in{file, std::ios::binary | std::ios::ate};
  if (!in) return {};
  in.seekg(std::max<std::streamoff>(0, in.tellg() - last_words_within));
  std::string found;
  for (std::string line; std::getline(in, line);) {
    if (line.empty()) continue;
    const auto e = parse_line(line);
    // "failed" says that the lines above it tell why.
    if (e ? e->level == "error" && e->event != "failed" : line.front() != '{') found = e ? e->text : line;
  }
  return found;
}

log_follower::log_follower(std::vector<std::string> files) {
  for (auto& f : files) sources_.push_back({std::move(f), 0, {}});
}

void log_follower::read(source& s, std::vector<log_event>& out) {
  std::ifstream in{s.file, std::ios::binary};
  if (!in) return;
  in.seekg(static_cast<std::streamoff>(s.offset));
  char buffer[64 * 1024];
  for (;;) {
    in.read(buffer, sizeof buffer);
    const auto n = in.gcount();
    if (n <= 0) break;
    s.offset += static_cast<std::uint64_t>(n);
    s.partial.append(buffer, static_cast<std::size_t>(n));
  }
  std::size_t begin = 0;
  for (auto end = s.partial.find('\n'); end != std::string::npos; end = s.partial.find('\n', begin)) {
    const auto line = s.partial.substr(begin, end - begin);
    begin = end + 1;
    if (auto e = parse_line(line))
      out.push_back(std::move(*e));
    else if (unmatched_.size() < unmatched_max)
      unmatched_.push_back(line);
  }
  s.partial.erase(0, begin);
}

std::vector<log_event> log_follower::poll() {
  std::vector<log_event> out;
  for (auto& s : sources_) read(s, out);
  std::stable_sort(out.begin(), out.end(),
                   [](const log_event& a, const log_event& b) { return a.at < b.at; });
  return out;
}

}  // namespace cpns::cli
