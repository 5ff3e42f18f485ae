#include "cli/bundle/fields.hpp"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <optional>
#include <string>

namespace cpns::cli::bundle {
namespace {

constexpr auto of_status = [] {
  using enum shown_as;
  return std::to_array<allowed>({{"role", word},
                                 {"name", word},
                                 {"user", user},
                                 {"gateway", gateway},
                                 {"address", address},
                                 {"listening", number},
                                 {"connections", number},
                                 {"devices", number},
                                 {"counts.*", number},
                                 {"store.writable", number},
                                 {"store.kind", word},
                                 {"store.proof_age_ms", number},
                                 {"store.statements", word},
                                 {"store.hints", word},
                                 {"store.hosts", number},
                                 {"store.host", number},
                                 {"store.writes", number},
                                 {"store.write_median_ms", number},
                                 {"store.write_p99_ms", number},
                                 {"nodes[].name", word},
                                 {"nodes[].state", word},
                                 {"nodes[].self", number},
                                 {"nodes[].version", word},
                                 {"nodes[].schema", number},
                                 {"nodes[].age_ms", number},
                                 {"nodes[].connections", number},
                                 {"nodes[].jobs", number}});
}();
constexpr auto of_log = [] {
  using enum shown_as;
  return std::to_array<allowed>({{"level", word},
                                 {"components.*", word},
                                 {"written", number},
                                 {"dropped", number},
                                 {"write_errors", number}});
}();
constexpr auto of_radios = [] {
  using enum shown_as;
  return std::to_array<allowed>({{"radios[].name", word},
                                 {"radios[].state", word},
                                 {"radios[].plugin", word},
                                 {"radios[].version", word},
                                 {"radios[].counters.*", number},
                                 {"radios[].link_count", number},
                                 {"radios[].links[].address", address},
                                 {"radios[].links[].entity", entity},
                                 {"radios[].links[].rssi_dbm", number},
                                 {"radios[].links[].security", word}});
}();
constexpr auto of_audit = [] {
  using enum shown_as;
  return std::to_array<allowed>({{"whole", number},
                                 {"first", number},
                                 {"last", number},
                                 {"lines", number},
                                 {"head", number},
                                 {"files[].lines", number},
                                 {"files[].since", word},
                                 {"files[].until", word},
                                 {"faults[].line", number},
                                 {"faults[].text", text},
                                 {"faults_left_out", number}});
}();
// Not the sentence of a line: peers and files can put their words into it.
constexpr auto of_line = [] {
  using enum shown_as;
  return std::to_array<allowed>({{"time", word},        {"level", word},
                                 {"component", word},   {"event", word},
                                 {"entity", entity},    {"user", user},
                                 {"owner", user},       {"gateway", gateway},
                                 {"gw", gateway},       {"peer", address},
                                 {"address", address},  {"server", address},
                                 {"from", address},     {"other", address},
                                 {"transport", word},   {"radio", word},
                                 {"plugin", word},      {"version", word},
                                 {"epoch", word},       {"step", word},
                                 {"status", word},      {"count", word},
                                 {"lines", word},       {"seconds", word},
                                 {"ms", word},          {"connections", word},
                                 {"devices", word},     {"limit", word},
                                 {"jobs", word},        {"keys", word},
                                 {"live", word},        {"number", word},
                                 {"restarts", word},    {"starts_in_vain", word},
                                 {"again_in_s", word},  {"again_in_ms", word},
                                 {"days_left", word},   {"revoked", word},
                                 {"valid_until", word}, {"ends", word},
                                 {"changed", word},     {"ignored_until_restart", word},
                                 {"pid", word},         {"action", word},
                                 {"outcome", word},     {"kind", word},
                                 {"chained", word}});
}();

constexpr std::size_t word_max = 300;  // bytes

const allowed* rule_of(std::span<const allowed> list, const std::string& path) {
  for (const auto& a : list) {
    if (a.path == path) return &a;
    if (!a.path.ends_with("*")) continue;
    const auto before = a.path.substr(0, a.path.size() - 1);
    if (path.starts_with(before) && path.find('.', before.size()) == std::string::npos) return &a;
  }
  return nullptr;
}

/// A word may hold a name that somebody chose, so it is searched for others.
std::optional<boost::json::value> leaf(const boost::json::value& v, shown_as how, pseudonyms& names) {
  using enum shown_as;
  if (how == number) {
    if (v.is_number() || v.is_bool()) return v;
    return std::nullopt;
  }
  if (!v.is_string()) return std::nullopt;
  const std::string s{v.get_string().data(), std::min(v.get_string().size(), word_max)};
  switch (how) {
  case user: return boost::json::value(names.of(subject_kind::user, s));
  case entity: return boost::json::value(names.of(subject_kind::entity, s));
  case gateway: return boost::json::value(names.of(subject_kind::gateway, s));
  case address: return boost::json::value(names.of(subject_kind::address, s));
  case word:
  case text:
  case number: break;
  }
  return boost::json::value(names.in_text(s));
}

std::optional<boost::json::value> picked(const boost::json::value& v, const std::string& path,
                                         std::span<const allowed> list, pseudonyms& names) {
  if (const auto* object = v.if_object()) {
    boost::json::object out;
    for (const auto& [key, value] : *object)
      if (auto part = picked(value, (path.empty() ? "" : path + ".") + std::string(key), list, names))
        out[key] = std::move(*part);
    if (out.empty()) return std::nullopt;
    return out;
  }
  if (const auto* array = v.if_array()) {
    boost::json::array out;
    for (const auto& value : *array)
      if (auto part = picked(value, path + "[]", list, names)) out.push_back(std::move(*part));
    if (out.empty()) return std::nullopt;
    return out;
  }
  const auto* rule = rule_of(list, path);
  return rule == nullptr ? std::nullopt : leaf(v, rule->how, names);
}

}  // namespace

std::span<const allowed> status_fields() { return of_status; }
std::span<const allowed> log_fields() { return of_log; }
std::span<const allowed> radio_fields() { return of_radios; }
std::span<const allowed> audit_fields() { return of_audit; }
std::span<const allowed> line_fields() { return of_line; }

boost::json::value pick(const boost::json::value& v, std::span<const allowed> list, pseudonyms& names) {
  return picked(v, {}, list, names).value_or(boost::json::object{});
}

}  // namespace cpns::cli::bundle
