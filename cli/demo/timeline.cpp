#include "cli/demo/timeline.hpp"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <charconv>
#include <ctime>
#include <fstream>
#include <limits>
#include <tuple>

namespace cpns::cli {
namespace {

constexpr std::streamoff last_error_within = 64 * 1024;  ///< bytes from the end of a log

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
    if (!v.is_string() && !v.is_int64()) continue;
    const auto text = v.is_string() ? std::string{v.get_string().c_str(), v.get_string().size()}
                                    : std::to_string(v.get_int64());
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

struct step_event {
  std::string_view component, event;
  int step;
  std::string_view from_to, what;
};

// Log events as steps of the change request, in the order in which they happen.
constexpr std::array<step_event, 13> steps{{
    {"gateway", "server-connected", 0, "PN GW <-> CPNS Server",
     "mutual authentication and key exchange (TLS 1.3)"},
    {"gateway", "detecting", 1, "PN GW  -> PNE", "detection: EntityDiscoveryRequest"},
    {"gateway", "detected", 2, "PNE    -> PN GW", "EntityDiscoveryResponse with its Entity ID"},
    {"gateway", "validated", 3, "PN GW", "Entity ID validated"},
    {"gateway", "requested", 4, "PN GW  -> CPNS Server",
     "KeyAssignmentRequest with the hashed user password"},
    {"server", "user-verified", 5, "CPNS Server", "user verified (SCRAM-SHA-256), presence verified"},
    {"server", "temporary-key-obtained", 7, "CPNS Server", "Temporary Key obtained"},
    {"server", "set-stored", 6, "CPNS Server", "set of EUKeys generated and stored"},
    {"gateway", "answered", 8, "CPNS Server -> PN GW", "KeyAssignmentResponse, stored securely"},
    {"gateway", "delivering", 9, "PN GW  -> PNE", "KeyDelivery: EUKey under the Temporary Key"},
    {"pne", "key-accepted", 10, "PNE", "decrypted and stored"},
    {"gateway", "confirmed", 10, "PNE    -> PN GW", "KeyConfirmation verified"},
    {"gateway", "retired", 10, "PN GW  -> PNE", "KeyRetire: the older key may be erased"},
}};

// A role's line is in its log file within this time.
constexpr std::int64_t reading_gap_ms = 100;

std::int64_t percentile(const std::vector<std::int64_t>& sorted, std::size_t percent) {
  if (sorted.empty()) return 0;
  return sorted[std::min(sorted.size() - 1, sorted.size() * percent / 100)];
}

}  // namespace

std::string last_error(const std::string& file) {
  std::ifstream in{file, std::ios::binary | std::ios::ate};
  if (!in) return {};
  in.seekg(std::max<std::streamoff>(0, in.tellg() - last_error_within));
  std::string found;
  for (std::string line; std::getline(in, line);) {
    if (line.empty()) continue;
    const auto e = parse_line(line);
    // The event "failed" only refers to the errors before it.
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
    if (wanted_ && !wanted_(line)) continue;
    if (auto e = parse_line(line)) out.push_back(std::move(*e));
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

void timeline::show(const log_event& e) {
  for (std::size_t rank = 0; rank < steps.size(); ++rank) {
    const auto& s = steps[rank];
    if (s.component != e.component || s.event != e.event) continue;
    timeline_line line{e.at - start_, s.step, std::string{s.from_to}, std::string{s.what}};
    if (const auto& epoch = e.field("epoch"); !epoch.empty()) line.what += " (epoch " + epoch + ")";
    waiting_.push_back({std::move(line), rank});
    return;
  }
}

void timeline::release(bool quiet) {
  const auto ripe = quiet ? std::numeric_limits<std::int64_t>::max() : newest_ - start_ - reading_gap_ms;
  std::stable_sort(waiting_.begin(), waiting_.end(), [](const waiting_line& a, const waiting_line& b) {
    return std::tie(a.line.ms, a.rank) < std::tie(b.line.ms, b.rank);
  });
  const auto end = std::find_if(waiting_.begin(), waiting_.end(),
                                [ripe](const waiting_line& w) { return w.line.ms > ripe; });
  for (auto w = waiting_.begin(); w != end; ++w) print_(w->line);
  waiting_.erase(waiting_.begin(), end);
}

void timeline::take(const log_event& e) {
  if (start_ == 0) start_ = e.at;
  newest_ = std::max(newest_, e.at);
  if (e.component == "gateway" && e.event == "server-connected") return show(e);
  const auto& entity = e.field("entity");
  if (e.component == "gateway" && e.event == "detecting" && entity.empty()) {
    last_detecting_ = e.at;
    return;
  }
  if (entity.empty()) return;
  auto& d = devices_[entity];
  if (e.component == "gateway" && e.event == "detected" && d.detected == 0) {
    d.detected = e.at;
    if (first_.empty()) {
      first_ = entity;
      log_event began = e;
      began.event = "detecting";
      began.at = last_detecting_.value_or(e.at);
      show(began);
      show(e);
      for (const auto& early : early_[entity]) show(early);
      early_.clear();
      return;
    }
  }
  if (e.component == "gateway" && e.event == "confirmed") {
    ++confirmed_;
    if (++d.confirmations == 2) ++updated_;
    if (entity == first_ && !first_keyed_at_) first_keyed_at_ = e.at;
    d.epoch = e.field("epoch");
    if (!d.first_key_ms) {
      d.first_key_ms = e.at - (d.detected != 0 ? d.detected : e.at);
      ++keyed_;
    }
  }
  if (entity == first_) return show(e);
  // The gateway logs step 3 before step 2: it validates the Entity ID before the rest of the answer. And the log of the server
  // may be read before that of the gateway, with lines of the same millisecond.
  if (first_.empty()) early_[entity].push_back(e);
}

std::size_t timeline::confirmations(const std::string& entity) const {
  const auto it = devices_.find(entity);
  return it == devices_.end() ? 0 : it->second.confirmations;
}

std::vector<std::string> timeline::others(std::size_t count) const {
  std::vector<std::string> out;
  for (const auto& [entity, d] : devices_) {
    if (out.size() >= count) break;
    if (entity != first_ && d.first_key_ms) out.push_back(entity);
  }
  return out;
}

bool timeline::needs(std::string_view line) const {
  if (first_.empty()) return true;
  constexpr std::array<std::string_view, 6> always{R"("server-connected")",  R"("detected")",
                                                   R"("confirmed")",         R"("error")",
                                                   R"("limits-contradict")", R"("not-presented")"};
  const auto has = [line](std::string_view word) { return line.find(word) != std::string_view::npos; };
  return has(first_) || std::any_of(always.begin(), always.end(), has);
}

std::string timeline::epoch(const std::string& entity) const {
  const auto it = devices_.find(entity);
  return it == devices_.end() ? std::string{} : it->second.epoch;
}

figures timeline::sum_up(std::size_t expected) const {
  figures f;
  std::vector<std::int64_t> times;
  std::int64_t began = std::numeric_limits<std::int64_t>::max(), ended = 0;
  for (const auto& [entity, d] : devices_) {
    if (!d.first_key_ms) continue;
    times.push_back(*d.first_key_ms);
    ++f.epochs[d.epoch];
    if (d.confirmations > 1) ++f.updated;
    if (d.detected == 0) continue;
    began = std::min(began, d.detected);
    ended = std::max(ended, d.detected + *d.first_key_ms);
  }
  std::sort(times.begin(), times.end());
  f.keyed = times.size();
  f.all_keyed = ended == 0 ? 0 : ended - began;
  f.failed = expected > f.keyed ? expected - f.keyed : 0;
  f.p50 = percentile(times, 50);
  f.p99 = percentile(times, 99);
  return f;
}

}  // namespace cpns::cli
