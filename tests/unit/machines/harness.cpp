#include "tests/unit/machines/harness.hpp"

#include <algorithm>

namespace cpns::test {

using namespace protocol;

namespace {

constexpr milliseconds flight_time{4}, server_time{9}, reconnect_time{700}, ask_again{10'000};

}  // namespace

harness::harness(harness_options options)
    : o(options), entity(*entity_id::parse("urn:dev:mac:0024befffe804ff1")), random(o.seed),
      gw_random(o.seed + 1000), pne_random(o.seed + 2000),
      server(entity, crypto::derive_temporary_key(crypto::openssl_suite(), entity, as_bytes("factory")),
             o.seed + 3000),
      now(milliseconds{1'790'000'000'000}) {
  tk_prime = crypto::derive_temporary_key(crypto::openssl_suite(), entity, as_bytes("factory"));
  if (o.real_server) real.emplace(entity, tk_prime, o.seed + 4000);
  gw_disk.entity = entity;
  gw_disk.user = *user_id::parse("alice@example.org");
  power_on(side::pne);
  power_on(side::gw);
}

protocol::pne_settings harness::pne_settings() const {
  protocol::pne_settings st;
  st.entity = entity;
  st.temporary_key = tk_prime;
  st.strict_chain = o.strict_chain;
  return st;
}

protocol::pn_gw_settings harness::gw_settings() const {
  protocol::pn_gw_settings st;
  st.gw = o.gw;
  st.user = gw_disk.user;
  st.policy = o.policy;
  st.denied = o.denied;
  st.permit_until = o.permit_until;
  st.lowest_suite = o.suite;
  st.answer_timeout = o.answer_timeout;
  st.consumer_wait = o.consumer_wait;
  if (o.suite == suite_symmetric) st.lowest_suite = suite_symmetric;
  return st;
}

void harness::power_on(side which) {
  if (which == side::pne)
    pne.emplace(pne_settings(), pne_disk, crypto::openssl_suite(), pne_random, now);
  else
    gw.emplace(gw_settings(), gw_disk, crypto::openssl_suite(), gw_random, now, &(book = claimants{}));
  drive();
}

void harness::permit(milliseconds length) {
  o.permit_until = now + length;
  gw->handle_settings(now, gw_settings());
  drive();
}

void harness::crash(side which) {
  if (which == side::pne) {
    pne.reset();
    if (o.pne_forgets) {
      pne_disk.current.reset();
      pne_disk.pending.reset();
      acknowledged_.reset();
    }
  } else {
    gw.reset();
    asked_.reset();
  }
  disconnect();
}

void harness::factory_reset() {
  acknowledged_.reset();
  pne->handle_factory_reset(now);
}

void harness::lose_gateway_disk() {
  crash(side::gw);
  device_record fresh;
  fresh.entity = entity;
  fresh.user = gw_disk.user;
  gw_disk = std::move(fresh);
  power_on(side::gw);
}

void harness::connect() {
  disconnect();
  if (!pne || !gw) return;
  link = gw_link{1, ++link_number_};
  const bool with_nonce = server_up && random.chance(50);
  detector.emplace(o.gw, o.suite, o.answer_timeout, retries_default,
                   with_nonce ? std::optional{issuer_nonce()} : std::nullopt, gw_random, now);
}

void harness::disconnect() {
  detector.reset();
  if (!link) return;
  const auto gone = *link;
  link.reset();
  if (pne) pne->handle_link_down(now, pne_link{1, gone.link});
  if (gw) gw->handle_link_down(now, gone);
}

void harness::leave_half_open() {
  detector.reset();
  if (link && pne) pne->handle_link_down(now, pne_link{1, link->link});
  link.reset();
  if (o.pne_forgets) crash(side::pne);
}

void harness::at(milliseconds delay, std::function<void()> what) {
  air_.push_back({now + delay, order_++, std::move(what)});
}

void harness::inject(side to, bytes message) {
  const auto number = link_number_;
  at(flight_time, [this, to, number, message] { arrive(to, number, message); });
}

void harness::transmit(side to, bytes message) {
  if (!link) return;
  if (tap && !tap(to, message)) return;
  const int copies = random.chance(o.loss) ? 0 : random.chance(o.duplicate) ? 2 : 1;
  const auto number = link_number_;
  for (int i = 0; i < copies; ++i) {
    const auto late = random.chance(o.reorder) ? milliseconds{static_cast<std::int64_t>(random.below(4000))}
                                               : milliseconds{0};
    at(flight_time + late, [this, to, number, message] { arrive(to, number, message); });
  }
}

void harness::arrive(side to, std::uint64_t number, const bytes& message) {
  if (!link || link->link != number) return;
  if (to == side::pne) {
    if (pne) pne->handle_frame(now, pne_link{1, number}, message);
    return;
  }
  if (!gw) return;
  if (!detector) return gw->handle_frame(now, *link, message);
  std::string why;
  auto found = detector->handle_frame(message, why);
  if (!found) return;
  detector.reset();
  gw->handle_detected(now, *link, found->dreq, found->drsp);
}

// ---- the drivers

void harness::drive() {
  bool more = true;
  while (more) {
    more = drive_pne();
    more = drive_gw() || more;
    if (detector && gw)
      if (auto dreq = detector->poll_send(now)) transmit(side::pne, std::move(*dreq));
  }
  rest_gw();
}

void harness::rest_gw() {
  if (!o.gw_rests || !gw) return;
  const auto rested = gw->rest(now);
  if (!rested) return;
  ++rests;
  if (rested->next_deadline() != gw->next_deadline())
    faults.push_back("a machine at rest has another deadline");
  auto stored = decode_device_record(encode(gw_disk).expose());
  gw.emplace(gw_settings(), std::move(*stored), *rested, gw_place{}, crypto::openssl_suite(), gw_random, now,
             gw_dates{now}, &book);
}

bool harness::write_fails() {
  const int n = writes++;
  return random.chance(o.persist_failure) || (full_from && n >= *full_from);
}

bool harness::drive_pne() {
  bool any = false;
  while (pne) {
    auto out = pne->poll_output();
    if (!out) return any;
    any = true;
    if (before_output && before_output(side::pne, outputs[0]++)) {
      crash(side::pne);
      at(reconnect_time, [this] { power_on(side::pne), connect(); });
      return true;
    }
    if (auto* p = std::get_if<pne_persist>(&*out)) {
      if (write_fails()) {
        pne->handle_persist_failed(now);
        const auto* held = pne_disk.highest();
        if (pne->current_epoch() != (held != nullptr ? std::optional{held->which} : std::nullopt))
          faults.push_back("after a failed write the PNE's memory differs from its disk");
        continue;
      }
      const auto back = decode_pne_record(encode(p->record).expose());
      if (!back) faults.push_back("PNE record does not decode: " + back.error().message());
      pne_disk = *back;
    } else if (auto* m = std::get_if<pne_send>(&*out)) {
      const auto decoded = decode_radio(m->message);
      if (!decoded) faults.push_back("the PNE sent an invalid message");
      if (const auto* kcnf = std::get_if<key_confirmation>(&*decoded)) {
        const auto* held = pne_disk.highest();
        if (held == nullptr || held->which < kcnf->which) faults.push_back("KCNF before its key was durable");
        acknowledged_ = std::max(acknowledged_.value_or(kcnf->which), kcnf->which);
      }
      transmit(side::gw, std::move(m->message));
    } else {
      pne_events.push_back(std::get<pne_event>(*out));
    }
  }
  return any;
}

bool harness::drive_gw() {
  bool any = false;
  while (gw) {
    auto out = gw->poll_output();
    if (!out) return any;
    any = true;
    if (before_output && before_output(side::gw, outputs[1]++)) {
      crash(side::gw);
      at(reconnect_time, [this] { power_on(side::gw), connect(); });
      return true;
    }
    apply(*out);
  }
  return any;
}

bool harness::apply(gw_output& out) {
  if (on_gw_output) on_gw_output(out);
  if (auto* p = std::get_if<gw_persist>(&out)) {
    if (write_fails()) {
      gw->handle_persist_failed(now);
      const auto& memory = gw->record().keys;
      const bool same = std::equal(
          memory.begin(), memory.end(), gw_disk.keys.begin(), gw_disk.keys.end(),
          [](const held_key& a, const held_key& b) { return a.which == b.which && a.use == b.use; });
      if (!same) faults.push_back("after a failed write the gateway's memory differs from its disk");
      return false;
    }
    auto back = decode_device_record(encode(*p->record).expose());
    if (!back) {
      faults.push_back("device record does not decode: " + back.error().message());
      return false;
    }
    check_record(*back);
    gw_disk = std::move(*back);
  } else if (auto* m = std::get_if<gw_send>(&out)) {
    check_kdel(m->message);
    if (link && m->to == *link)
      transmit(side::pne, std::move(m->message));
    else if (elsewhere)
      elsewhere(m->to, m->message);
  } else if (const auto* next = std::get_if<gw_publish>(&out)) {
    publish(next->which);
  } else if (std::get_if<gw_want_nonce>(&out) != nullptr) {
    if (nonces_hang) return true;
    const bool given = server_up && !random.chance(o.nonce_failure);
    at(server_time, [this, given] {
      if (gw) gw->handle_issuer_nonce(now, given ? std::optional{issuer_nonce()} : std::nullopt);
    });
  } else if (auto* r = std::get_if<gw_request>(&out)) {
    if (gw_disk.generation > 0 && gw_disk.request != r->id)
      faults.push_back("a request was sent before its id was durable");
    asked_ = r->id;
    at(server_time, [this, id = r->id, body = r->body] { ask(id, body); });
  } else if (auto* rep = std::get_if<gw_report>(&out)) {
    const auto which = rep->which;
    const auto* own = gw_disk.own();
    if (own == nullptr || own->which < which)
      faults.push_back("a key was reported before it was durable as own");
    at(server_time, [this, which] { report(which); });
  } else if (auto* c = std::get_if<gw_close_link>(&out)) {
    if (link && c->link == *link) {
      if (pne) pne->handle_link_down(now, pne_link{1, link->link});
      link.reset();
      at(reconnect_time, [this] { connect(); });
    } else if (elsewhere) {
      elsewhere(c->link, {});
    }
  } else if (auto* e = std::get_if<gw_event>(&out)) {
    gw_events.push_back(*e);
  }
  return true;
}

nonce16 harness::issuer_nonce() const {
  return real ? real->issuer_nonce(o.gw, now) : server.issuer_nonce(o.gw, now);
}

/// An unanswered request is repeated with the same id, as the server link does.
void harness::ask(const request_id& id, const key_assignment_request& body) {
  if (!gw || asked_ != id) return;
  std::optional<honest_server::answer_t> answer;
  if (server_up) answer = real ? real->handle(o.gw, id, body, now) : server.handle(o.gw, id, body, now);
  if (!answer) {
    if (real) at(ask_again, [this, id, body] { ask(id, body); });
    return;
  }
  if (const auto* keys = std::get_if<assigned_keys>(&*answer))
    gw->handle_response(now, id, *keys, real ? real->settings.incarnation : 1);
  else
    gw->handle_refusal(now, id, std::get<refusal>(*answer));
}

void harness::report(epoch which) {
  if (!server_up || !gw) return;
  const auto outcome = real ? real->handle_report(o.gw, which, now) : server.handle_report(o.gw, which);
  if (outcome) gw->handle_report_outcome(now, which, *outcome);
}

void harness::check_kdel(const bytes& message) {
  const auto m = decode_radio(message);
  if (!m) return faults.push_back("the gateway sent an invalid message");
  if (const auto* kret = std::get_if<key_retire>(&*m)) {
    const auto* own = gw_disk.own();
    if (own == nullptr || own->which != kret->which)
      faults.push_back("KRET before its key was durable as own");
  }
  const auto* kdel = std::get_if<key_delivery>(&*m);
  if (kdel == nullptr) return;
  const auto* held = gw_disk.find(kdel->which);
  if (held == nullptr || held->use == key_use::unused)
    faults.push_back("KDEL before its index was recorded as handed out");
  else if (o.consumer_wait > milliseconds{0} && !published.contains({held->set, held->which}))
    faults.push_back("KDEL before its key was published");
  deliveries.emplace(kdel->which, message);
  if (held == nullptr) return;
  const auto [it, is_new] = delivered_.emplace(std::pair{held->set, kdel->which}, message);
  if (!is_new && it->second != message) faults.push_back("two KDELs have the index " + kdel->which.text());
}

void harness::publish(epoch which) {
  const auto* held = gw_disk.find(which);
  if (held == nullptr || !was_handed_out(held->use))
    return faults.push_back("a key was published before it was recorded as handed out");
  published.emplace(held->set, which);
  gw->handle_published(now, which);
  if (random.chance(o.late_consumers)) return;
  const auto longest = static_cast<std::uint64_t>(o.consumer_wait.count());
  at(milliseconds{static_cast<std::int64_t>(random.below(longest + 1))}, [this, which] {
    if (gw) gw->handle_consumers_ready(now, which);
  });
}

void harness::check_record(const device_record& r) {
  for (const auto& k : r.keys) {
    const auto [it, is_new] = named_.emplace(std::pair{k.set, k.which}, k.eukey);
    if (!is_new && !(it->second == k.eukey))
      faults.push_back("(set_id, epoch) names two keys: " + k.which.text());
  }
  if (acknowledged_ && r.own() != nullptr && r.own()->which < *acknowledged_ &&
      r.find(*acknowledged_) == nullptr)
    faults.push_back("the gateway lost the acknowledged key " + acknowledged_->text());
  if (gw_disk.sessions_from && (!r.sessions_from || *r.sessions_from < *gw_disk.sessions_from))
    faults.push_back("sessions_from went back");
  if (std::count_if(r.keys.begin(), r.keys.end(),
                    [](const held_key& k) { return k.use == key_use::unproven; }) > 1)
    faults.push_back("two keys are unproven");
  const auto* before = gw_disk.own();
  if (before != nullptr && (r.own() == nullptr || r.own()->which < before->which))
    faults.push_back("the own key went back");
}

// ---- time

time_point harness::next_event() const {
  time_point first = time_never;
  for (const auto& f : air_) first = std::min(first, f.at);
  if (pne) first = std::min(first, pne->next_deadline());
  if (gw) first = std::min(first, gw->next_deadline());
  if (detector) first = std::min(first, detector->next_deadline());
  return std::max(first, now);
}

void harness::run(milliseconds span) {
  run_until([] { return false; }, span);
}

bool harness::run_until(const std::function<bool()>& done, milliseconds span) {
  const auto end = now + span;
  drive();
  int idle_turns = 0;
  while (!done()) {
    const auto next = next_event();
    if (next > end) {
      now = end;
      return false;
    }
    idle_turns = next == now ? idle_turns + 1 : 0;
    if (idle_turns > 2000) {
      faults.push_back("handle_timeout does not move a deadline");
      return false;
    }
    now = next;
    std::vector<flight> due;
    for (auto it = air_.begin(); it != air_.end();) {
      if (it->at > now) {
        ++it;
        continue;
      }
      due.push_back(std::move(*it));
      it = air_.erase(it);
    }
    for (auto& f : due) {
      f.land();
      drive();
    }
    if (pne) pne->handle_timeout(now);
    if (gw) gw->handle_timeout(now);
    if (detector && detector->exhausted(now)) connect();
    drive();
  }
  return true;
}

void harness::settle() {
  o.loss = o.duplicate = o.reorder = o.persist_failure = o.nonce_failure = 0;
  server_up = true;
  nonces_hang = false;
  if (real) real->write_failures = real->ends_per_mille = 0;
  before_output = nullptr;
  if (!pne) power_on(side::pne);
  if (!gw) power_on(side::gw);
  connect();
  run(std::chrono::minutes{15});
  // The final wake-up makes the two sides prove their keys.
  connect();
  run(std::chrono::minutes{2});
}

int harness::count(gw_event::kind_t kind) const {
  int n = 0;
  for (const auto& e : gw_events) n += e.kind == kind ? 1 : 0;
  return n;
}

std::string harness::disagreement() const {
  if (!faults.empty()) return faults.front();
  if (real && !real->faults.empty()) return real->faults.front();
  if (!gw || !pne) return "a side is down";
  if (keyed() && gw_disk.has_unproven()) return "a key is unproven although no exchange is under way";
  const auto* own = gw_disk.own();
  const auto* held = pne_disk.highest();
  if (own == nullptr) return "the gateway holds no key, state " + std::string{name_of(gw->state())};
  if (held == nullptr) return "the PNE holds no key";
  if (own->which != held->which) return "gateway " + own->which.text() + ", PNE " + held->which.text();
  if (!(own->eukey == held->eukey)) return "the keys differ";
  const auto* made = real ? real->key(own->set, own->which) : server.key(own->which);
  if (made == nullptr || !(*made == own->eukey)) return "the key is not the server's";
  return {};
}

}  // namespace cpns::test
