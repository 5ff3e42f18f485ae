// A machine that waits for nothing but the next update rests, and goes on later (gw_resting.hpp).
#include <algorithm>

#include "protocol/pn_gw/pn_gw_impl.hpp"

namespace cpns::protocol {
namespace {

constexpr int attempts_max = 255, bad_possessions_kept = 255;

std::uint8_t narrow(int n, int most) { return static_cast<std::uint8_t>(std::min(n, most)); }

}  // namespace

time_point update_due_after(time_point since, std::uint32_t rekey_seconds, const pn_gw_settings& settings,
                            entropy& random) {
  const milliseconds interval = settings.rekey_override ? *settings.rekey_override : seconds{rekey_seconds};
  if (interval <= milliseconds::zero()) return time_never;
  const auto most = static_cast<std::uint64_t>(interval.count()) / 100 * settings.rekey_jitter_percent;
  return since + interval - milliseconds{static_cast<std::int64_t>(most > 0 ? random.below(most) : 0)};
}

/// Each member of the machine is in gw_resting, follows from the record, or has a value here that it always has at rest.
std::optional<gw_resting> pn_gw_machine::impl::rest(time_point now) const {
  using st = pn_gw_state;
  if (state != st::keyed && state != st::asleep) return std::nullopt;
  if (!outputs.empty() || saved || in_flight || !is_idle() || open.dreq || !open.answers.empty())
    return std::nullopt;
  if (record.to_report || record.request || refill || aside || amnesia) return std::nullopt;
  if (record.has_unproven()) return std::nullopt;  // the write of `lapsed` failed
  if (!timers.none_but(gw_timer::update) || waits_for_server || now < server_not_before) return std::nullopt;
  // A second link is that of a stranger, or the device moves to it.
  if (!links.empty() && (links.size() > 1 || proven != links.front() || now >= update_due))
    return std::nullopt;

  gw_resting out;
  if (!links.empty()) out.link = links.front();
  out.updated_at = updated_at;
  out.update_due = update_due;
  out.claims_not_before = claims_not_before;
  out.notice_not_before = notice_not_before;
  out.same_id_not_before = same_id.not_before();
  out.resets = record.resets;
  out.rekey_seconds = record.rekey_seconds;
  out.attempts = narrow(attempts, attempts_max);
  out.bad_possessions = narrow(bad_possessions, bad_possessions_kept);
  out.asleep = state == st::asleep;
  out.let_in = let_in;
  out.woke = woke;
  out.server_wanted = server_wanted;
  out.recover_wanted = recover_wanted;
  out.claimed = claimed;
  out.request_is_refill = record.request_is_refill;
  if (out.link || place_changed)
    out.place = std::make_shared<const gw_place>(gw_place{record.last_transport, record.last_address});
  return out;
}

/// The stored record may still have a report or a request that the server has answered: a machine that rests has none.
void pn_gw_machine::impl::resume(const gw_resting& rested, gw_place place) {
  state = rested.asleep ? pn_gw_state::asleep : pn_gw_state::keyed;
  record.to_report.reset();
  record.request.reset();
  record.request_is_refill = rested.request_is_refill;
  record.resets = rested.resets;
  if (rested.link) {
    links = {*rested.link};
    proven = rested.link;
    seen_at(place);
    places[*rested.link] = std::move(place);
  } else if (rested.place) {
    seen_at(*rested.place);
  }
  updated_at = rested.updated_at;
  update_due = rested.update_due;
  claims_not_before = rested.claims_not_before;
  notice_not_before = rested.notice_not_before;
  same_id.set_not_before(rested.same_id_not_before);
  attempts = rested.attempts;
  bad_possessions = rested.bad_possessions;
  let_in = rested.let_in;
  woke = rested.woke;
  server_wanted = rested.server_wanted;
  recover_wanted = rested.recover_wanted;
  claimed = rested.claimed;
}

}  // namespace cpns::protocol
