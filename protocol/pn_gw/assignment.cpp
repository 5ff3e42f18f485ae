// Steps 4 and 8, refills and reports: requests to the CPNS Server and the handling of its answers.
#include <algorithm>
#include <utility>

#include "protocol/pn_gw/pn_gw_impl.hpp"

namespace cpns::protocol {
namespace {

using kind_t = gw_event::kind_t;

constexpr seconds request_wait{30}, refill_wait{30}, report_wait{60};
constexpr seconds unusable_wait{60};  ///< after an unusable answer of the server
constexpr milliseconds ready_spread{2000};
constexpr int stale_nonces_max = 3;
// Bounds of a record's keys, far below those of the decoder. Only the newest keys that were handed out can still
// be confirmed; unused ones over the bound come from the server later.
constexpr std::size_t keys_max = 2048;
constexpr std::ptrdiff_t handed_out_max = 512;

assignment_reason reason_for(const device_record& r, const discovery_response& response) {
  if (r.standing == device_standing::held_elsewhere && response.highest) return assignment_reason::adopt;
  if (r.own() != nullptr) return assignment_reason::recover;
  return response.highest ? assignment_reason::adopt : assignment_reason::first;
}

bool is_final(link_status s) {
  return s == link_status::held_by_other || s == link_status::stale_epoch || s == link_status::revoked;
}

void forget_unconfirmed(std::vector<held_key>& keys) {
  auto surplus =
      std::count_if(keys.begin(), keys.end(), [](const held_key& k) { return was_handed_out(k.use); }) -
      handed_out_max;
  std::erase_if(keys, [&surplus](const held_key& k) { return was_handed_out(k.use) && surplus-- > 0; });
}

}  // namespace

// ---- step 4

void pn_gw_machine::impl::ask_server(time_point now, subject& what) {
  timers.stop(gw_timer::retry);
  activity = gw_idle{};
  server_wanted = true;
  if (now < server_not_before)
    return fail_with(now, "the wait for the server is not over",
                     std::chrono::ceil<seconds>(server_not_before - now));
  if (what.answer && what.answer->response.presence) keep(std::move(*what.answer));
  ask_next(now, what.may_heal);
}

void pn_gw_machine::impl::ask_about(time_point now, gw_answer answer) {
  timers.stop(gw_timer::ask);
  key_assignment_request body;
  body.user = record.user;
  body.entity = record.entity;
  body.reason = reason_for(record, answer.response);
  if (record.generation > 0) {
    body.set = record.set;
    if (!record.keys.empty() && record.keys.back().which.generation() == record.generation)
      body.known_epoch = record.keys.back().which;
  }
  body.dreq = answer.dreq->message;
  body.drsp = answer.drsp;
  const auto id = random.draw_id<request_id>();
  refill.reset();
  aside.reset();
  // A device without a set is not stored: a peer that claims any Entity ID must not leave a row.
  const bool stored = record.generation > 0;
  if (stored) about_to_change();
  record.request = id;
  record.request_is_refill = false;
  if (stored) persist_record();
  emit(kind_t::requested, answer.response.highest, std::string{name_of(body.reason)});
  outputs.emplace_back(gw_request{id, std::move(body)});
  timers.set(gw_timer::server, now + request_wait);
  auto who = claimant(answer.link);
  activity = gw_asking{id, std::move(answer), std::move(who)};
  await_more(now);
}

void pn_gw_machine::impl::handle_issuer_nonce(time_point now, const std::optional<nonce16>& nonce) {
  const auto* awaiting = std::get_if<gw_awaiting_nonce>(&activity);
  if (awaiting == nullptr) return;
  timers.stop(gw_timer::server);
  if (!nonce) {
    // Unverified claims caused the request: the next exchange may find the device itself and need no server.
    server_wanted = false;
    if (awaiting->may_heal) return heal_one(now);
    return fail_with(now, "the server cannot be reached");
  }
  if (links.empty()) return fail_with(now, "the device has no link");
  send_dreq(now, nullptr, nonce);
  if (record.generation == 0 && !candidates().empty()) conclude(now);
}

// ---- step 8

status pn_gw_machine::impl::check(time_point now, const assigned_keys& a) const {
  if (is_expired(now, a.not_after))
    return fail(errc::peer_stale, "the answer's set expired " +
                                      std::to_string(unix_seconds(latest_date(now)) - a.not_after) +
                                      " s ago; check the clocks of gateway and server");
  if (a.eukeys.empty() || a.eukeys.size() > keys_in_response_max)
    return fail(errc::peer_bad_state, "the answer has " + std::to_string(a.eukeys.size()) + " keys");
  if (std::size_t{a.first_index} + a.eukeys.size() > 65536)
    return fail(errc::peer_bad_state, "the answer's indexes exceed 65535");
  if (a.generation == 0) return fail(errc::peer_bad_state, "the answer's generation is 0");
  if (a.generation < record.generation)
    return fail(errc::peer_stale, "the answer's generation is older than the stored one");
  if (a.generation > record.generation) return {};
  if (a.set != record.set)
    return fail(errc::peer_bad_state, "the answer names another set with the same generation");
  for (std::size_t i = 0; i < a.eukeys.size(); ++i) {
    const auto* held = record.find(epoch{a.generation, static_cast<std::uint16_t>(a.first_index + i)});
    if (held != nullptr && !(held->eukey == a.eukeys[i]))
      return fail(errc::peer_bad_state, "the answer has another key for epoch " + held->which.text());
  }
  return {};
}

/// Appends only, so that an erased or handed out index never becomes deliverable again.
status pn_gw_machine::impl::merge(time_point now, const assigned_keys& a, std::uint64_t incarnation) {
  CPNS_CHECK(check(now, a));
  about_to_change();
  if (a.generation > record.generation) {
    record.keys.erase(std::remove_if(record.keys.begin(), record.keys.end(),
                                     [](const held_key& k) { return k.use == key_use::unused; }),
                      record.keys.end());
    record.chain.reset();
  }
  forget_unconfirmed(record.keys);
  record.generation = a.generation;
  record.set = a.set;
  record.gateway_temporary_key =
      a.literal ? crypto::derive_gateway_temporary_key(s, a.temporary_key, settings.gw, a.generation)
                : a.temporary_key;
  record.owner = a.owner;
  record.rekey_seconds = a.rekey_seconds;
  record.not_after = a.not_after;
  record.incarnation = incarnation;
  record.keys.reserve(record.keys.size() + a.eukeys.size());
  for (std::size_t i = 0; i < a.eukeys.size(); ++i) {
    const epoch which{a.generation, static_cast<std::uint16_t>(a.first_index + i)};
    if (record.keys.size() >= keys_max) break;
    if (record.keys.empty() || which > record.keys.back().which)
      record.keys.push_back({which, a.set, a.eukeys[i], key_use::unused});
  }
  return {};
}

void pn_gw_machine::impl::handle_response(time_point now, const request_id& id, const assigned_keys& answer,
                                          std::uint64_t incarnation) {
  if (refill && *refill == id) return refill_answered(now, answer, incarnation);
  if (aside && aside->id == id) return store_late_keys(now, answer, incarnation);
  auto* asking = std::get_if<gw_asking>(&activity);
  if (asking == nullptr || asking->id != id) return noise(now, "the server answered a past request");
  timers.stop(gw_timer::server);
  timers.stop(gw_timer::answer);
  if (auto ok = merge(now, answer, incarnation); !ok) {
    server_not_before = now + unusable_wait;
    return fail_with(now, ok.error().message(), unusable_wait);
  }
  auto done = std::move(*asking);
  activity = gw_idle{};
  open = {};
  approve_if_let_in(now);
  book.accepted(record.entity, done.claimant);
  const auto& response = done.answer.response;
  if (answer.chain && response.highest)
    record.chain = held_chain{*response.highest, answer.generation, *answer.chain};
  if (response.resets > record.resets) withdraw_own();
  record.resets = response.resets;
  record.standing = device_standing::normal;
  record.standing_reason.clear();
  record.request.reset();
  server_wanted = recover_wanted = false;
  server_not_before = time_zero;
  if (has_link(done.answer.link)) make_good(now, done.answer.link);
  const bool was_asking = state == pn_gw_state::requesting || state == pn_gw_state::recovering;
  const bool usable = was_asking && record.approved && has_link(done.answer.link) &&
                      !done.answer.dreq->is_old(now) && next_key(done.answer) != nullptr;
  if (!usable) {
    persist_record();
    emit(kind_t::answered, epoch{answer.generation, answer.first_index});
    if (was_asking && next_key(done.answer) == nullptr)
      return fail_with(now, "the server assigned no key that can be delivered");
    return start(now);
  }
  subject what;
  if (has_own() && !response.highest) what.amnesia = "the server verified its presence";
  what.answer = std::move(done.answer);
  what.stored = true;
  fire(pn_gw_trigger::deliver, now, std::move(what));
}

/// Keys that the server may be generating are stored later.
void pn_gw_machine::impl::put_request_aside() {
  if (const auto* asking = std::get_if<gw_asking>(&activity))
    aside = put_aside{asking->id, asking->answer.response.resets};
}

/// The device proved itself elsewhere in the meantime; the server's keys are stored nevertheless. If the server verified a
/// reset, the one that proved the key was a copy of the device.
void pn_gw_machine::impl::store_late_keys(time_point now, const assigned_keys& a, std::uint64_t incarnation) {
  const auto resets = std::exchange(aside, std::nullopt)->resets;
  record.request.reset();
  if (auto ok = merge(now, a, incarnation); !ok) return noise(now, ok.error().message());
  const bool was_reset = resets > record.resets;
  if (was_reset) {
    withdraw_own();
    record.resets = resets;
  }
  persist_record();
  emit(kind_t::answered, epoch{a.generation, a.first_index});
  if (was_reset && state == pn_gw_state::keyed) start(now);
}

void pn_gw_machine::impl::handle_refusal(time_point now, const request_id& id, const refusal& answer) {
  if (refill && *refill == id) {
    record.request.reset();
    refill.reset();
    return refill_refused(now, answer);
  }
  auto* asking = std::get_if<gw_asking>(&activity);
  if (asking == nullptr || asking->id != id) {
    if (aside && aside->id == id) aside.reset();
    return noise(now, "the server answered a past request");
  }
  timers.stop(gw_timer::server);
  record.request.reset();
  const auto done = std::move(*asking);
  activity = gw_idle{};
  refused(now, answer, done);
}

namespace {

std::string text_of(const refusal& answer) {
  return std::string{name_of(answer.status)} + (answer.reason.empty() ? "" : ": " + answer.reason);
}

}  // namespace

/// A final refusal: the gateway stops serving the device.
void pn_gw_machine::impl::stand_aside(time_point now, const refusal& answer) {
  subject what;
  what.why = text_of(answer);
  what.retry_after = seconds{answer.retry_after};
  server_wanted = true;
  what.kind = answer.status == link_status::held_by_other ? kind_t::held_elsewhere
              : answer.status == link_status::stale_epoch ? kind_t::stale_epoch
                                                          : kind_t::revoked;
  fire(answer.status == link_status::held_by_other ? pn_gw_trigger::held_by_other
       : answer.status == link_status::stale_epoch ? pn_gw_trigger::stale
                                                   : pn_gw_trigger::revoked,
       now, std::move(what));
}

/// retry_after 0: a person has to act first. The gateway does not learn when, so it asks again at long intervals.
seconds pn_gw_machine::impl::wait_of(const refusal& answer) const {
  return answer.retry_after > 0 ? seconds{answer.retry_after} : settings.backoff_max;
}

void pn_gw_machine::impl::refused(time_point now, const refusal& answer, const gw_asking& done) {
  if (is_final(answer.status)) return stand_aside(now, answer);
  if (answer.status == link_status::stale_nonce && attempts < stale_nonces_max) {
    ++attempts;
    open = {};
    return fire(has_own() ? pn_gw_trigger::ask_again : pn_gw_trigger::ask_first, now);
  }
  const auto why = text_of(answer);
  if (answer.status == link_status::presence_failed) return presence_refused(now, why, done);
  emit(kind_t::server_refused, {}, why);
  const auto wait = wait_of(answer);
  server_not_before = now + wait;
  // A refused user or gateway is not the claimant's fault: it must not wait once the operator has acted.
  if (answer.status != link_status::unknown_user_or_bad_proof &&
      answer.status != link_status::gateway_blocked)
    book.refused(now, record.entity, done.claimant, {settings.backoff_min, settings.backoff_max, wait},
                 random);
  fail_with(now, why, wait);
}

/// Refuses this answer alone: its claimant waits, and the server is asked about the next answer.
void pn_gw_machine::impl::presence_refused(time_point now, const std::string& why, const gw_asking& done) {
  emit(kind_t::presence_failed, {}, why);
  book.refused(now, record.entity, done.claimant, {settings.backoff_min, settings.backoff_max, {}}, random);
  if (has_link(done.answer.link))
    drop_link(done.answer.link, "the device on this link is not the one that it claims to be");
  if (!links.empty()) return fire(has_own() ? pn_gw_trigger::ask_again : pn_gw_trigger::ask_first, now);
  subject what;
  what.why = why;
  fire(has_own() ? pn_gw_trigger::lost_keyed : pn_gw_trigger::lost, now, std::move(what));
}

void pn_gw_machine::impl::refill_refused(time_point now, const refusal& answer) {
  if (is_final(answer.status)) return stand_aside(now, answer);
  emit(kind_t::server_refused, {}, text_of(answer));
  if (answer.status == link_status::stale_nonce) {
    // A refill carries no nonce: the server no longer knows the set, so it was restored from a backup.
    recover_wanted = true;
    return start(now);
  }
  timers.set(gw_timer::refill, now + wait_of(answer));
}

/// Many devices wait for the server: the random delay spreads their requests.
void pn_gw_machine::impl::handle_server_ready(time_point now) {
  server_not_before = time_zero;
  const auto soon =
      now +
      milliseconds{static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(ready_spread.count())))};
  // An exchange that could not begin without the server does not count against the claims.
  if (waits_for_server) claims_not_before = std::min(claims_not_before, soon);
  for (const auto waits : {gw_timer::retry, gw_timer::refill})
    if (timers.at(waits) != time_never && timers.at(waits) > soon) timers.set(waits, soon);
}

// ---- refills, in the background of a keyed device

void pn_gw_machine::impl::request_refill(time_point now) {
  if (!has_own() || record.generation == 0 || record.standing != device_standing::normal) return;
  if (std::holds_alternative<gw_asking>(activity)) return;
  if (!refill) {
    if (record.unused_count() > settings.low_water) return timers.stop(gw_timer::refill);
    if (timers.at(gw_timer::refill) != time_never) return;
    refill = random.draw_id<request_id>();
    about_to_change();
    record.request = refill;
    record.request_is_refill = true;
    persist_record();
    emit(kind_t::requested, {}, std::string{name_of(assignment_reason::refill)});
  }
  if (!book.take_request(now, record.entity))
    return timers.set(gw_timer::refill, book.next_request(now, record.entity));
  key_assignment_request body;
  body.user = record.user;
  body.entity = record.entity;
  body.reason = assignment_reason::refill;
  body.known_epoch = record.keys.back().which;
  body.set = record.set;
  timers.set(gw_timer::refill, now + refill_wait);
  outputs.emplace_back(gw_request{*refill, std::move(body)});
}

void pn_gw_machine::impl::refill_answered(time_point now, const assigned_keys& a, std::uint64_t incarnation) {
  timers.stop(gw_timer::refill);
  refill.reset();
  if (auto ok = merge(now, a, incarnation); !ok) {
    record.request.reset();
    timers.set(gw_timer::refill, now + unusable_wait);
    return emit(kind_t::server_refused, {}, ok.error().message());
  }
  record.request.reset();
  record.request_is_refill = false;
  persist_record();
  emit(kind_t::refilled, record.keys.back().which);
  server_not_before = time_zero;
  if (state == pn_gw_state::keyed && update_is_due(now)) start(now);
}

// ---- reports

void pn_gw_machine::impl::report(time_point now) {
  timers.set(gw_timer::report, now + report_wait);
  outputs.emplace_back(gw_report{*record.to_report});
}

void pn_gw_machine::impl::handle_report_outcome(time_point now, epoch reported, report_outcome outcome) {
  if (record.to_report != reported) return;
  timers.stop(gw_timer::report);
  // Cleared in memory now, on disk with the next write: a report of the own epoch may always be repeated.
  record.to_report.reset();
  if (saved) saved->to_report.reset();
  if (outcome == report_outcome::ok) return;
  if (outcome == report_outcome::resync) {
    recover_wanted = true;
    return start(now);
  }
  server_wanted = true;
  subject what;
  what.kind = kind_t::held_elsewhere;
  what.why = "the server names another holder";
  what.retry_after = report_wait;
  fire(pn_gw_trigger::held_by_other, now, std::move(what));
}

}  // namespace cpns::protocol
