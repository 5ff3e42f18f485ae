#include "cli/bundle/log_lines.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <deque>
#include <fstream>
#include <optional>
#include <regex>
#include <string>

#include "cli/bundle/fields.hpp"
#include "cli/role_client.hpp"

namespace cpns::cli::bundle {
namespace {

constexpr std::streamoff file_end_max = 512 * 1024;  // bytes that are read

/// RUN-NUMBER.
struct event_id {
  std::string run;
  std::uint64_t number = 0;
};
std::optional<event_id> parse_event_id(std::string_view id) {
  const auto dash = id.rfind('-');
  if (dash == std::string_view::npos) return std::nullopt;
  event_id out{std::string(id.substr(0, dash)), 0};
  const auto* end = id.data() + id.size();
  if (std::from_chars(id.data() + dash + 1, end, out.number).ptr != end) return std::nullopt;
  return out;
}

/// The id of the newest event.
std::optional<event_id> newest_event(const config::api_config& c) {
  auto role = connect_role(c);
  if (!role) return std::nullopt;
  std::optional<event_id> out;
  static_cast<void>(role->events("/v1/events", {}, [&out](auto id, auto, auto) {
    out = parse_event_id(id);
    return false;
  }));
  return out;
}

void add_line(boost::json::array& to, std::string_view line, pseudonyms& names) {
  boost::system::error_code ec;
  const auto parsed = boost::json::parse({line.data(), line.size()}, ec);
  if (ec || !parsed.is_object()) return;
  auto picked = pick(parsed, line_fields(), names);
  if (picked.as_object().contains("event")) to.push_back(std::move(picked));
}

/// The `back` events before and with the newest one; nullopt if the role does not have them any more.
std::optional<boost::json::array> events_before(const config::api_config& c, const event_id& newest,
                                                std::uint64_t back, pseudonyms& names) {
  auto role = connect_role(c);
  if (!role) return std::nullopt;
  const auto first = newest.number > back ? newest.number - back : 0;
  bool has_them = true;
  boost::json::array out;
  static_cast<void>(role->events("/v1/events", newest.run + "-" + std::to_string(first),
                                 [&](auto id, auto name, auto data) {
                                   const auto at = parse_event_id(id);
                                   has_them = at.has_value() && name != "snapshot";
                                   if (!has_them) return false;
                                   add_line(out, data, names);
                                   return at->number < newest.number;
                                 }));
  if (!has_them) return std::nullopt;
  return out;
}

void add_text_line(boost::json::array& to, const std::string& line) {
  static const std::regex form(
      R"((\d{4}-\d\d-\d\dT[0-9:.]+Z) (debug|info|warn|error) +([a-z_]{1,40}) ([a-z0-9-]{1,80}): .*)");
  std::smatch m;
  if (std::regex_match(line, m, form))
    to.push_back(boost::json::object{
        {"time", m[1].str()}, {"level", m[2].str()}, {"component", m[3].str()}, {"event", m[4].str()}});
}

}  // namespace

boost::json::array lines_of_role(const config::api_config& c, pseudonyms& names) {
  const auto newest = newest_event(c);
  if (!newest || newest->number == 0) return {};
  for (const std::uint64_t back : {lines_max, lines_max / 4, lines_max / 20})
    if (auto lines = events_before(c, *newest, back, names)) return std::move(*lines);
  return {};
}

boost::json::array lines_of_file(const std::filesystem::path& file, pseudonyms& names) {
  std::ifstream in(file, std::ios::binary);
  in.seekg(0, std::ios::end);
  const auto size = static_cast<std::streamoff>(in.tellg());
  if (!in || size < 0) return {};
  in.seekg(std::max<std::streamoff>(0, size - file_end_max));
  std::deque<std::string> last;
  std::string line;
  if (size > file_end_max) std::getline(in, line);  // the rest of a line
  while (std::getline(in, line)) {
    last.push_back(std::move(line));
    if (last.size() > lines_max) last.pop_front();
  }
  boost::json::array out;
  for (const auto& l : last) {
    if (l.starts_with('{'))
      add_line(out, l, names);
    else
      add_text_line(out, l);
  }
  return out;
}

}  // namespace cpns::cli::bundle
