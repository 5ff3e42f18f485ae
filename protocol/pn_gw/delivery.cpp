// Steps 9 and 10.
#include <algorithm>

#include "protocol/pn_gw/pn_gw_impl.hpp"

namespace cpns::protocol {
namespace {

using kind_t = gw_event::kind_t;

std::int64_t day_of(time_point t) { return unix_seconds(t) / 86400; }

}  // namespace

/// The lowest unused key of the newest set above every key that was ever in a KDEL and above the PNE's epoch.
const held_key* pn_gw_machine::impl::next_key(const gw_answer& answer) const {
  epoch above;
  for (const auto& k : record.keys)
    if (k.use != key_use::unused) above = std::max(above, k.which);
  const bool none_used = std::all_of(record.keys.begin(), record.keys.end(),
                                     [](const held_key& k) { return k.use == key_use::unused; });
  for (const auto& k : record.keys) {
    if (k.use != key_use::unused || k.which.generation() != record.generation || k.set != record.set)
      continue;
    if (!none_used && k.which <= above) continue;
    if (answer.response.highest && k.which <= *answer.response.highest) continue;
    return &k;
  }
  return nullptr;
}

bool pn_gw_machine::impl::within_budget(time_point now) const {
  const bool today = record.budget_day == day_of(date_of(now));
  return (!today || record.unchained_built < settings.amnesia_budget) &&
         record.unused_count() > settings.healing_reserve;
}

bool pn_gw_machine::impl::can_deliver(time_point now, const gw_answer& answer) const {
  return !is_expired(now, record.not_after) && record.gateway_temporary_key && next_key(answer) != nullptr;
}

/// `healing`: the answer is unverified. Only the device can decrypt the key, and the budget bounds the spending.
void pn_gw_machine::impl::deliver_or_ask(time_point now, gw_answer answer, bool healing) {
  const bool expired = is_expired(now, record.not_after);
  const bool ready = can_deliver(now, answer);
  subject what;
  if (healing && has_own() && !answer.response.highest)
    what.amnesia = "it claimed to have no key; healed with the next one";
  what.answer = std::move(answer);
  what.healing = healing;
  if (ready && (!healing || within_budget(now))) return fire(pn_gw_trigger::deliver, now, std::move(what));
  if (!healing && has_own() && !expired && state == pn_gw_state::keyed) {
    // No key is left to deliver: the device keeps its key until the refill is answered.
    request_refill(now);
    server_not_before = std::max(server_not_before, now + settings.backoff_max);
    return;
  }
  fire(has_own() ? pn_gw_trigger::ask_again : pn_gw_trigger::ask_first, now, std::move(what));
}

// Step 9. KDEL is built once for this DRSP; the secret inputs are wiped at the end of this function. A program of the
// gateway that learned the key later than the PNE would refuse the PNE, so KDEL is sent after the programs were told.
void pn_gw_machine::impl::hand_out(time_point now, subject& what) {
  const auto& response = what.answer->response;
  const auto& classified = what.answer->classified;
  const auto* key = next_key(*what.answer);
  key_delivery m;
  m.which = key->which;
  const auto generation = key->which.generation();

  // Z = suite 2: X25519 output, all zero aborts;  suite 1: 32 zero bytes
  secret32 z;
  if (response.suite == suite_x25519) {
    const auto pair = s.x25519_generate(random);
    m.gw_share = pair.public_key;
    auto shared = s.x25519(pair.private_key, *response.pne_share);
    if (!shared) return fail_with(now, "DRSP: " + shared.error().message());
    z = std::move(*shared);
  } else {
    m.gw_share = random.draw<32>();
  }
  // C = chained: X(EUKey(DRSP epoch), ["cpns/1 chain", gw_id, generation]);  else 32 zero bytes
  secret32 c;
  if (classified.is_verified()) {
    c = crypto::derive_chain(s, record.find(*classified.key)->eukey, settings.gw, generation);
    m.chained = true;
  } else if (record.chain && response.highest == record.chain->made_for &&
             record.chain->generation == generation) {
    c = record.chain->value;
    m.chained = true;
  }
  const auto th2 = crypto::transcript2(s, classified.th1, response.possession, response.presence, m.which,
                                       m.chained, m.gw_share);
  const auto sealing = crypto::derive_delivery_key(s, th2, *record.gateway_temporary_key, z, c);
  const auto plain = encode(delivery_content{key->eukey, record.owner, record.rekey_seconds});
  m.sealed = s.gcm_seal(sealing.key, sealing.nonce, delivery_aad(th2), plain.expose());

  about_to_change();
  const auto mine = std::find_if(record.keys.begin(), record.keys.end(),
                                 [&m](const held_key& k) { return k.which == m.which; });
  mine->use = classified.is_verified() ? key_use::handed_out : key_use::unproven;
  if (what.healing) {
    const auto today = day_of(date_of(now));
    if (record.budget_day != today) record.unchained_built = 0;
    record.budget_day = today;
    ++record.unchained_built;
  }
  persist_record();
  if (what.stored) emit(kind_t::answered, m.which);
  amnesia.reset();
  if (!what.amnesia.empty()) amnesia = {m.which, std::move(what.amnesia)};

  gw_delivering d;
  d.link = what.answer->link;
  d.which = m.which;
  d.th1 = classified.th1;
  d.th2 = th2;
  d.resets = response.resets;
  d.kdel = encode(m);
  d.sends_left = settings.retries;
  d.expires = what.answer->dreq->begun + context_lifetime;
  d.healing = what.healing;
  timers.stop(gw_timer::ask);
  // A healed peer may be a stranger: the device may still prove itself in this exchange.
  open.answers.clear();
  if (!d.healing) open = {};
  const auto until = d.expires;
  activity = std::move(d);
  if (settings.consumer_wait == milliseconds{0}) return fire(pn_gw_trigger::consumers_ready, now);
  timers.set(gw_timer::answer, until);
  outputs.emplace_back(gw_publish{m.which});
}

/// The wait begins here and not in hand_out(): the write between them can take longer than the wait.
void pn_gw_machine::impl::handle_published(time_point now, epoch published) {
  auto* d = std::get_if<gw_delivering>(&activity);
  if (d == nullptr || d->which != published || state != pn_gw_state::publishing) return;
  d->published = true;
  timers.set(gw_timer::answer, std::min(now + settings.consumer_wait, d->expires));
}

void pn_gw_machine::impl::handle_consumers_ready(time_point now, epoch published) {
  const auto* d = std::get_if<gw_delivering>(&activity);
  if (d != nullptr && d->which == published) fire(pn_gw_trigger::consumers_ready, now);
}

/// A program that is dead or slow must not stop the renewal.
void pn_gw_machine::impl::consumers_are_late(time_point now) {
  if (const auto& d = std::get<gw_delivering>(activity); d.published) emit(kind_t::consumer_late, d.which);
  send_kdel(now);
}

void pn_gw_machine::impl::send_kdel(time_point now) {
  const auto& d = std::get<gw_delivering>(activity);
  if (now >= d.expires)
    return fail_with(now, "the PNE has forgotten its answer while programs were waited for", seconds{0},
                     d.healing);
  emit(kind_t::delivering, d.which);
  timers.set(gw_timer::answer, now + settings.answer_timeout);
  outputs.emplace_back(gw_send{d.link, d.kdel});
}

void pn_gw_machine::impl::resend_kdel(time_point now) {
  auto& d = std::get<gw_delivering>(activity);
  if (d.sends_left == 0 || now >= d.expires)
    return fail_with(now, "KDEL was not confirmed", seconds{0}, d.healing);
  if (is_expired(now, record.not_after)) return fail_with(now, "the set expired before KDEL was confirmed");
  --d.sends_left;
  timers.set(gw_timer::answer, now + settings.answer_timeout);
  outputs.emplace_back(gw_send{d.link, d.kdel});
}

// Step 10.
void pn_gw_machine::impl::on(time_point now, gw_link link, const key_confirmation& m) {
  const auto* d = std::get_if<gw_delivering>(&activity);
  if (d == nullptr || d->which != m.which) return noise(now, "KCNF without an open KDEL of its epoch");
  const auto* key = record.find(d->which);
  // confirm = M(X(new EUKey, ["cpns/1 confirm"]), th2)[..16]
  if (key == nullptr ||
      !equal_constant_time(crypto::confirm_tag(s, key->eukey, d->th2).value, m.confirm.value))
    return noise(now, "KCNF does not verify");
  // Proves the link of the KDEL: a peer in range may have repeated the confirmation on another one.
  prove(now, has_link(d->link) ? d->link : link);
  subject what;
  what.confirmed = m.which;
  what.th1 = d->th1;
  what.resets = d->resets;
  what.kind = kind_t::confirmed;
  fire(pn_gw_trigger::confirmed, now, std::move(what));
  if (state == pn_gw_state::keyed) request_refill(now);
}

void pn_gw_machine::impl::make_own(time_point now, subject& what) {
  const auto own = *what.confirmed;
  activity = gw_idle{};
  open = {};
  timers.stop(gw_timer::answer);
  about_to_change();
  approve_if_let_in(now);
  const auto* key = record.find(own);
  const auto use = key != nullptr ? key->use : key_use::unused;
  std::optional<held_key> retired;
  if (const auto* former = record.own();
      former != nullptr && use == key_use::handed_out && !record.own_is_withdrawn())
    retired = *former;
  // The PNE took it although it had proven no key: it had lost the own one, or went back to an older one. Without an own one
  // this record may follow one that was erased, and a program may have missed that.
  if (!has_own() || lacks_proof(use)) end_sessions_below(own);
  record.keys.erase(std::remove_if(record.keys.begin(), record.keys.end(),
                                   [own](const held_key& k) { return k.which < own; }),
                    record.keys.end());
  for (auto& k : record.keys)
    if (k.which == own) k.use = key_use::own;
  record.to_report = own;
  record.keyed_since = unix_milliseconds(date_of(now));
  record.resets = what.resets;
  record.chain.reset();
  persist_record(std::move(retired));
  attempts = 0;
  bad_possessions = 0;
  woke = false;
  schedule_update(now);
  emit(kind_t::confirmed, own);
  if (what.kind != kind_t::confirmed) emit(what.kind, own);
  if (amnesia && amnesia->first == own) emit(kind_t::amnesia, own, std::move(amnesia->second));
  amnesia.reset();
  send_kret(what.th1, links.front());
  report(now);
}

void pn_gw_machine::impl::end_sessions_below(epoch which) {
  record.sessions_from = std::max(record.sessions_from.value_or(epoch{}), which);
}

/// The server verified a reset: the PNE has none of the keys that it ever got.
void pn_gw_machine::impl::withdraw_own() {
  if (!has_own()) return;
  epoch newest;
  for (const auto& k : record.keys)
    if (k.use != key_use::unused) newest = std::max(newest, k.which);
  end_sessions_below(epoch::from_value(std::min(newest.value() + 1, epoch::max_value)));
}

/// The exchange of the peer that had proven no key is over, and nobody knows whether it has the key now.
void pn_gw_machine::impl::lapse_unproven() {
  if (!record.has_unproven()) return;
  about_to_change();
  for (auto& k : record.keys)
    if (k.use == key_use::unproven) k.use = key_use::lapsed;
  persist_record();
}

// After each verification of the own epoch, because an earlier KRET may have been lost.
void pn_gw_machine::impl::send_kret(const crypto::digest& th1, gw_link to) {
  const auto* own = record.own();
  outputs.emplace_back(gw_send{to, encode(key_retire{own->which, crypto::retire_tag(s, own->eukey, th1)})});
  emit(kind_t::retired, own->which);
}

// ---- the public interface of the machine

pn_gw_machine::pn_gw_machine(pn_gw_settings settings, device_record record, const crypto::suite& s,
                             entropy& random, time_point now, const gw_dates& dates, claimant_book* book)
    : impl_(std::make_unique<impl>(std::move(settings), std::move(record), s, random, now, dates, book)) {}
pn_gw_machine::pn_gw_machine(pn_gw_settings settings, device_record record, const gw_resting& rested,
                             gw_place place, const crypto::suite& s, entropy& random, time_point now,
                             const gw_dates& dates, claimant_book* book)
    : impl_(std::make_unique<impl>(std::move(settings), std::move(record), s, random, book)) {
  impl_->note_dates(now, dates);
  impl_->resume(rested, std::move(place));
}
pn_gw_machine::~pn_gw_machine() = default;
pn_gw_machine::pn_gw_machine(pn_gw_machine&&) noexcept = default;
pn_gw_machine& pn_gw_machine::operator=(pn_gw_machine&&) noexcept = default;

void pn_gw_machine::note_dates(time_point now, const gw_dates& dates) { impl_->note_dates(now, dates); }
void pn_gw_machine::handle_detected(time_point now, gw_link link, byte_view dreq, byte_view drsp,
                                    gw_place place) {
  impl_->handle_detected(now, link, dreq, drsp, std::move(place));
}
void pn_gw_machine::handle_frame(time_point now, gw_link link, byte_view message) {
  impl_->handle_frame(now, link, message);
}
void pn_gw_machine::handle_link_down(time_point now, gw_link link) { impl_->handle_link_down(now, link); }
void pn_gw_machine::handle_issuer_nonce(time_point now, const std::optional<nonce16>& nonce) {
  impl_->handle_issuer_nonce(now, nonce);
}
void pn_gw_machine::handle_approval(time_point now, bool approved) { impl_->handle_approval(now, approved); }
void pn_gw_machine::handle_response(time_point now, const request_id& id, const assigned_keys& answer,
                                    std::uint64_t incarnation) {
  impl_->handle_response(now, id, answer, incarnation);
}
void pn_gw_machine::handle_refusal(time_point now, const request_id& id, const refusal& answer) {
  impl_->handle_refusal(now, id, answer);
}
void pn_gw_machine::handle_report_outcome(time_point now, epoch reported, report_outcome outcome) {
  impl_->handle_report_outcome(now, reported, outcome);
}
void pn_gw_machine::handle_published(time_point now, epoch published) {
  impl_->handle_published(now, published);
}
void pn_gw_machine::handle_consumers_ready(time_point now, epoch published) {
  impl_->handle_consumers_ready(now, published);
}
void pn_gw_machine::handle_server_ready(time_point now) { impl_->handle_server_ready(now); }
void pn_gw_machine::handle_update_request(time_point now) { impl_->handle_update_request(now); }
void pn_gw_machine::handle_settings(time_point now, pn_gw_settings settings) {
  impl_->handle_settings(now, std::move(settings));
}
void pn_gw_machine::handle_timeout(time_point now) { impl_->handle_timeout(now); }
void pn_gw_machine::handle_persist_failed(time_point now) { impl_->handle_persist_failed(now); }
time_point pn_gw_machine::next_deadline() const { return impl_->next_deadline(); }
std::optional<gw_output> pn_gw_machine::poll_output() { return impl_->poll_output(); }
std::optional<gw_resting> pn_gw_machine::rest(time_point now) const { return impl_->rest(now); }
pn_gw_state pn_gw_machine::state() const { return impl_->state; }
const device_record& pn_gw_machine::record() const { return impl_->record; }
std::optional<epoch> pn_gw_machine::own_epoch() const {
  const auto* own = impl_->record.own();
  return own != nullptr ? std::optional<epoch>{own->which} : std::nullopt;
}
std::uint64_t pn_gw_machine::dropped() const { return impl_->dropped; }

}  // namespace cpns::protocol
