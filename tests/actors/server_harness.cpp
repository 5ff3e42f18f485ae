#include "tests/actors/server_harness.hpp"

namespace cpns::server_actor_tests {

harness::harness(std::uint32_t entities_live) {
  auto s = std::make_shared<actor_settings>();
  s->assignment.issuer_key = random.draw_secret<32>();
  s->entities_live = entities_live;
  s->entity_idle = seconds{30};
  role = std::make_shared<role_context>(
      *sealed,
      [this](storage::sealed_batch b, storage::commit_done done) {
        held.push_back({std::move(b), std::move(done)});
        if (!hold_writes) complete();
      },
      [this](std::vector<storage::row_name> names, storage::read_done done) { done(sealed->read(names)); },
      users, devices, suite(), random, [this] { return now; }, s);
  put(storage::table::users, alice.user.text(), encode(alice.record));
  root = system.spawn(dispatcher, role.get());
  role->replace_dispatcher(root);
  const peer_info phone{gw, "urn:cpns:gw:phone", "test", exporter};
  gateway = system.spawn(session, role, phone, box);
  desk = front_desk::open(role, phone, box, gateway);
  drain();
}

harness::~harness() {
  for (const auto& j : joined) caf::anon_send_exit(j, caf::exit_reason::user_shutdown);
  caf::anon_send_exit(gateway, caf::exit_reason::user_shutdown);
  caf::anon_send_exit(root, caf::exit_reason::user_shutdown);
  drain();
  scheduler.clock().cancel_all();
  joined.clear();
  desk.reset();
  gateway = session_actor{};
  root = dispatcher_actor{};
  role->replace_dispatcher({});
  held.clear();
  drain();
}

void harness::drain() {
  while (scheduler.try_run_once()) {
  }
}

void harness::complete(bool ok) {
  auto w = std::move(held.front());
  held.pop_front();
  if (!ok) return w.done(fail(errc::store_full, "test"));
  w.done(w.batch.empty() ? cpns::status{} : sealed->write(w.batch));
}

void harness::put(storage::table t, std::string_view row, secret_bytes value) {
  storage::sealed_batch b;
  b.push_back({t, to_bytes(as_bytes(row)), std::move(value)});
  ASSERT_TRUE(sealed->write(b).has_value());
}

headset harness::device(int i) {
  headset h{"urn:dev:os:32473-" + std::to_string(1000 + i)};
  put(storage::table::devices, h.entity.text(), encode(h.imported()));
  return h;
}

protocol::link_request harness::assignment(headset& h, assignment_reason why) {
  const auto slot = static_cast<std::uint64_t>(unix_seconds(now) / protocol::issuer_slot.count());
  const auto nonce = crypto::derive_issuer_nonce(suite(), role->settings()->assignment.issuer_key, gw, slot);
  auto body = make_request(alice, h, why, h.answer(gw, nonce));
  prove(body, alice, exporter);
  return request(std::move(body));
}

protocol::link_request harness::assignment(headset& h, const person& who, const gateway_id& from) {
  const auto slot = static_cast<std::uint64_t>(unix_seconds(now) / protocol::issuer_slot.count());
  const auto nonce =
      crypto::derive_issuer_nonce(suite(), role->settings()->assignment.issuer_key, from, slot);
  auto body = make_request(who, h, assignment_reason::first, h.answer(from, nonce));
  prove(body, who, exporter);
  return request(std::move(body));
}

harness::connection harness::join(const std::string& uri, const std::string& address) {
  connection c;
  c.gw = gateway_named(uri);
  const peer_info peer{c.gw, uri, address, exporter};
  c.session = system.spawn(session, role, peer, c.box);
  c.desk = front_desk::open(role, peer, c.box, c.session);
  joined.push_back(c.session);
  drain();
  return c;
}

void harness::send(const connection& c, std::vector<bytes> frames) {
  c.desk->frames(std::move(frames));
  drain();
}

void harness::leave(connection& c) {
  c.desk->closed();
  c.desk.reset();
  c.session = session_actor{};
  drain();
}

void harness::bound_jobs(std::size_t total, std::size_t per_gateway) {
  auto s = std::make_shared<actor_settings>(*role->settings());
  s->jobs = {total, per_gateway};
  role->replace_settings(std::move(s));
}

void harness::complete_all() {
  while (!held.empty()) {
    complete();
    drain();
  }
}

void harness::send(std::vector<bytes> frames) {
  desk->frames(std::move(frames));
  drain();
}

void harness::advance(milliseconds d) {
  now += d;
  caf::anon_send(root, tick{});
  drain();
}

dispatcher_state& harness::inside() {
  using pointer = dispatcher_actor::stateful_pointer<dispatcher_state>;
  return static_cast<pointer>(caf::actor_cast<caf::abstract_actor*>(root))->state;
}

void harness::kill(const headset& h) {
  caf::anon_send_exit(inside().by_entity.at(h.entity)->actor, caf::exit_reason::unhandled_exception);
  drain();
}

link_status harness::answer_status(std::size_t i) const {
  if (i >= box->answers.size()) {
    ADD_FAILURE() << "no answer " << i;
    return link_status::internal;
  }
  const auto* no = std::get_if<refusal>(&box->answers[i].body);
  return no == nullptr ? link_status::ok : no->status;
}

const protocol::assigned_keys& harness::keys(std::size_t i) const {
  return std::get<protocol::assigned_keys>(box->answers.at(i).body);
}

link_status status_of(const harness::connection& c, std::size_t i) {
  const auto* no = std::get_if<refusal>(&c.box->answers.at(i).body);
  return no == nullptr ? link_status::ok : no->status;
}

}  // namespace cpns::server_actor_tests
