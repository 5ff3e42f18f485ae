#include <algorithm>

#include "crypto/key_schedule.hpp"
#include "protocol/server/assignment_rules.hpp"

namespace cpns::protocol::detail {
namespace {

std::uint32_t set_size(const assignment_case& c) {
  return std::clamp<std::uint32_t>(c.settings.set_size, 1, keys_in_response_max);
}

void extend(const assignment_case& c, eukey_set& set, std::uint32_t end) {
  if (end <= set.next_index) return;
  const auto had = set.eukeys.size();
  set.eukeys.resize(had + (end - set.next_index));
  for (auto i = had; i < set.eukeys.size(); ++i) c.random.fill(set.eukeys[i].expose_mutable());
  set.next_index = end;
}

/// Copies the keys `first` to `end` - 1 of the set into the answer.
void hand_out(const eukey_set& set, std::uint32_t first, std::uint32_t end, assigned_keys& out) {
  out.generation = set.generation;
  out.set = set.set;
  out.not_after = set.not_after;
  out.first_index = static_cast<std::uint16_t>(first);
  const auto from = set.eukeys.begin() + (first - set.first_index);
  out.eukeys.assign(from, from + (end - first));
}

/// Continues the set after `known`, repeating keys that the gateway lacks. False: it cannot be continued.
bool continue_set(const assignment_case& c, eukey_set& set, epoch known, granted& out) {
  if (known.index() >= set.next_index)
    return false;  // never issued here: this server was restored from a backup
  const std::uint32_t first = std::max<std::uint32_t>(known.index() + 1u, set.first_index);
  if (first >= index_end) return false;
  const std::uint32_t lacking_end =
      std::min(set.next_index, first + static_cast<std::uint32_t>(keys_in_response_max));
  const std::uint32_t end = std::max(lacking_end, std::min(first + set_size(c), index_end));
  if (set.eukeys.size() + (end > set.next_index ? end - set.next_index : 0) > keys_kept_max) return false;
  extend(c, set, end);
  hand_out(set, first, end, out.keys);
  out.events.push_back(
      {"set-continued",
       "generation " + std::to_string(set.generation) + " from index " + std::to_string(first), true});
  return true;
}

/// Evicts the oldest set of a full list of which the proven device holds no key. The device needs none of it:
/// a delivery in flight is of the newest set.
bool make_room(const assignment_case& c, const proven& p, entity_record& next) {
  if (next.sets.size() < sets_kept_max) return true;
  if (!p.device()) return false;
  const auto& held = c.shown->drsp.highest;
  const auto oldest = std::find_if(next.sets.begin(), next.sets.end(), [&held](const eukey_set& s) {
    return !held || s.generation != held->generation();
  });
  next.sets.erase(oldest);
  return true;
}

/// new generation = 1 + the largest of the stored one, the DRSP's and known_epoch's
std::optional<refused> open_generation(const assignment_case& c, const proven& p, granted& out) {
  entity_record& next = out.next;
  if (!make_room(c, p, next))
    return refuse(link_status::throttled, retry_throttled, "too many sets without a report of any key",
                  "throttled", "the list of sets is full until a key is reported");
  const std::uint32_t stored = next.sets.empty() ? 0 : next.sets.back().generation;
  std::uint64_t largest = stored;
  bool issued_before = !next.sets.empty();
  if (p.device() && c.shown->drsp.highest) {
    largest = std::max<std::uint64_t>(largest, c.shown->drsp.highest->generation());
    issued_before = true;
  }
  if (c.request.known_epoch) {
    largest = std::max<std::uint64_t>(largest, c.request.known_epoch->generation());
    issued_before = true;
  }
  std::uint64_t generation = largest + 1;
  const bool first_since_restore = std::none_of(next.sets.begin(), next.sets.end(), [&c](const eukey_set& s) {
    return s.incarnation == c.settings.incarnation;
  });
  if (c.settings.incarnation > 1 && first_since_restore && issued_before) generation += restore_skip;
  if (generation - stored > generation_jump_max || generation > UINT32_MAX)
    return refuse(link_status::bad_request, 0,
                  "the device's key is far ahead of this server's record; an operator has to check it",
                  "generation-jump",
                  "from generation " + std::to_string(stored) + " to " + std::to_string(generation));

  eukey_set set;
  set.generation = static_cast<std::uint32_t>(generation);
  set.set = c.random.draw_id<set_id>();
  set.incarnation = c.settings.incarnation;
  set.issued_to = c.gw;
  set.not_after = unix_seconds(c.now) + c.settings.set_lifetime.count();
  extend(c, set, set_size(c));
  hand_out(set, 0, set.next_index, out.keys);
  out.events.push_back({"generation-opened",
                        "generation " + std::to_string(set.generation) + " with " +
                            std::to_string(set.next_index) + " keys, reason " +
                            std::string{name_of(c.request.reason)},
                        true});
  next.sets.push_back(std::move(set));
  return std::nullopt;
}

bool is_reported(const entity_record& r, const eukey_set& set) {
  return r.last_report && r.last_report->generation() >= set.generation;
}

/// Continues the newest set while no key of it was reported, so that a retry costs indexes, not a generation. If
/// the gateway lost the set, its keys may have been delivered before: it continues after the last issued index.
bool go_on_unreported(const assignment_case& c, const proven& p, granted& out) {
  eukey_set& set = out.next.sets.back();
  const auto& known = c.request.known_epoch;
  if (known && known->generation() > set.generation) return false;
  const bool holds = known && known->generation() == set.generation;
  if (holds) return c.request.set == set.set && continue_set(c, set, *known, out);
  // The device holds a key of a set that the gateway lost: a finder of the gateway's disk has its TKg.
  if (p.device() && c.shown->drsp.highest && c.shown->drsp.highest->generation() >= set.generation)
    return false;
  return continue_set(c, set, epoch{set.generation, static_cast<std::uint16_t>(set.next_index - 1)}, out);
}

bool try_kept_set(const assignment_case& c, const proven& p, granted& out) {
  if (out.next.sets.empty()) return false;
  eukey_set& newest = out.next.sets.back();
  if (newest.issued_to != c.gw || newest.incarnation != c.settings.incarnation ||
      newest.not_after <= unix_seconds(c.now))
    return false;
  if (c.request.reason == assignment_reason::refill) {
    const auto& known = c.request.known_epoch;
    if (known && known->generation() == newest.generation && c.request.set == newest.set)
      return continue_set(c, newest, *known, out);
  }
  return !is_reported(c.stored, newest) && go_on_unreported(c, p, out);
}

}  // namespace

std::optional<refused> grant_keys(const assignment_case& c, const proven& p, bool new_owner, granted& out) {
  if (new_owner || !try_kept_set(c, p, out))
    if (auto no = open_generation(c, p, out)) return no;
  // C = X(EUKey(DRSP epoch), ["cpns/1 chain", gw_id, generation])
  if (p.held != nullptr) out.keys.chain = crypto::derive_chain(c.s, *p.held, c.gw, out.keys.generation);
  return std::nullopt;
}

decision finish(const assignment_case& c, decision d) {
  auto* grant = std::get_if<std::shared_ptr<granted>>(&d);
  if (grant == nullptr) return d;
  auto* g = grant->get();
  g->keys.literal = c.settings.literal_temporary_key;
  // TKg = X(TK', ["cpns/1 gateway", gw_id, generation])
  g->keys.temporary_key = g->keys.literal ? c.device.temporary_key
                                          : crypto::derive_gateway_temporary_key(c.s, c.device.temporary_key,
                                                                                 c.gw, g->keys.generation);
  g->keys.owner = (g->repeated ? c.stored : g->next).tag;
  g->keys.rekey_seconds =
      static_cast<std::uint32_t>(std::clamp<std::int64_t>(c.settings.rekey.count(), 1, UINT32_MAX));
  return d;
}

report_decision decide_report(const entity_record& stored, const assignment_settings& settings,
                              time_point now, const gateway_id& gw, epoch reported) {
  const auto outcome = [](report_outcome o, std::string_view id, std::string text) {
    return report_decision{o, std::nullopt, {id, std::move(text)}};
  };
  if (!stored.holder) return outcome(report_outcome::resync, "report-resync", "no holder is known");
  if (*stored.holder != gw)
    return outcome(report_outcome::not_holder, "report-not-holder", "the holder is " + stored.holder->hex());
  const eukey_set* set = find_set(stored, reported.generation());
  if (set == nullptr || reported.index() >= set->next_index || set->issued_to != gw)
    return outcome(report_outcome::resync, "report-resync",
                   "epoch " + reported.text() + " was not issued to this gateway, or was forgotten");
  if (set->incarnation != settings.incarnation)
    return outcome(report_outcome::resync, "report-resync",
                   "the set is of an earlier incarnation of this server");
  if (stored.last_report == reported)
    return outcome(report_outcome::ok, "report-repeated", "epoch " + reported.text());

  report_decision d{report_outcome::ok, stored, {"report-ok", "epoch " + reported.text(), true}};
  entity_record& next = *d.next;
  if (stored.last_report && reported < *stored.last_report) {
    d.outcome = report_outcome::resync;
    d.event = {"report-lower",
               "the holder went back from epoch " + stored.last_report->text() + " to " + reported.text()};
  }
  next.last_report = reported;
  next.last_report_slot = slot_of(now);
  next.holder_seen = unix_seconds(now);
  std::erase_if(next.sets, [reported](const eukey_set& s) { return s.generation < reported.generation(); });
  // The reported key stays: the next exchange verifies its possession and is chained to it.
  eukey_set& kept = next.sets.front();
  if (reported.index() > kept.first_index) {
    kept.eukeys.erase(kept.eukeys.begin(), kept.eukeys.begin() + (reported.index() - kept.first_index));
    kept.first_index = reported.index();
  }
  return d;
}

}  // namespace cpns::protocol::detail
