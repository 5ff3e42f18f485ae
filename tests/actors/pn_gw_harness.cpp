#include "tests/actors/pn_gw_harness.hpp"

#include <algorithm>
#include <boost/json.hpp>

namespace cpns::gateway_actor_tests {

gateway_harness::gateway_harness(gateway_choices c) : choices(std::move(c)) {
  if (choices.enrolled) {
    actors::user_credentials own{alice.user, alice.record.salt, alice.record.iterations, alice.client_key, 0};
    keys.save(own, [](const status&) {});
    settle();
  } else {
    set_password(choices.password);
  }
  start();
  connect_server();
}

void gateway_harness::set_password(std::string_view password) {
  alice.record.salt = random.draw<16>();
  alice.record.iterations = choices.iterations;
  alice.client_key =
      crypto::scram_client_key(suite(), as_bytes(password), alice.record.salt, alice.record.iterations);
  alice.record.stored_key = crypto::scram_stored_key(suite(), alice.client_key);
  put(storage::table::users, alice.user.text(), encode(alice.record));
  users.reset(10);
}

gateway_harness::~gateway_harness() {
  hold_gateway_writes = hold_writes = false;
  stop();
  caf::anon_send_exit(session, caf::exit_reason::user_shutdown);
  settle();
  session = server::session_actor{};
}

void gateway_harness::start() {
  const auto nonces = std::make_shared<actors::nonce_cache>();
  actors::server_link_parts l;
  l.user = alice.user;
  l.password_file = choices.password_file;
  l.requests_max = choices.requests_max;
  l.clock = [this] { return now; };
  l.store = &keys;
  l.nonces = nonces;
  l.servers = servers;
  l.leave = [this](actors::connection_number n) { left.push_back(n); };
  l.send = [this](actors::connection_number n, bytes frame) { to_server(n, std::move(frame)); };
  l.taken = [](actors::connection_number, std::size_t) {};
  l.give_up = [this](actors::connection_number n, std::string why) {
    given_up.emplace_back(n, std::move(why));
  };
  link = actors::spawn_server_link(system, std::move(l));
  auto rules = std::make_shared<actors::supervisor_rules>();
  rules->device.gw = gw;
  rules->device.user = alice.user;
  rules->device.policy = choices.policy;
  rules->device.answer_timeout = choices.answer_timeout;
  rules->device.rekey_override = choices.rekey;
  rules->validation.allow = choices.allow;
  rules->validation.deny = choices.deny;
  rules->validation.min_rssi = choices.min_rssi;
  rules->devices_max = choices.devices_max;
  rules->links_max = choices.links_max;
  actors::supervisor_parts s;
  s.rules = std::move(rules);
  s.mailboxes = choices.mailboxes;
  s.radios.push_back({"air", radio.inbox, &radio});
  s.store = &keys;
  s.history = history = std::make_shared<actors::pne_history>();
  s.nonces = nonces;
  s.uplink = link;
  s.tally = tally = std::make_shared<actors::pne_tally>(0);
  const auto stored = keys.all().value();
  for (const auto& r : stored.records) tally->put_stored(r, std::nullopt);
  s.clock = [this] { return now; };
  s.failed = [this](std::string why) { failures.push_back(std::move(why)); };
  supervisor = actors::spawn_supervisor(system, std::move(s));
  settle();
}

void gateway_harness::stop() {
  if (!supervisor) return;
  caf::anon_send(supervisor, actors::sup_stop{});
  settle();
  supervisor = nullptr;
  if (connection) connection->cut();
  link = nullptr;
  scheduler.clock().cancel_all();
  settle();
}

void gateway_harness::know_another_server() { servers->learn({"other:1"}, now); }

void gateway_harness::order(decltype(protocol::node_request::body) body) {
  connection->notify(encode(protocol::node_request{random.draw_id<request_id>(), 1, std::move(body)}));
  settle();
}

void gateway_harness::connect_server() {
  (void)servers->next(now);
  servers->reached();
  const auto bound = random.draw_secret<32>();
  connection = std::make_shared<wire>(link, ++connected);
  session = system.spawn(server::session, role, server::peer_info{gw, "urn:cpns:gw:phone", "test", bound},
                         connection);
  caf::anon_send(link,
                 actors::link_up{connected, std::make_shared<const secret32>(bound), "test:1", {}, true});
  settle();
}

void gateway_harness::cut_server() {
  connection->cut();
  caf::anon_send(session, server::link_closed{});
  session = server::session_actor{};
  caf::anon_send(link, actors::link_down{connected, "cut", false});
  settle();
}

void gateway_harness::to_server(actors::connection_number n, bytes frame) {
  if (n != connected) return late.push_back(n);
  if (auto a = protocol::decode_node_acknowledgement(frame)) return acknowledged.push_back(*a);
  auto r = protocol::decode_link_request(frame);
  ASSERT_TRUE(r.has_value()) << r.error().message();
  const bool lost = !session || (swallows && swallows(*r));
  asked.push_back(std::move(*r));
  if (lost) return;
  caf::anon_send(session,
                 server::frames_came{std::make_shared<const std::vector<bytes>>(1, std::move(frame))});
}

void gateway_harness::complete_gateway() {
  auto w = std::move(gw_held.front());
  gw_held.pop_front();
  w.done(gw_sealed->write(w.batch));
}

void gateway_harness::settle() {
  for (bool more = true; more;) {
    more = false;
    while (scheduler.try_run_once()) more = true;
    while (radio.step()) more = true;
    if (!hold_gateway_writes && !gw_held.empty()) {
      complete_gateway();
      more = true;
    }
  }
}

void gateway_harness::advance(milliseconds d) {
  const auto until = now + d;
  settle();
  while (now < until) {
    auto next = std::min(until, std::max(radio.next_deadline(), now + milliseconds{1}));
    const auto& timers = scheduler.clock().schedule();
    if (!timers.empty()) {
      const auto wait = std::chrono::ceil<milliseconds>(timers.begin()->first - scheduler.clock().now());
      next = std::min(next, now + std::max(wait, milliseconds{1}));
    }
    scheduler.advance_time(next - now);
    now = next;
    settle();
  }
}

headset_end& gateway_harness::pne(int i) {
  auto known = device(i);
  return radio.add(known.entity, known.temporary_key);
}

headset_end& gateway_harness::keyed_pne(int i) {
  auto& h = pne(i);
  radio.link_up(h);
  settle();
  EXPECT_TRUE(h.key().has_value());
  return h;
}

std::optional<protocol::device_record> gateway_harness::record(const headset_end& h) {
  return keys.load(h.entity).value();
}

std::optional<epoch> gateway_harness::own_key(const headset_end& h) {
  const auto r = record(h);
  return r && r->own() != nullptr ? std::optional{r->own()->which} : std::nullopt;
}

std::size_t gateway_harness::count_asked(protocol::assignment_reason why) const {
  return static_cast<std::size_t>(std::count_if(asked.begin(), asked.end(), [why](const auto& r) {
    const auto* body = std::get_if<protocol::key_assignment_request>(&r.body);
    return body != nullptr && body->reason == why;
  }));
}

std::vector<const protocol::link_request*> gateway_harness::assignments() const {
  std::vector<const protocol::link_request*> out;
  for (const auto& r : asked)
    if (std::holds_alternative<protocol::key_assignment_request>(r.body)) out.push_back(&r);
  return out;
}

template <class Answer, class Message>
Answer gateway_harness::ask(Message m) {
  return ask_of<Answer>(supervisor, std::move(m));
}

template <class Answer, class Actor, class Message>
Answer gateway_harness::ask_of(const Actor& of, Message m) {
  caf::scoped_actor self{system};
  auto handle = self->request(of, caf::infinite, std::move(m));
  settle();
  Answer out{};
  handle.receive([&out](Answer& a) { out = std::move(a); },
                 [](const caf::error& why) { ADD_FAILURE() << "no answer: " << caf::to_string(why); });
  return out;
}

std::string gateway_harness::show(const headset_end& h) {
  return serialize(ask<actors::gw_view>(actors::sup_show{h.entity.text()}).json);
}

std::string gateway_harness::radios() { return serialize(ask<actors::gw_view>(actors::sup_radios{}).json); }
std::string gateway_harness::stats() { return serialize(ask<actors::gw_view>(actors::sup_stats{}).json); }

std::string gateway_harness::command(const headset_end& h, std::string what) {
  return command(h.entity.text(), std::move(what));
}

std::string gateway_harness::command(std::string entity, std::string what) {
  return ask<std::string>(actors::sup_command{std::move(entity), std::move(what)});
}

std::string gateway_harness::forget(const headset_end& h) {
  return ask<std::string>(actors::sup_forget{h.entity.text()});
}

actors::gw_permit gateway_harness::permit(int minutes) {
  using enum actors::sup_permit::what_t;
  return ask<actors::gw_permit>(
      actors::sup_permit{minutes > 0 ? open : close, std::chrono::minutes{minutes}});
}
actors::gw_permit gateway_harness::permit_now() { return ask<actors::gw_permit>(actors::sup_permit{}); }

boost::json::object gateway_harness::show_in_full(const headset_end& h) {
  return ask<actors::gw_view>(actors::sup_show{h.entity.text(), true}).json.as_object();
}

boost::json::object gateway_harness::page(const actors::pnes_wanted& wanted) {
  return actors::page_of_pnes(keys, *tally, wanted,
                              [this](actors::sup_page q) -> result<boost::json::array> {
                                return ask<actors::gw_view>(std::move(q)).json.as_array();
                              })
      .value();
}

std::vector<std::string> gateway_harness::list() {
  std::vector<std::string> out;
  for (std::string after;;) {
    const auto got = page({.limit = 2, .after = after, .prefix = {}, .state = {}});
    for (const auto& one : got.at("pnes").as_array()) out.push_back(serialize(one));
    const auto& next = got.at("next");
    if (!next.is_string()) return out;
    after.assign(next.get_string().data(), next.get_string().size());
  }
}

boost::json::object gateway_harness::server_now() {
  return ask_of<actors::gw_view>(link, actors::link_describe{}).json.as_object();
}

}  // namespace cpns::gateway_actor_tests
