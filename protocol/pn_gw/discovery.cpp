// Steps 1 to 3 and the handling of answers (docs/protocol.md, "the recovery table").
#include <algorithm>
#include <utility>

#include "protocol/pn_gw/detector.hpp"
#include "protocol/pn_gw/pn_gw_impl.hpp"

namespace cpns::protocol {
namespace {

using kind_t = gw_event::kind_t;

constexpr int bad_possessions_max = 3;  ///< DREQs in a row, then the server is asked

}  // namespace

// ---- step 1

/// Begins the next exchange, if a link is up and the machine is idle. Without a good link all links may belong to
/// strangers, so they begin an exchange at a limited rate.
void pn_gw_machine::impl::start(time_point now) {
  if (links.empty() || !is_idle()) return;
  if (!proven && now < claims_not_before) {
    claimed = true;
    return timers.set(gw_timer::claim, claims_not_before);
  }
  begin(now);
}

void pn_gw_machine::impl::begin(time_point now) {
  using st = pn_gw_state;
  if (links.empty() || !is_idle()) return;
  if (state == st::awaiting_approval || state == st::quarantined || state == st::rejected ||
      state == st::revoked)
    return;
  if (!passes_validation(now)) return;
  timers.stop(gw_timer::retry);
  if (!proven) {
    claims_not_before = std::max(claims_not_before, now + claim_interval);
    waits_for_server = true;
  }
  // Another gateway holds it: without the server's consent nothing is delivered, also to the proven device.
  recover_wanted = recover_wanted || record.standing == device_standing::held_elsewhere;
  if (record.generation == 0 || server_wanted || recover_wanted)
    fire(has_own() ? pn_gw_trigger::ask_again : pn_gw_trigger::ask_first, now);
  else
    fire(has_own() ? pn_gw_trigger::renew : pn_gw_trigger::discover, now);
}

void pn_gw_machine::impl::send_dreq(time_point now, std::shared_ptr<const gw_dreq> adopted,
                                    const std::optional<nonce16>& nonce) {
  timers.stop(gw_timer::retry);
  timers.stop(gw_timer::ask);
  timers.set(gw_timer::answer, now + settings.answer_timeout);
  waits_for_server = false;
  activity = gw_discovering{};
  if (adopted) {
    if (collects(now)) return;  // its answer joins those that are collected
    open.dreq = std::move(adopted);
    open.sends_left = settings.retries;
    return;
  }
  auto x = std::make_shared<gw_dreq>();
  x->request = make_request(settings.gw, settings.lowest_suite, nonce, random);
  x->message = encode(x->request);
  if (const auto* own = record.own()) x->own = own->which;
  x->begun = now;
  // Answers to detectors stay while the server can verify them; the other links are asked again.
  forget_old_answers(now);
  std::erase_if(open.answers, [&](const gw_answer& a) { return !nonce || !a.response.presence; });
  open.dreq = std::move(x);
  open.sends_left = settings.retries;
  same_id.forget_answers();
  claimed = false;
  emit(kind_t::detecting);
  for (const auto& link : links)
    if (!has_answered(link)) outputs.emplace_back(gw_send{link, open.dreq->message});
}

std::optional<gw_answer> pn_gw_machine::impl::detected_answer(time_point now, gw_link link, byte_view dreq,
                                                              byte_view drsp) const {
  auto sent = decode_radio(dreq);
  auto received = decode_radio(drsp);
  auto* request = sent ? std::get_if<discovery_request>(&*sent) : nullptr;
  auto* response = received ? std::get_if<discovery_response>(&*received) : nullptr;
  if (request == nullptr || response == nullptr || request->gw != settings.gw) return std::nullopt;
  auto x = std::make_shared<gw_dreq>();
  x->message = to_bytes(dreq);
  x->request = std::move(*request);
  if (const auto* own = record.own()) x->own = own->which;
  x->begun = now;
  gw_answer a{link, std::move(x), to_bytes(drsp), std::move(*response), {}};
  a.classified = classify(s, record, a.dreq->own, a.dreq->message, a.dreq->request, a.response);
  return a;
}

void pn_gw_machine::impl::handle_detected(time_point now, gw_link link, byte_view dreq, byte_view drsp,
                                          gw_place place) {
  using st = pn_gw_state;
  add_link(link, std::move(place));
  if (!permit_waiting(now)) withdraw_permit(now);
  if (state == st::rejected || state == st::revoked)
    return drop_link(link,
                     record.standing_reason.empty() ? std::string{name_of(state)} : record.standing_reason);
  if (state == st::quarantined || !passes_validation(now) || state == st::awaiting_approval) return;
  if (state == st::held_elsewhere) {
    if (timers.at(gw_timer::retry) == time_never) start(now);
    return;
  }
  if (!has_link(link)) return;
  auto answer = detected_answer(now, link, dreq, drsp);
  if (!answer || !answer->classified.is_verified()) return claim(now, link, std::move(answer));
  emit(kind_t::detected, answer->response.highest);
  act_on_verified(now, std::move(*answer));
}

// ---- step 2

void pn_gw_machine::impl::handle_frame(time_point now, gw_link link, byte_view message) {
  if (!has_link(link)) return noise(now, "a message on a link of another device");
  auto m = decode_radio(message);
  if (!m) return noise(now, m.error().message());
  if (auto* drsp = std::get_if<discovery_response>(&*m)) return on(now, link, message, std::move(*drsp));
  if (const auto* kcnf = std::get_if<key_confirmation>(&*m)) return on(now, link, *kcnf);
  if (const auto* note = std::get_if<pne_notice>(&*m)) return on(now, link, *note);
  if (const auto* hint = std::get_if<failure>(&*m))
    return noise(now, "FAIL, reason " + std::to_string(static_cast<int>(hint->reason)));
  noise(now, "a message type that a PN GW does not accept");
}

void pn_gw_machine::impl::on(time_point now, gw_link link, byte_view message, discovery_response m) {
  if (const auto other = same_id.observe(now, link, record.entity, m); other && has_link(*other))
    outputs.emplace_back(gw_event{kind_t::same_id, {}, {}, link, other});
  if (!open.dreq) return noise(now, "DRSP without an open DREQ");
  const bool repeated = std::any_of(open.answers.begin(), open.answers.end(),
                                    [&](const gw_answer& a) { return equal(a.drsp, message); });
  if (repeated) return noise(now, "a repeated DRSP");
  gw_answer a{link, open.dreq, to_bytes(message), std::move(m), {}};
  a.classified = classify(s, record, a.dreq->own, a.dreq->message, a.dreq->request, a.response);
  const auto highest = a.response.highest;
  if (a.classified.is_verified()) {
    emit(kind_t::detected, highest);
    return act_on_verified(now, std::move(a));
  }
  const bool discovering = std::holds_alternative<gw_discovering>(activity);
  const bool collecting = std::holds_alternative<gw_collecting>(activity);
  if (!discovering && !collecting && !std::holds_alternative<gw_asking>(activity))
    return noise(now, "DRSP without an open DREQ");
  const bool candidate = a.classified.is_candidate();
  const auto why = std::string{"DRSP "} + std::string{a.classified.why};
  keep(std::move(a));
  if (!candidate) return noise(now, why);
  emit(kind_t::detected, highest, {}, false);
  // Before the first assignment no answer can be better than this one: the server verifies it.
  if (record.generation == 0 && discovering) return conclude(now);
  if (collecting) timers.set(gw_timer::ask, now);
}

/// A notice may cost a key, so it counts only on the link where the device proved itself.
void pn_gw_machine::impl::on(time_point now, gw_link link, const pne_notice& m) {
  using st = pn_gw_state;
  if (proven != link) return noise(now, "NOTE on an unverified link");
  if (m.kind == pne_notice::kind_t::going_to_sleep) {
    const bool was_keyed = state == st::keyed;
    fire(pn_gw_trigger::slept, now);
    if (was_keyed) emit(kind_t::asleep, {}, "the device goes to sleep");
    return;
  }
  if (now < notice_not_before) return noise(now, "NOTE over the rate");
  notice_not_before = now + notice_interval;
  woke = woke || has_own();
  if (state == st::keyed || state == st::asleep || state == st::backing_off) start(now);
}

/// A verified answer ends any other activity, on whichever link it came.
void pn_gw_machine::impl::act_on_verified(time_point now, gw_answer answer) {
  using st = pn_gw_state;
  prove(now, answer.link);
  put_request_aside();
  for (const auto t : {gw_timer::answer, gw_timer::ask, gw_timer::server, gw_timer::retry}) timers.stop(t);
  activity = gw_idle{};
  open = {};
  bad_possessions = 0;
  if (state == st::found || state == st::keyed || state == st::asleep || state == st::backing_off) {
    subject adopted;
    adopted.dreq = answer.dreq;
    fire(has_own() ? pn_gw_trigger::renew : pn_gw_trigger::discover, now, std::move(adopted));
    timers.stop(gw_timer::answer);
    open = {};
  }
  subject what;
  what.th1 = answer.classified.th1;
  what.resets = answer.response.resets;
  what.answer = answer;
  if (answer.classified.what == conclusion::newer_key) {
    what.confirmed = answer.classified.key;
    what.kind = answer.classified.was_unused ? kind_t::gateway_rolled_back : kind_t::confirmation_lost;
    fire(pn_gw_trigger::confirmed, now, std::move(what));
  } else {
    record.resets = answer.response.resets;
    fire(pn_gw_trigger::settled, now, std::move(what));
  }
  if (state != st::keyed) return;
  server_wanted = false;
  if (recover_wanted) {
    subject ask;
    ask.answer = std::move(answer);
    return fire(pn_gw_trigger::ask_again, now, std::move(ask));
  }
  if (update_is_due(now)) return deliver_or_ask(now, std::move(answer), false);
  request_refill(now);
}

/// Repeats the DREQ byte for byte while retries are left; to all links, or to those without an answer.
bool pn_gw_machine::impl::send_again(time_point now, bool to_all) {
  if (open.sends_left <= 0) return false;
  --open.sends_left;
  timers.set(gw_timer::answer, now + settings.answer_timeout);
  for (const auto& link : links)
    if (to_all || !has_answered(link)) outputs.emplace_back(gw_send{link, open.dreq->message});
  return true;
}

/// The answer timer expired without a better answer. While the good link is up, claims of strangers count only if
/// the device did not answer any repetition.
void pn_gw_machine::impl::answer_timer_ended(time_point now) {
  if (state == pn_gw_state::publishing) return fire(pn_gw_trigger::consumer_timeout, now);
  if (std::holds_alternative<gw_delivering>(activity)) return resend_kdel(now);
  if (!open.dreq) return;
  if (!std::holds_alternative<gw_discovering>(activity)) {
    if (!send_again(now, false) && std::holds_alternative<gw_collecting>(activity)) ask_next(now);
    return;
  }
  const auto found = candidates();
  const bool good_one = proven && !has_own() && std::any_of(found.begin(), found.end(), [&](std::size_t i) {
                          return open.answers[i].link == *proven;
                        });
  if (!found.empty() && (!proven || good_one)) return conclude(now);
  if (send_again(now, true)) return;
  if (!found.empty()) return conclude(now);
  nothing_usable(now);
}

void pn_gw_machine::impl::nothing_usable(time_point now) {
  const auto answers = std::exchange(open, {}).answers;
  if (std::any_of(answers.begin(), answers.end(),
                  [](const gw_answer& a) { return a.classified.what == conclusion::bad_possession; }))
    server_wanted = ++bad_possessions >= bad_possessions_max || server_wanted;
  for (const auto& a : answers)
    if (a.classified.what == conclusion::foreign && has_link(a.link))
      drop_link(a.link, "another device answers on this link: " + a.response.entity.text());
  fail_with(now, answers.empty() ? "the device does not answer" : "no usable answer", seconds{0},
            !answers.empty());
}

// ---- step 3

bool pn_gw_machine::impl::passes_validation(time_point now) {
  subject no;
  no.kind = kind_t::rejected;
  no.remember = false;
  if (settings.denied) no.why = "the deny list names this device";
  if (settings.policy == validation_policy::list && !settings.allowed)
    no.why = "the allow list does not name this device";
  if (!no.why.empty()) {
    fire(pn_gw_trigger::refused_here, now, std::move(no));
    return false;
  }
  if (record.approved) return true;
  if (!lets_in(now)) {
    if (state != pn_gw_state::awaiting_approval) fire(pn_gw_trigger::approval_needed, now);
    return false;
  }
  if (!std::exchange(let_in, true)) emit(kind_t::validated);
  return true;
}

/// Whether a device that nobody approved may begin an exchange.
bool pn_gw_machine::impl::lets_in(time_point now) const {
  return settings.policy != validation_policy::ask || now < settings.permit_until;
}

/// The device has proven itself. Any peer in range can claim an Entity ID, so a claim alone approves nothing: its device
/// could come when the permit window is closed.
void pn_gw_machine::impl::approve_if_let_in(time_point now) {
  record.approved = record.approved || lets_in(now);
}

/// True if the device waited for a person, is in reach, and the permit window is open: an exchange may begin.
bool pn_gw_machine::impl::permit_waiting(time_point now) {
  if (state != pn_gw_state::awaiting_approval || settings.policy != validation_policy::ask || !lets_in(now) ||
      links.empty() || settings.denied)
    return false;
  fire(pn_gw_trigger::permitted, now);
  return true;
}

/// Ends an exchange that began because of the permit window, or of another policy, if that is over and the device has
/// not proven itself.
void pn_gw_machine::impl::withdraw_permit(time_point now) {
  if (lets_in(now) || !std::exchange(let_in, false) || record.approved || links.empty()) return;
  if (record.standing == device_standing::normal && state != pn_gw_state::awaiting_approval &&
      state != pn_gw_state::rejected)
    fire(pn_gw_trigger::approval_needed, now);
}

void pn_gw_machine::impl::handle_approval(time_point now, bool approved) {
  subject what;
  if (!approved) {
    what.kind = kind_t::rejected;
    what.why = "the user refused the device";
    record.approved = false;
    return fire(pn_gw_trigger::refused_here, now, std::move(what));
  }
  if (state == pn_gw_state::quarantined) {
    recover_wanted = true;
    server_not_before = time_zero;
  }
  fire(pn_gw_trigger::approved, now, std::move(what));
  begin(now);
}

void pn_gw_machine::impl::handle_update_request(time_point now) {
  woke = true;
  if (now < server_not_before) {
    // What the server refused may be mended, and a person wants to know now.
    server_not_before = time_zero;
    for (const auto& link : links) book.accepted(record.entity, claimant(link));
  }
  begin(now);
}

}  // namespace cpns::protocol
