#include "cli/demo/timeline.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <tuple>

namespace cpns::cli {
namespace {

struct told {
  std::string_view component, event;
  int step;
  std::string_view from_to, what;
};

// What the roles log, as steps of the change request, in the order in which they happen.
constexpr std::array<told, 13> steps{{
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

// A role's lines are in its log within this time.
constexpr std::int64_t reading_gap_ms = 100;

std::int64_t percentile(const std::vector<std::int64_t>& sorted, std::size_t percent) {
  if (sorted.empty()) return 0;
  return sorted[std::min(sorted.size() - 1, sorted.size() * percent / 100)];
}

}  // namespace

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
      if (const auto early = early_.find(entity); early != early_.end()) show(early->second);
      early_.clear();
      return;
    }
  }
  // The gateway validates the identity before it has judged the rest of the answer, so step 3 is logged ahead
  // of step 2.
  if (first_.empty() && e.component == "gateway" && e.event == "validated") {
    early_.emplace(entity, e);
    return;
  }
  if (e.component == "gateway" && e.event == "confirmed") {
    ++d.confirmations;
    d.epoch = e.field("epoch");
    if (!d.first_key_ms) {
      d.first_key_ms = e.at - (d.detected != 0 ? d.detected : e.at);
      ++keyed_;
    }
  }
  if (entity == first_ && showing_) show(e);
}

bool timeline::is_keyed(const std::string& entity) const { return confirmations(entity) > 0; }

std::size_t timeline::confirmations(const std::string& entity) const {
  const auto it = devices_.find(entity);
  return it == devices_.end() ? 0 : it->second.confirmations;
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
