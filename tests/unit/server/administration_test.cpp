// An administrator works with a server while a gateway is connected over real TLS.
#include <algorithm>
#include <atomic>
#include <boost/json.hpp>
#include <set>
#include <thread>

#include "crypto/scram.hpp"
#include "server/administration.hpp"
#include "tests/unit/server/role_harness.hpp"

namespace cpns::server_tests {
namespace {

using protocol::assigned_keys;
using server::administration;
using server::gateway_name;

secret_bytes secret_of(std::string_view text) { return secret_bytes::from_text(text); }

/// The user with the salt that the server drew.
person with_password(role_harness& p, std::string_view name, std::string_view password) {
  person out{name};
  out.record = server::find_user(*p.sealed, out.user).value().value();
  out.client_key =
      crypto::scram_client_key(suite(), as_bytes(password), out.record.salt, out.record.iterations);
  return out;
}

protocol::entity_record entity_row(role_harness& p, const entity_id& entity) {
  return server::find_entity(*p.sealed, entity).value().value();
}

const gateway_name hall = gateway_name::parse("urn:cpns:gw:hall").value();

TEST(administration, a_new_password_is_used_with_the_next_request) {
  role_harness p;
  auto g = p.connect();
  ASSERT_EQ(status_of(g->ask(p.assignment(*g, p.device, p.alice))), link_status::ok) << "the row is cached";
  const auto created = p.alice.record.created;
  ASSERT_TRUE(p.role->admin().change_password(p.alice.user, secret_of("another horse")));
  EXPECT_EQ(status_of(g->ask(p.assignment(*g, p.device, p.alice, assignment_reason::recover))),
            link_status::unknown_user_or_bad_proof);
  const auto now = with_password(p, "alice@example.org", "another horse");
  EXPECT_EQ(now.record.created, created);
  EXPECT_EQ(status_of(g->ask(p.assignment(*g, p.device, now, assignment_reason::recover))), link_status::ok);
}

TEST(administration, a_user_is_added_once_and_removed_at_once) {
  role_harness p;
  auto g = p.connect();
  auto& admin = p.role->admin();
  const person bob{"bob@example.org"};
  ASSERT_TRUE(admin.add_user(bob.user, secret_of("battery staple")));
  EXPECT_EQ(admin.add_user(bob.user, secret_of("battery staple")).error().code, errc::state_exists);
  const auto known = with_password(p, "bob@example.org", "battery staple");
  EXPECT_EQ(status_of(g->ask(p.assignment(*g, p.device, known))), link_status::ok);
  ASSERT_TRUE(admin.remove_user(bob.user));
  EXPECT_EQ(status_of(g->ask(p.assignment(*g, p.device, known, assignment_reason::recover))),
            link_status::unknown_user_or_bad_proof);
  EXPECT_EQ(admin.remove_user(bob.user).error().code, errc::state_unknown);
  EXPECT_EQ(admin.change_password(bob.user, secret_of("battery staple")).error().code, errc::state_unknown);
}

TEST(administration, a_change_that_the_store_refuses_is_an_error_and_changes_nothing) {
  role_harness p;
  auto g = p.connect();
  p.faulty.fail_writes(errc::store_full);
  auto& admin = p.role->admin();
  EXPECT_EQ(admin.change_password(p.alice.user, secret_of("another horse")).error().code, errc::store_full);
  EXPECT_EQ(admin.add_device(device_number(1).imported()).error().code, errc::store_full);
  EXPECT_EQ(admin.block(hall).error().code, errc::store_full);
  p.faulty.repair();
  EXPECT_EQ(status_of(g->ask(p.assignment(*g, p.device, p.alice))), link_status::ok)
      << "neither the password nor the gateway changed";
}

TEST(administration, changes_that_turn_up_when_the_store_is_opened_again_count_within_seconds) {
  role_harness p;
  auto g = p.connect();
  auto& admin = p.role->admin();
  ASSERT_EQ(status_of(g->ask(p.assignment(*g, p.device, p.alice))), link_status::ok) << "the user is cached";
  while (!admin.gateway(hall.gw)) std::this_thread::yield();  // the note of the connection was written
  p.faulty.fail_write(p.faulty.writes() + 1, storage::fault_point::turns_up_later);
  p.faulty.fail_write(p.faulty.writes() + 2, storage::fault_point::turns_up_later);
  EXPECT_EQ(admin.change_password(p.alice.user, secret_of("another horse")).error().code,
            errc::store_write_failed);
  const gateway_name attic = gateway_name::parse("urn:cpns:gw:attic").value();
  EXPECT_EQ(admin.block(attic).error().code, errc::store_write_failed);
  ASSERT_EQ(status_of(g->ask(p.assignment(*g, p.device, p.alice, assignment_reason::recover))),
            link_status::ok)
      << "the user is cached again";
  p.faulty.repair();
  while (p.role->overview().at("gateways").at("blocked").as_uint64() == 0) std::this_thread::yield();
  EXPECT_TRUE(admin.gateway(attic.gw)->at("blocked").as_bool());
  EXPECT_EQ(status_of(g->ask(p.assignment(*g, p.device, p.alice, assignment_reason::recover))),
            link_status::unknown_user_or_bad_proof);
  const auto now = with_password(p, "alice@example.org", "another horse");
  EXPECT_EQ(status_of(g->ask(p.assignment(*g, p.device, now, assignment_reason::recover))), link_status::ok);
}

TEST(administration, a_device_gets_keys_from_its_addition_to_its_removal) {
  role_harness p;
  auto g = p.connect();
  auto& admin = p.role->admin();
  auto h = device_number(1);
  EXPECT_EQ(status_of(g->ask(p.assignment(*g, h, p.alice))), link_status::unknown_entity);
  ASSERT_TRUE(admin.add_device(h.imported()));
  EXPECT_EQ(admin.add_device(h.imported()).error().code, errc::state_exists);
  EXPECT_EQ(status_of(g->ask(p.assignment(*g, h, p.alice))), link_status::ok);
  ASSERT_TRUE(admin.remove_device(h.entity));
  EXPECT_EQ(status_of(g->ask(p.assignment(*g, h, p.alice, assignment_reason::recover))),
            link_status::unknown_entity);
  EXPECT_EQ(admin.remove_device(h.entity).error().code, errc::state_unknown);
}

TEST(administration, a_blocked_gateway_is_refused_on_its_open_connection_and_after_a_restart) {
  role_harness p{true};
  auto g = p.connect();
  const auto keys = body_of<assigned_keys>(g->ask(p.assignment(*g, p.device, p.alice)));
  ASSERT_TRUE(p.role->admin().block(hall));
  ASSERT_TRUE(p.role->admin().block(hall)) << "twice is once";
  protocol::epoch_report report;
  report.entries.emplace_back(p.device.entity, epoch{keys.generation, 0});
  const auto all_refused = [&](gateway_end& from) {
    EXPECT_EQ(status_of(from.ask(p.request(protocol::issuer_nonce_request{}))), link_status::gateway_blocked);
    EXPECT_EQ(status_of(from.ask(p.request(protocol::user_challenge{p.alice.user}))),
              link_status::gateway_blocked);
    EXPECT_EQ(status_of(from.ask(p.request(report))), link_status::gateway_blocked);
    const auto no = from.ask(p.assignment(from, p.device, p.alice, assignment_reason::recover));
    EXPECT_EQ(status_of(no), link_status::gateway_blocked);
    EXPECT_EQ(std::get<refusal>(no->body).retry_after, 0u) << "a person has to act first";
  };
  all_refused(*g);
  p.kill_and_restart();
  g = p.connect();
  all_refused(*g);
  EXPECT_EQ(entity_row(p, p.device.entity).last_report, std::nullopt) << "nothing of it was taken";
  EXPECT_EQ(p.role->overview().at("gateways").at("blocked").as_uint64(), 1u);

  ASSERT_TRUE(p.role->admin().unblock(hall));
  EXPECT_TRUE(g->wait_closed()) << "so that the gateway asks again at once";
  g = p.connect();
  EXPECT_EQ(status_of(g->ask(p.request(report))), link_status::ok);
  EXPECT_EQ(status_of(g->ask(p.assignment(*g, p.device, p.alice, assignment_reason::recover))),
            link_status::ok);
  p.kill_and_restart();
  EXPECT_FALSE(p.role->admin().gateway(hall.gw)->at("blocked").as_bool());
}

TEST(administration, a_gateway_can_be_blocked_before_it_connects_by_either_of_its_names) {
  role_harness p;
  const auto by_gw = gateway_name::parse(hall.gw.hex()).value();
  ASSERT_TRUE(p.role->admin().block(by_gw));
  auto g = p.connect();
  EXPECT_EQ(status_of(g->ask(p.request(protocol::issuer_nonce_request{}))), link_status::gateway_blocked);
  const auto seen = p.role->admin().gateway(hall.gw).value();
  EXPECT_EQ(seen.at("uri").as_string(), "urn:cpns:gw:hall") << "noted when it connected";
  EXPECT_TRUE(seen.at("blocked").as_bool()) << "and the note kept the block";
  EXPECT_EQ(p.role->admin().unblock(gateway_name::parse("urn:cpns:gw:none").value()).error().code,
            errc::state_unknown);
  EXPECT_EQ(gateway_name::parse("hall").error().code, errc::config_usage);
}

TEST(administration, shows_the_connections_of_a_gateway_and_closes_them) {
  role_harness p;
  auto& admin = p.role->admin();
  EXPECT_EQ(admin.gateway(hall.gw).error().code, errc::state_unknown);
  auto g = p.connect();
  for (int i = 0; i < 3; ++i) (void)g->ask(p.request(protocol::issuer_nonce_request{}));
  const auto seen = admin.gateway(hall.gw).value();
  const auto& connections = seen.at("connections").as_array();
  ASSERT_EQ(connections.size(), 1u);
  EXPECT_EQ(connections[0].at("requests").as_uint64(), 3u);
  EXPECT_EQ(connections[0].at("protocol").as_string(), "cpns/1.1");
  EXPECT_GE(seen.at("requests_per_minute").as_uint64(), 1u);
  EXPECT_EQ(seen.at("in_flight").as_uint64(), 0u);
  EXPECT_EQ(admin.disconnect(hall).value().closed, 1u);
  EXPECT_TRUE(g->wait_closed());
  g = p.connect();
  EXPECT_EQ(status_of(g->ask(p.request(protocol::issuer_nonce_request{}))), link_status::ok);
  const auto rows = [&admin](const server::gateway_filter& filter) {
    return admin.gateways({}, filter)->at("gateways").as_array().size();
  };
  EXPECT_EQ(rows({}), 1u);
  EXPECT_EQ(rows({hall.uri, server::gateway_state::connected}), 1u);
  EXPECT_EQ(rows({hall.uri + "x", {}}), 0u);
  EXPECT_EQ(rows({{}, server::gateway_state::known}), 0u);
  EXPECT_EQ(rows({{}, server::gateway_state::blocked}), 0u);
  ASSERT_TRUE(admin.block(hall));
  EXPECT_EQ(rows({{}, server::gateway_state::blocked}), 1u);
  EXPECT_EQ(rows({{}, server::gateway_state::connected}), 0u)
      << "a blocked gateway counts as blocked, connected or not";
}

TEST(administration, a_release_is_durable_and_names_the_holder) {
  role_harness p{true};
  auto& admin = p.role->admin();
  EXPECT_EQ(admin.release(p.device.entity).error().code, errc::state_unknown) << "no key was assigned yet";
  auto g = p.connect();
  ASSERT_EQ(status_of(g->ask(p.assignment(*g, p.device, p.alice))), link_status::ok);
  const auto done = admin.release(p.device.entity);
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_EQ(done->holder_uri, "urn:cpns:gw:hall");
  EXPECT_EQ(admin.release(p.device.entity).error().code, errc::state_unknown) << "nobody holds it";
  p.kill_and_restart();
  EXPECT_FALSE(entity_row(p, p.device.entity).holder.has_value());
  EXPECT_EQ(entity_row(p, p.device.entity).sets.size(), 1u) << "its keys stay";
}

TEST(administration, releases_all_devices_of_a_gateway_in_pages) {
  role_harness p;
  auto& admin = p.role->admin();
  auto g = p.connect();
  constexpr std::size_t count = administration::released_max + 20;
  for (std::size_t i = 0; i < count; ++i) {
    protocol::entity_record r;
    r.entity = device_number(static_cast<int>(i)).entity;
    r.holder = hall.gw;
    p.put(storage::table::entities, r.entity.text(), encode(r));
  }
  protocol::entity_record other;
  other.entity = device_number(5000).entity;
  other.holder = gateway_named("urn:cpns:gw:other");
  p.put(storage::table::entities, other.entity.text(), encode(other));
  std::set<std::string> released;
  std::string after;
  int pages = 0;
  do {
    auto page = admin.release_held_by(hall.gw, after);
    ASSERT_TRUE(page) << page.error().message();
    for (const auto& e : page->released) released.insert(e.entity.text());
    after = page->next.value_or(std::string{});
    ASSERT_LT(++pages, 10);
  } while (!after.empty());
  EXPECT_EQ(released.size(), count);
  EXPECT_TRUE(entity_row(p, other.entity).holder.has_value());
  EXPECT_EQ(server::held_entities(*p.sealed, hall.gw)->size(), 0u);
}

TEST(administration, requests_and_releases_of_one_device_at_once_lose_no_set) {
  role_harness p;
  auto g = p.connect();
  ASSERT_EQ(status_of(g->ask(p.assignment(*g, p.device, p.alice))), link_status::ok);
  std::atomic<bool> over = false;
  std::atomic<int> releases = 0;
  std::thread releasing([&] {
    while (!over) releases += p.role->admin().release(p.device.entity).has_value();
  });
  for (int i = 0; i < 40; ++i) {
    const auto answer = g->ask(p.assignment(*g, p.device, p.alice, assignment_reason::recover));
    const auto keys = body_of<assigned_keys>(answer);
    const auto row = entity_row(p, p.device.entity);
    ASSERT_TRUE(std::any_of(row.sets.begin(), row.sets.end(), [&](const auto& s) {
      return s.set == keys.set;
    })) << "a release wrote over the set that was just answered";
  }
  over = true;
  releasing.join();
  EXPECT_GT(releases, 0);
}

TEST(administration, lists_are_complete_while_keys_are_assigned) {
  role_harness p{true};
  auto g = p.connect();
  constexpr int count = 300;
  storage::sealed_batch batch;
  for (int i = 0; i < count; ++i) {
    const auto h = device_number(i);
    batch.push_back({storage::table::devices, to_bytes(as_bytes(h.entity.text())), encode(h.imported())});
  }
  ASSERT_TRUE(p.sealed->write(batch));
  std::atomic<bool> over = false;
  std::thread reading([&] {
    while (!over) {
      std::set<std::string> seen;
      server::page_asked asked{25, {}};
      do {
        const auto page = server::devices_page(p.role->admin().store(), asked, {});
        ASSERT_TRUE(page) << page.error().message();
        for (const auto& d : page->at("devices").as_array())
          EXPECT_TRUE(seen.insert(std::string{d.at("entity").as_string().c_str()}).second);
        const auto& next = page->at("next");
        asked.after = next.is_null() ? std::string{} : std::string{next.as_string().c_str()};
      } while (!asked.after.empty());
      EXPECT_EQ(seen.size(), static_cast<std::size_t>(count));
    }
  });
  for (int i = 0; i < 20; ++i) {
    auto h = device_number(i);
    EXPECT_EQ(status_of(g->ask(p.assignment(*g, h, p.alice))), link_status::ok) << i;
  }
  over = true;
  reading.join();
}

}  // namespace
}  // namespace cpns::server_tests
