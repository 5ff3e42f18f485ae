// Steps 1 to 3 and the judgement of answers (docs/protocol.md, "the recovery table").
#include <algorithm>

#include "protocol/pn_gw/offer.hpp"
#include "protocol/pn_gw/pn_gw_impl.hpp"

namespace cpns::protocol {
namespace {

using kind_t = gw_event::kind_t;

constexpr std::size_t links_max = 4;    ///< of one device; over this the worst one is closed
constexpr std::size_t answers_max = 8;  ///< to one DREQ
constexpr int bad_possessions_max = 3;  ///< DREQs in a row, then the server is asked

bool is_unkeyed(const gw_answer& a) {
  return a.judged.what == conclusion::amnesia || a.judged.what == conclusion::first_delivery_lost;
}

}  // namespace

bool pn_gw_machine::impl::has_link(gw_link link) const {
  return std::find(links.begin(), links.end(), link) != links.end();
}

void pn_gw_machine::impl::prefer(gw_link link) {
  links.erase(std::remove(links.begin(), links.end(), link), links.end());
  links.insert(links.begin(), link);
}

/// A device that proves itself where it did not the last time has woken up; anybody can come up on a link.
void pn_gw_machine::impl::prove(gw_link link) {
  woke = woke || (has_own() && proven != link);
  proven = link;
  prefer(link);
}

void pn_gw_machine::impl::drop_link(gw_link link, std::string why) {
  if (proven == link) proven.reset();
  links.erase(std::remove(links.begin(), links.end(), link), links.end());
  outputs.emplace_back(gw_close_link{link, std::move(why)});
}

// ---- step 1

/// Begins whatever is next for this device, if a link is up and nothing is going on.
void pn_gw_machine::impl::start(time_point now) {
  using st = pn_gw_state;
  if (links.empty() || !is_idle()) return;
  if (state == st::awaiting_approval || state == st::quarantined || state == st::rejected ||
      state == st::revoked)
    return;
  if (!passes_validation(now)) return;
  timers.stop(gw_timer::retry);
  // Another gateway holds it: nothing is delivered before the server says otherwise, whatever the device
  // proves.
  recover_wanted = recover_wanted || record.standing == device_standing::held_elsewhere;
  if (record.generation == 0 || server_wanted || recover_wanted)
    fire(has_own() ? pn_gw_trigger::ask_again : pn_gw_trigger::ask_first, now);
  else
    fire(has_own() ? pn_gw_trigger::renew : pn_gw_trigger::discover, now);
}

void pn_gw_machine::impl::send_dreq(time_point now, std::optional<gw_exchange> adopted,
                                    const std::optional<nonce16>& nonce) {
  timers.stop(gw_timer::retry);
  timers.set(gw_timer::answer, now + settings.answer_timeout);
  if (adopted) {
    activity = gw_discovering{std::move(*adopted)};
    return;
  }
  gw_exchange x;
  x.request = make_request(settings.gw, settings.lowest_suite, nonce, random);
  x.dreq = encode(x.request);
  if (const auto* own = record.own()) x.own = own->which;
  x.begun = now;
  x.sends_left = settings.retries;
  say(kind_t::detecting);
  for (const auto& link : links) outputs.emplace_back(gw_send{link, x.dreq});
  activity = gw_discovering{std::move(x)};
}

void pn_gw_machine::impl::handle_detected(time_point now, gw_link link, byte_view dreq, byte_view drsp) {
  using st = pn_gw_state;
  prefer(link);
  if (links.size() > links_max)
    drop_link(links.back() == proven ? links.end()[-2] : links.back(), "the device is on too many links");
  if (state == st::rejected || state == st::revoked)
    return drop_link(link,
                     record.standing_reason.empty() ? std::string{name_of(state)} : record.standing_reason);
  if (state == st::quarantined || !passes_validation(now) || state == st::awaiting_approval) return;
  if (state == st::held_elsewhere) {
    if (timers.at(gw_timer::retry) == time_never) start(now);
    return;
  }
  if (auto* d = std::get_if<gw_discovering>(&activity))
    return void(outputs.emplace_back(gw_send{link, d->exchange.dreq}));
  if (!is_idle()) return;
  if (state == st::backing_off && now < server_not_before) return;

  auto asked = decode_radio(dreq);
  auto said = decode_radio(drsp);
  auto* request = asked ? std::get_if<discovery_request>(&*asked) : nullptr;
  auto* answer = said ? std::get_if<discovery_response>(&*said) : nullptr;
  if (request == nullptr || answer == nullptr || request->gw != settings.gw) return start(now);
  gw_exchange x;
  x.dreq = to_bytes(dreq);
  x.request = std::move(*request);
  if (const auto* own = record.own()) x.own = own->which;
  x.begun = now;
  x.sends_left = settings.retries;
  // The detector's DREQ may be older than the own key: what it does not verify is asked again.
  const auto j = judge(s, record, x.own, x.dreq, x.request, *answer);
  const bool is_new = record.generation == 0 && refusals == 0 && j.is_candidate();
  if (!j.is_verified() && !is_new) return start(now);
  subject what;
  what.exchange = std::move(x);
  fire(has_own() ? pn_gw_trigger::renew : pn_gw_trigger::discover, now, std::move(what));
  on(now, link, drsp, std::move(*answer));
}

void pn_gw_machine::impl::handle_link_down(time_point now, gw_link link) {
  if (!has_link(link)) return;
  if (proven == link) proven.reset();
  links.erase(std::remove(links.begin(), links.end(), link), links.end());
  if (links.empty()) {
    subject what;
    what.why = "the link went down";
    return fire(has_own() ? pn_gw_trigger::lost_keyed : pn_gw_trigger::lost, now, std::move(what));
  }
  if (const auto* d = std::get_if<gw_delivering>(&activity); d != nullptr && d->link == link)
    fail_with(now, "the link went down while a key was delivered");
}

// ---- step 2

void pn_gw_machine::impl::handle_frame(time_point now, gw_link link, byte_view message) {
  if (!has_link(link)) return noise(now, "a message on a link that is not this device's");
  auto m = decode_radio(message);
  if (!m) return noise(now, m.error().message());
  if (auto* drsp = std::get_if<discovery_response>(&*m)) return on(now, link, message, std::move(*drsp));
  if (const auto* kcnf = std::get_if<key_confirmation>(&*m)) return on(now, link, *kcnf);
  if (const auto* note = std::get_if<pne_notice>(&*m)) return on(now, *note);
  if (const auto* hint = std::get_if<failure>(&*m))
    return noise(now, "FAIL, reason " + std::to_string(static_cast<int>(hint->reason)));
  noise(now, "a message that a PN GW does not take");
}

void pn_gw_machine::impl::on(time_point now, gw_link link, byte_view message, discovery_response m) {
  if (const auto other = same_id.heard(now, link, record.entity, m); other && has_link(*other))
    outputs.emplace_back(gw_event{kind_t::same_id, {}, {}, link, other});
  auto* d = std::get_if<gw_discovering>(&activity);
  if (d == nullptr) return noise(now, "DRSP, and no DREQ is out");
  auto& x = d->exchange;
  const bool repeated = std::any_of(x.answers.begin(), x.answers.end(),
                                    [&](const gw_answer& a) { return equal(a.drsp, message); });
  if (repeated) return noise(now, "the same DRSP again");
  gw_answer a{link, to_bytes(message), std::move(m), {}};
  a.judged = judge(s, record, x.own, x.dreq, x.request, a.said);
  if (a.judged.is_verified()) {
    say(kind_t::detected, a.said.highest);
    auto exchange = std::move(x);
    return act_on_verified(now, std::move(exchange), std::move(a));
  }
  if (x.answers.size() >= answers_max) return noise(now, "DRSP over the bound of answers to one DREQ");
  const bool candidate = a.judged.is_candidate();
  const auto why = std::string{"DRSP "} + std::string{a.judged.why};
  const auto highest = a.said.highest;
  x.answers.push_back(std::move(a));
  if (!candidate) return noise(now, why);
  say(kind_t::detected, highest);
  // With nothing confirmed or assigned yet there is no better answer to wait for: the server judges. Once it
  // refused one, the answers of all links are waited for: the fastest may be an impostor.
  if (record.generation == 0 && refusals == 0) conclude(now);
}

void pn_gw_machine::impl::on(time_point now, const pne_notice& m) {
  using st = pn_gw_state;
  if (m.kind == pne_notice::kind_t::going_to_sleep) {
    const bool was_keyed = state == st::keyed;
    fire(pn_gw_trigger::slept, now);
    if (was_keyed) say(kind_t::asleep, {}, "the device goes to sleep");
    return;
  }
  if (!notices.take(now)) return noise(now, "NOTE over the rate");
  woke = woke || has_own();
  if (state == st::keyed || state == st::asleep || state == st::backing_off) start(now);
}

void pn_gw_machine::impl::act_on_verified(time_point now, gw_exchange exchange, gw_answer answer) {
  prove(answer.link);
  timers.stop(gw_timer::answer);
  bad_possessions = 0;
  subject what;
  what.th1 = answer.judged.th1;
  what.resets = answer.said.resets;
  what.answer = answer;
  if (answer.judged.what == conclusion::newer_key) {
    what.confirmed = answer.judged.key;
    what.kind = answer.judged.was_unused ? kind_t::gateway_rolled_back : kind_t::confirmation_lost;
    fire(pn_gw_trigger::confirmed, now, std::move(what));
  } else {
    record.resets = answer.said.resets;
    fire(pn_gw_trigger::settled, now, std::move(what));
  }
  if (state != pn_gw_state::keyed) return;
  server_wanted = false;
  if (recover_wanted) {
    subject ask;
    ask.exchange = std::move(exchange);
    ask.answer = std::move(answer);
    return fire(pn_gw_trigger::ask_again, now, std::move(ask));
  }
  if (update_is_due(now)) return deliver_or_ask(now, std::move(exchange), std::move(answer), false);
  request_refill(now);
}

/// No better answer came within the answer timer.
void pn_gw_machine::impl::answer_timer_ended(time_point now) {
  if (std::holds_alternative<gw_delivering>(activity)) return resend_kdel(now);
  auto* d = std::get_if<gw_discovering>(&activity);
  if (d == nullptr) return;
  auto& x = d->exchange;
  const auto any = [&x](auto pred) { return std::any_of(x.answers.begin(), x.answers.end(), pred); };
  if (any([](const gw_answer& a) { return a.judged.is_candidate(); })) return conclude(now);
  if (x.sends_left > 0) {
    --x.sends_left;
    timers.set(gw_timer::answer, now + settings.answer_timeout);
    for (const auto& link : links) outputs.emplace_back(gw_send{link, x.dreq});
    return;
  }
  if (any([](const gw_answer& a) { return a.judged.what == conclusion::bad_possession; }))
    server_wanted = ++bad_possessions >= bad_possessions_max || server_wanted;
  for (const auto& a : x.answers)
    if (a.judged.what == conclusion::foreign && has_link(a.link))
      drop_link(a.link, "another device answers on this link: " + a.said.entity.text());
  fail_with(now, x.answers.empty() ? "the device does not answer" : "no answer that could be used");
}

/// The rows of the table whose answers nothing verified. Nobody in range can make this an alarm or a lost
/// key.
void pn_gw_machine::impl::conclude(time_point now) {
  auto exchange = std::move(std::get<gw_discovering>(activity).exchange);
  timers.stop(gw_timer::answer);
  activity = gw_idle{};
  std::vector<gw_answer> candidates;
  for (auto& a : exchange.answers)
    if (a.judged.is_candidate()) candidates.push_back(std::move(a));
  exchange.answers.clear();
  auto& chosen = candidates[static_cast<std::size_t>(refusals) % candidates.size()];
  const bool unkeyed = std::all_of(candidates.begin(), candidates.end(), is_unkeyed);
  if (unkeyed && !server_wanted && !recover_wanted)
    return deliver_or_ask(now, std::move(exchange), std::move(chosen), true);
  const bool chain_held = record.chain && chosen.said.highest == record.chain->made_for &&
                          record.chain->generation == record.generation && next_key(chosen) != nullptr;
  if (chain_held && !recover_wanted)
    return deliver_or_ask(now, std::move(exchange), std::move(chosen), false);
  subject what;
  what.exchange = std::move(exchange);
  what.answer = std::move(chosen);
  fire(has_own() ? pn_gw_trigger::ask_again : pn_gw_trigger::ask_first, now, std::move(what));
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
  if (settings.policy == validation_policy::ask) {
    if (state != pn_gw_state::awaiting_approval) fire(pn_gw_trigger::approval_needed, now);
    return false;
  }
  record.approved = true;
  say(kind_t::validated);
  return true;
}

void pn_gw_machine::impl::handle_approval(time_point now, bool approved) {
  subject what;
  if (!approved) {
    what.kind = kind_t::rejected;
    what.why = "the user said no";
    record.approved = false;
    return fire(pn_gw_trigger::refused_here, now, std::move(what));
  }
  recover_wanted = recover_wanted || state == pn_gw_state::quarantined;
  fire(pn_gw_trigger::approved, now, std::move(what));
  start(now);
}

void pn_gw_machine::impl::handle_update_request(time_point now) {
  woke = true;
  start(now);
}

}  // namespace cpns::protocol
