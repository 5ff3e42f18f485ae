#include "protocol/pn_gw/pn_gw_machine.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "protocol/pn_gw/pn_gw_impl.hpp"

namespace cpns::protocol {
namespace {

using kind_t = gw_event::kind_t;

/// A slow write holds up the outputs: over this bound, noise is counted but not reported.
constexpr std::size_t gw_outputs_max = 64;

pn_gw_state first_state(const device_record& r) {
  switch (r.standing) {
  case device_standing::held_elsewhere: return pn_gw_state::held_elsewhere;
  case device_standing::quarantined: return pn_gw_state::quarantined;
  case device_standing::rejected: return pn_gw_state::rejected;
  case device_standing::revoked: return pn_gw_state::revoked;
  case device_standing::normal: break;
  }
  return r.own() != nullptr ? pn_gw_state::asleep : pn_gw_state::found;
}

}  // namespace

pn_gw_machine::impl::impl(pn_gw_settings settings_in, device_record record_in, const crypto::suite& s_in,
                          entropy& random_in, claimant_book* book_in)
    : settings(std::move(settings_in)), record(std::move(record_in)), s(s_in), random(random_in),
      state(first_state(record)), own_book(book_in == nullptr ? std::make_unique<claimants>() : nullptr),
      book(book_in != nullptr ? *book_in : *own_book) {}

pn_gw_machine::impl::impl(pn_gw_settings settings_in, device_record record_in, const crypto::suite& s_in,
                          entropy& random_in, time_point now, const gw_dates& dates, claimant_book* book_in)
    : impl(std::move(settings_in), std::move(record_in), s_in, random_in, book_in) {
  note_dates(now, dates);
  if (record.own() != nullptr) schedule_update(confirmed_at(now));
  if (record.request && record.request_is_refill) refill = record.request;
  if (refill) request_refill(now);
  if (record.to_report) report(now);
  lapse_unproven();  // of an exchange that a crash cut off
}

// The only writer of the state.
void pn_gw_machine::impl::fire(pn_gw_trigger t, time_point now, subject what) {
  const auto& row = fsm::find(pn_gw_table, state, t);
  if (row.what == fsm::verdict::accept) {
    if (row.to != state && log::enabled(log::level::debug, "pn_gw"))
      log::debug("pn_gw", "state", std::string{name_of(state)} + " -> " + std::string{name_of(row.to)},
                 {{"entity", record.entity.text()}, {"trigger", std::string{name_of(t)}}});
    state = row.to;
  }
  if (row.what == fsm::verdict::reject) what.why = fsm::refusal_text(row);
  perform(row.action, now, what);
  if (row.what == fsm::verdict::accept && !std::holds_alternative<gw_delivering>(activity) && !write_failed)
    lapse_unproven();
}

void pn_gw_machine::impl::perform(pn_gw_action a, time_point now, subject& what) {
  switch (a) {
  case pn_gw_action::none: return;
  case pn_gw_action::drop:
  case pn_gw_action::count:
    ++dropped;
    if (outputs.size() < gw_outputs_max) emit(kind_t::dropped, {}, std::move(what.why));
    return;
  case pn_gw_action::send_dreq: return send_dreq(now, std::move(what.dreq), std::nullopt);
  case pn_gw_action::ask_approval:
    put_request_aside();
    for (const auto t : {gw_timer::answer, gw_timer::server, gw_timer::ask, gw_timer::retry, gw_timer::claim})
      timers.stop(t);
    activity = gw_idle{};
    open = {};
    claimed = false;
    emit(kind_t::awaiting_approval);
    outputs.emplace_back(gw_ask_approval{});
    return;
  case pn_gw_action::approve:
    about_to_change();
    record.approved = true;
    record.standing = device_standing::normal;
    record.standing_reason.clear();
    persist_record();
    emit(kind_t::validated);
    return;
  case pn_gw_action::refuse: return leave(now, what);
  case pn_gw_action::ask_server: return ask_server(now, what);
  case pn_gw_action::hand_out: return hand_out(now, what);
  case pn_gw_action::send_kdel: return send_kdel(now);
  case pn_gw_action::send_kdel_late: return consumers_are_late(now);
  case pn_gw_action::make_own: return make_own(now, what);
  case pn_gw_action::send_kret:
    activity = gw_idle{};
    attempts = 0;
    return send_kret(what.th1, what.answer->link);
  case pn_gw_action::back_off: return back_off(now, what);
  case pn_gw_action::leave_alone:
    stand(device_standing::held_elsewhere, what);
    timers.set(gw_timer::retry, now + std::max(what.retry_after, settings.backoff_min));
    return;
  case pn_gw_action::quarantine: return stand(device_standing::quarantined, what);
  case pn_gw_action::erase: return leave(now, what);
  case pn_gw_action::forget_exchange:
    // An open request stays: the server's answer to it is stored.
    if (!std::holds_alternative<gw_asking>(activity)) {
      activity = gw_idle{};
      timers.stop(gw_timer::server);
    }
    open = {};
    claimed = false;
    for (const auto t : {gw_timer::answer, gw_timer::retry, gw_timer::claim, gw_timer::ask}) timers.stop(t);
    if (has_own()) emit(kind_t::asleep, {}, std::move(what.why));
    return;
  case pn_gw_action::count_: return;
  }
}

/// The wait doubles with each failure in a row; half of it is random, so that a fleet does not come back at once.
/// Failures that any peer in range can cause do not double it. Without a link, the next link begins the exchange.
void pn_gw_machine::impl::back_off(time_point now, subject& what) {
  activity = gw_idle{};
  for (const auto t : {gw_timer::answer, gw_timer::server, gw_timer::ask}) timers.stop(t);
  if (!what.anybody) attempts = std::min(attempts + 1, 16);
  const int doublings = what.anybody ? 0 : attempts - 1;
  const milliseconds longest = settings.backoff_max;
  const milliseconds whole =
      std::min(longest, milliseconds{settings.backoff_min} * (std::int64_t{1} << doublings));
  const auto half = static_cast<std::uint64_t>(std::max<std::int64_t>(whole.count() / 2, 1));
  const auto wait = milliseconds{static_cast<std::int64_t>(half + random.below(half + 1))};
  if (links.empty())
    return emit(kind_t::backing_off, {}, what.why + "; next attempt when the device is in reach");
  const auto longer = std::max<milliseconds>(wait, what.retry_after);
  timers.set(gw_timer::retry, now + longer);
  emit(kind_t::backing_off, {},
       what.why + "; next attempt in " + std::to_string(std::chrono::ceil<seconds>(longer).count()) + " s");
}

/// Rejected or revoked: stores that and closes the links.
void pn_gw_machine::impl::leave(time_point, subject& what) {
  const bool revoked = state == pn_gw_state::revoked;
  const auto why = what.why;
  if (revoked) {
    about_to_change();
    record.keys.clear();
    record.gateway_temporary_key.reset();
    record.chain.reset();
    record.to_report.reset();
    server_wanted = false;
  }
  if (what.remember) {
    stand(revoked ? device_standing::revoked : device_standing::rejected, what);
  } else {
    activity = gw_idle{};
    emit(what.kind, {}, std::move(what.why));
  }
  while (!links.empty()) drop_link(links.front(), why);
}

void pn_gw_machine::impl::stand(device_standing standing, subject& what) {
  activity = gw_idle{};
  open = {};
  claimed = false;
  for (const auto t : {gw_timer::answer, gw_timer::server, gw_timer::retry, gw_timer::refill, gw_timer::claim,
                       gw_timer::ask})
    timers.stop(t);
  refill.reset();
  aside.reset();
  about_to_change();
  record.standing = standing;
  record.standing_reason = what.why.substr(0, 200);
  record.request.reset();
  persist_record();
  emit(what.kind, {}, std::move(what.why));
}

void pn_gw_machine::impl::noise(time_point now, std::string why) {
  subject what;
  what.why = std::move(why);
  fire(pn_gw_trigger::noise, now, std::move(what));
}

void pn_gw_machine::impl::note_dates(time_point now, const gw_dates& dates) {
  wall_ahead = dates.wall - now;
  newest_date = dates.newest;
}

time_point pn_gw_machine::impl::confirmed_at(time_point now) const {
  return std::min(time_point{milliseconds{record.keyed_since}} - wall_ahead, now);
}

bool pn_gw_machine::impl::is_expired(time_point now, std::int64_t not_after) const {
  return not_after != 0 && unix_seconds(latest_date(now)) > not_after;
}

void pn_gw_machine::impl::schedule_update(time_point since) {
  updated_at = since;
  update_due = update_due_after(since, record.rekey_seconds, settings, random);
}

void pn_gw_machine::impl::handle_settings(time_point now, pn_gw_settings fresh) {
  settings = std::move(fresh);
  withdraw_permit(now);
  if (permit_waiting(now)) begin(now);
  if (has_own()) schedule_update(updated_at);
}

time_point pn_gw_machine::impl::next_deadline() {
  const bool resting = state == pn_gw_state::keyed || state == pn_gw_state::asleep;
  if (resting && is_idle() && !links.empty())
    timers.set(gw_timer::update,
               std::max({update_due, server_not_before, proven ? time_zero : claims_not_before}));
  else
    timers.stop(gw_timer::update);
  return timers.next();
}

void pn_gw_machine::impl::handle_timeout(time_point now) {
  (void)next_deadline();
  if (timers.take(gw_timer::answer, now)) answer_timer_ended(now);
  if (timers.take(gw_timer::server, now)) {
    if (std::holds_alternative<gw_awaiting_nonce>(activity))
      handle_issuer_nonce(now, std::nullopt);
    else
      fail_with(now, "the server did not answer in time");
  }
  if (timers.take(gw_timer::ask, now) && std::holds_alternative<gw_collecting>(activity)) ask_next(now);
  if (timers.take(gw_timer::claim, now)) begin_for_claims(now);
  if (timers.take(gw_timer::retry, now)) start(now);
  if (timers.take(gw_timer::update, now) && is_idle()) start(now);
  if (timers.take(gw_timer::refill, now)) request_refill(now);
  if (timers.take(gw_timer::report, now) && record.to_report) report(now);
}

void pn_gw_machine::impl::about_to_change() {
  if (!saved) saved = record;
}

void pn_gw_machine::impl::persist_record(std::optional<held_key> retired) {
  place_changed = false;
  outputs.emplace_back(gw_persist{std::make_shared<const device_record>(record), std::move(retired)});
}

std::optional<gw_output> pn_gw_machine::impl::poll_output() {
  if (in_flight) {
    // The driver polls again, so the write is durable: a later failed write falls back to this record.
    const bool more = std::any_of(outputs.begin(), outputs.end(),
                                  [](const gw_output& o) { return std::holds_alternative<gw_persist>(o); });
    if (more)
      saved = *in_flight;
    else
      saved.reset();
    in_flight.reset();
  }
  if (outputs.empty()) return std::nullopt;
  auto out = std::move(outputs.front());
  outputs.pop_front();
  if (const auto* p = std::get_if<gw_persist>(&out)) in_flight = p->record;
  return out;
}

void pn_gw_machine::impl::handle_persist_failed(time_point now) {
  if (!in_flight) return;
  in_flight.reset();
  // Dropped links are already forgotten, so they are closed even though the write failed.
  std::erase_if(outputs, [](const gw_output& o) { return !std::holds_alternative<gw_close_link>(o); });
  if (saved) record = std::move(*saved);
  saved.reset();
  place_changed = true;
  refill = record.request_is_refill ? record.request : std::nullopt;
  aside.reset();
  activity = gw_idle{};
  open = {};
  if (record.own() != nullptr) schedule_update(confirmed_at(now));
  write_failed = true;  // the next write begins when there is a next trigger
  fail_with(now, "the write to the key store failed; the former record stays valid");
  write_failed = false;
}

void pn_gw_machine::impl::fail_with(time_point now, std::string why, seconds retry_after, bool anybody) {
  subject what;
  what.anybody = anybody;
  what.why = std::move(why);
  what.retry_after = retry_after;
  fire(pn_gw_trigger::failed, now, std::move(what));
}

void pn_gw_machine::impl::emit(gw_event::kind_t kind, std::optional<epoch> which, std::string why,
                               bool proven_now) {
  gw_event e{kind, which, std::move(why)};
  e.unproven = kind == kind_t::dropped || !proven || !proven_now;
  outputs.emplace_back(std::move(e));
}

}  // namespace cpns::protocol
