// The complete server role over real TLS: steps 0 and 4 to 8, reports, faults.
#include <caf/scheduler/abstract_coordinator.hpp>

#include "server/actor_system.hpp"
#include "server/context.hpp"
#include "tests/unit/server/role_harness.hpp"

namespace cpns::server_tests {
namespace {

using protocol::assigned_keys;

TEST(server_role, assigns_keys_and_takes_the_report) {
  role_harness p;
  auto g = p.connect();
  const auto answer = g->ask(p.assignment(*g, p.device, p.alice));
  const auto keys = body_of<assigned_keys>(answer);
  EXPECT_EQ(keys.generation, 1u);
  EXPECT_EQ(keys.eukeys.size(), 32u);
  EXPECT_EQ(keys.temporary_key,
            crypto::derive_gateway_temporary_key(suite(), p.device.temporary_key, p.gw, 1));
  EXPECT_EQ(answer->incarnation, 1u);

  p.device.keep({1, 0}, keys.eukeys.at(0));
  protocol::epoch_report report;
  report.entries.emplace_back(p.device.entity, epoch{1, 0});
  report.entries.emplace_back(device_number(7).entity, epoch{1, 0});
  const auto reported = body_of<protocol::epoch_report_answer>(g->ask(p.request(report)));
  ASSERT_EQ(reported.entries.size(), 2u);
  EXPECT_EQ(reported.entries[0].second, protocol::report_outcome::ok);
  EXPECT_EQ(reported.entries[1].second, protocol::report_outcome::resync)
      << "the server has no row for that device";

  const auto& next =
      body_of<assigned_keys>(g->ask(p.assignment(*g, p.device, p.alice, assignment_reason::recover)));
  EXPECT_EQ(next.generation, 2u);
  EXPECT_TRUE(next.chain.has_value());
  for (const auto* event :
       {"gateway-connected", "user-verified", "temporary-key-obtained", "set-stored", "assignment-answered"})
    EXPECT_TRUE(p.log.says(event)) << event;
}

TEST(server_role, challenges_are_stable_and_do_not_reveal_which_users_exist) {
  role_harness p;
  auto g = p.connect();
  const auto ask = [&](std::string_view name) {
    return body_of<protocol::user_challenge_answer>(
        g->ask(p.request(protocol::user_challenge{user_id::parse(name).value()})));
  };
  EXPECT_EQ(ask("alice@example.org").salt, p.alice.record.salt);
  const auto nobody = ask("nobody@example.org");
  EXPECT_EQ(nobody.iterations, crypto::scram_iterations_default);
  EXPECT_NE(nobody.salt, ask("somebody@example.org").salt);
  p.kill_and_restart();
  g = p.connect();
  EXPECT_EQ(ask("nobody@example.org").salt, nobody.salt);
}

TEST(server_role, answers_a_wrong_password_like_an_unknown_user) {
  role_harness p;
  auto g = p.connect();
  const person wrong{"alice@example.org", "another horse"};
  const person nobody{"nobody@example.org"};
  const auto a = g->ask(p.assignment(*g, p.device, wrong));
  const auto b = g->ask(p.assignment(*g, p.device, nobody));
  ASSERT_EQ(status_of(a), link_status::unknown_user_or_bad_proof);
  ASSERT_EQ(status_of(b), link_status::unknown_user_or_bad_proof);
  EXPECT_EQ(std::get<refusal>(a->body).reason, std::get<refusal>(b->body).reason);
  EXPECT_EQ(std::get<refusal>(a->body).retry_after, std::get<refusal>(b->body).retry_after);
  EXPECT_EQ(status_of(g->ask(p.assignment(*g, p.device, p.alice))), link_status::ok);
}

TEST(server_role, refuses_unknown_entities_and_wrong_presence_and_answers_to_another_gateway) {
  role_harness p;
  auto g = p.connect();
  headset stranger = device_number(5);
  EXPECT_EQ(status_of(g->ask(p.assignment(*g, stranger, p.alice))), link_status::unknown_entity);
  headset imposter = p.device;
  imposter.temporary_key = secret32{};
  EXPECT_EQ(status_of(g->ask(p.assignment(*g, imposter, p.alice))), link_status::presence_failed);
  const auto other = gateway_named("urn:cpns:gw:other");
  EXPECT_EQ(status_of(g->ask(p.assignment(*g, p.device, p.alice, assignment_reason::first, &other))),
            link_status::presence_failed);
  auto late = p.assignment(*g, p.device, p.alice);
  auto& body = std::get<protocol::key_assignment_request>(late.body);
  const auto exchange = p.device.answer(p.gw, nonce16{});
  body.dreq = exchange.dreq;
  body.drsp = exchange.drsp;
  prove(body, p.alice, g->exporter());
  EXPECT_EQ(status_of(g->ask(late)), link_status::stale_nonce);
}

TEST(server_role, refuses_a_second_gateway_while_the_first_holds_the_device) {
  role_harness p;
  auto g = p.connect();
  EXPECT_EQ(status_of(g->ask(p.assignment(*g, p.device, p.alice))), link_status::ok);
  auto h = p.connect(
      p.home.files("hub", crypto::request_for(crypto::certificate_usage::client, "urn:cpns:gw:hub")));
  const auto hub = gateway_named("urn:cpns:gw:hub");
  const auto no = h->ask(p.assignment(*h, p.device, p.alice, assignment_reason::adopt, &hub));
  ASSERT_EQ(status_of(no), link_status::held_by_other);
  EXPECT_EQ(std::get<refusal>(no->body).retry_after, 60u);
}

TEST(server_role, a_request_repeated_after_a_kill_gets_the_same_keys) {
  role_harness p{true};
  auto g = p.connect();
  auto r = p.assignment(*g, p.device, p.alice);
  const auto keys = body_of<assigned_keys>(g->ask(r));
  p.kill_and_restart();
  EXPECT_TRUE(g->wait_closed());
  g = p.connect();
  prove(std::get<protocol::key_assignment_request>(r.body), p.alice, g->exporter());
  const auto again = body_of<assigned_keys>(g->ask(r));
  EXPECT_EQ(again.eukeys, keys.eukeys);
  EXPECT_EQ(again.set, keys.set);
}

TEST(server_role, never_gives_an_epoch_two_keys_when_killed_at_any_moment) {
  role_harness p{true};
  std::map<std::pair<std::string, std::uint64_t>, secret32> seen;
  std::vector<headset> devices;
  for (int i = 0; i < 8; ++i) {
    devices.push_back(device_number(100 + i));
    p.import(devices.back());
  }
  for (int round = 0; round < 6; ++round) {
    auto g = p.connect();
    std::vector<protocol::link_request> asked;
    for (auto& d : devices) asked.push_back(p.assignment(*g, d, p.alice, assignment_reason::recover));
    for (const auto& r : asked) ASSERT_TRUE(g->send(r));
    // Reads some answers, then kills the server.
    for (int n = 0; n < round; ++n)
      if (const auto a = g->receive(); a && status_of(a) == link_status::ok) {
        const auto& keys = std::get<assigned_keys>(a->body);
        for (std::size_t i = 0; i < keys.eukeys.size(); ++i) {
          const auto at =
              std::pair{keys.set.hex(),
                        epoch{keys.generation, static_cast<std::uint16_t>(keys.first_index + i)}.value()};
          const auto [found, fresh] = seen.emplace(at, keys.eukeys[i]);
          EXPECT_TRUE(fresh || found->second == keys.eukeys[i]);
        }
      }
    p.kill_and_restart();
  }
  EXPECT_FALSE(seen.empty());
}

TEST(server_role, answers_pipelined_requests_for_many_devices) {
  role_harness p;
  auto g = p.connect();
  constexpr int count = 100;
  std::map<request_id, entity_id> asked;
  std::vector<protocol::link_request> requests;
  for (int i = 0; i < count; ++i) {
    headset h = device_number(200 + i);
    p.import(h);
    requests.push_back(p.assignment(*g, h, p.alice));
    asked.emplace(requests.back().id, h.entity);
  }
  for (const auto& r : requests) ASSERT_TRUE(g->send(r));
  for (int i = 0; i < count; ++i) {
    const auto a = g->receive();
    ASSERT_TRUE(a.has_value());
    EXPECT_EQ(status_of(a), link_status::ok);
    EXPECT_EQ(asked.erase(a->id), 1u);
  }
  EXPECT_TRUE(asked.empty());
}

TEST(server_role, refuses_garbage_by_its_id_or_ends_the_connection) {
  role_harness p;
  auto g = p.connect();
  auto frame = encode(p.request(protocol::issuer_nonce_request{}));
  frame.push_back(0);
  ASSERT_TRUE(g->send_frame(frame));
  EXPECT_EQ(status_of(g->receive()), link_status::bad_request);
  EXPECT_EQ(status_of(g->ask(p.request(protocol::issuer_nonce_request{}))), link_status::ok)
      << "the connection stays open";
  seeded_entropy random{5};
  for (int i = 0; i < 50; ++i) {
    bytes junk(1 + random.below(200));
    random.fill(junk);
    g = p.connect();
    ASSERT_TRUE(g->send_frame(junk));
    if (const auto a = g->receive()) {
      EXPECT_EQ(status_of(a), link_status::bad_request);
    }
  }
  g = p.connect();
  EXPECT_EQ(status_of(g->ask(p.assignment(*g, p.device, p.alice))), link_status::ok);
}

TEST(server_role, answers_overloaded_while_the_disk_is_full_and_recovers) {
  role_harness p;
  auto g = p.connect();
  p.faulty.fail_writes(errc::store_full);
  const auto r = p.assignment(*g, p.device, p.alice);
  const auto no = g->ask(r);
  ASSERT_EQ(status_of(no), link_status::overloaded);
  EXPECT_GT(std::get<refusal>(no->body).retry_after, 0u);
  EXPECT_TRUE(p.log.says("write-failed"));
  p.faulty.repair();
  const auto keys = body_of<assigned_keys>(g->ask(r));
  EXPECT_EQ(keys.generation, 1u);
  p.faulty.fail_writes(errc::store_full);
  protocol::epoch_report report;
  report.entries.emplace_back(p.device.entity, epoch{1, 0});
  EXPECT_EQ(status_of(g->ask(p.request(report))), link_status::overloaded);
  p.faulty.repair();
  EXPECT_EQ(body_of<protocol::epoch_report_answer>(g->ask(p.request(report))).entries.at(0).second,
            protocol::report_outcome::ok);
  EXPECT_FALSE(p.role->failed());
}

TEST(server_role, answers_internal_for_an_unreadable_row_and_does_not_overwrite_it) {
  role_harness p;
  p.put(storage::table::entities, p.device.entity.text(), secret_bytes::from_text("not a record"));
  auto g = p.connect();
  EXPECT_EQ(status_of(g->ask(p.assignment(*g, p.device, p.alice))), link_status::internal);
  EXPECT_TRUE(p.log.says("row-unreadable"));
  const auto row = p.sealed->get(storage::table::entities, as_bytes(p.device.entity.text()));
  EXPECT_EQ(as_text((*row)->expose()), "not a record");
}

TEST(server_role, drain_closes_all_connections_after_their_answers) {
  role_harness p;
  auto g = p.connect();
  const auto r = p.assignment(*g, p.device, p.alice);
  ASSERT_EQ(status_of(g->ask(r)), link_status::ok);
  p.role->drain(seconds{10});
  EXPECT_EQ(p.role->connections(), 0u);
  EXPECT_TRUE(g->wait_closed());
}

TEST(server_role, reload_applies_the_reloadable_settings_and_no_others) {
  role_harness p;
  auto c = p.config;
  c.keys.set_size = 5;
  c.keys.rekey = std::chrono::hours{7};
  c.temporary_key_release = config::key_release::literal;
  p.role->reload(c);
  auto g = p.connect();
  const auto keys = body_of<assigned_keys>(g->ask(p.assignment(*g, p.device, p.alice)));
  EXPECT_EQ(keys.eukeys.size(), 5U);
  EXPECT_EQ(keys.rekey_seconds, 7U * 3600);
  EXPECT_FALSE(keys.literal) << "it takes a restart";
}

TEST(server_role, reports_unreadable_tls_files) {
  role_harness p;
  auto c = p.config;
  c.tls.certificate = p.home.folder() + "/nothing.pem";
  const auto role = server::server_role::start(c, *p.sealed);
  ASSERT_FALSE(role.has_value());
  EXPECT_EQ(role.error().code, errc::config_file);
  EXPECT_NE(role.error().detail.find("nothing.pem"), std::string::npos);
}

TEST(server_role, no_secret_reaches_the_log) {
  role_harness p;
  auto g = p.connect();
  const auto r = p.assignment(*g, p.device, p.alice);
  const auto keys = body_of<assigned_keys>(g->ask(r));
  EXPECT_TRUE(p.log.says("assignment-answered"));
  const auto text = p.log.text();
  const auto leaks = [&text](byte_view secret) {
    return text.find(to_hex(secret)) != std::string::npos ||
           text.find(to_base64(secret)) != std::string::npos ||
           text.find(std::string{as_text(secret)}) != std::string::npos;
  };
  EXPECT_FALSE(leaks(p.device.temporary_key.expose()));
  EXPECT_FALSE(leaks(keys.temporary_key.expose()));
  EXPECT_FALSE(leaks(p.alice.record.stored_key));
  for (const auto& k : keys.eukeys) EXPECT_FALSE(leaks(k.expose()));
  EXPECT_EQ(text.find("alice"), std::string::npos);
}

TEST(server_system, an_actor_yields_after_32_messages_and_two_workers_share) {
  server::system_config config;
  caf::actor_system system{config};
  EXPECT_EQ(system.scheduler().max_throughput(), 32u);
  EXPECT_EQ(system.scheduler().num_workers(), 2u);
  EXPECT_NE(dynamic_cast<caf::scheduler::coordinator<server::batch_sharing>*>(&system.scheduler()), nullptr);
}

}  // namespace
}  // namespace cpns::server_tests
