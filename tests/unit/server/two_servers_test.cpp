// Two servers of one store, each with its own memory: a change at one counts at the other one within seconds.
#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <thread>

#include "crypto/tls_psk.hpp"
#include "server/administration.hpp"
#include "storage/forwarding_store.hpp"
#include "tests/unit/server/role_harness.hpp"

namespace cpns::server_tests {
namespace {

using server::gateway_name;

const gateway_name blocked_one = gateway_name::parse("urn:cpns:gw:hall").value();

/// Counts the reads that name a row of this table.
class counting_store final : public storage::forwarding_store {
 public:
  explicit counting_store(storage::store& under) : forwarding_store(under) {}
  result<std::vector<std::optional<storage::stored_value>>>
  read(std::span<const storage::row_name> names) const override {
    const auto has = [&](storage::table t) {
      return std::any_of(names.begin(), names.end(), [t](const auto& n) { return n.table == t; });
    };
    if (has(storage::table::entities) || has(storage::table::users)) ++reads;
    if (has(storage::table::users)) ++of_users;
    return under_.read(names);
  }
  mutable std::atomic<int> reads = 0, of_users = 0;
};

/// The role of the harness is the first server.
struct two_servers : role_harness {
  two_servers() : role_harness(false, true) {}
  counting_store counted{memory};
  std::unique_ptr<storage::sealed_store> rows =
      storage::sealed_store::open(counted, *protector, crypto::system_entropy()).value();
  std::unique_ptr<server::server_role> second = server::server_role::start(named_second(), *rows).value();

  [[nodiscard]] config::server_config named_second() const {
    auto out = config;
    out.name = "second";
    return out;
  }
  server::administration& first() { return role->admin(); }
  std::unique_ptr<gateway_end> connect_to_second() {
    auto made = std::make_unique<gateway_end>(second->port(), crypto::make_client_tls(home.client).value());
    EXPECT_TRUE(made->connected()) << made->error();
    return made;
  }
  byte_array<16> salt_at(gateway_end& g, const person& who) {
    const auto answer = g.ask(request(protocol::user_challenge{who.user}));
    return body_of<protocol::user_challenge_answer>(answer).salt;
  }
  link_status asked(gateway_end& g, headset& h, const person& who,
                    assignment_reason why = assignment_reason::recover) {
    return status_of(g.ask(assignment(g, h, who, why)));
  }
};

/// Within seconds; the machine of a test may be slow.
testing::AssertionResult soon(const std::function<bool()>& holds) {
  const auto until = std::chrono::steady_clock::now() + seconds{20};
  while (std::chrono::steady_clock::now() < until) {
    if (holds()) return testing::AssertionSuccess();
    std::this_thread::yield();
  }
  return testing::AssertionFailure() << "not within 20 seconds";
}

TEST(two_servers, refuse_a_gateway_that_was_blocked_at_one_of_them) {
  two_servers p;
  auto g = p.connect_to_second();
  ASSERT_EQ(p.asked(*g, p.device, p.alice, assignment_reason::first), link_status::ok);
  ASSERT_TRUE(p.first().block(blocked_one));
  const auto nonce = [&] { return status_of(g->ask(p.request(protocol::issuer_nonce_request{}))); };
  EXPECT_TRUE(soon([&] { return nonce() == link_status::gateway_blocked; }));
  EXPECT_TRUE(p.second->admin().gateway(blocked_one.gw)->at("blocked").as_bool());
  ASSERT_TRUE(p.first().unblock(blocked_one));
  EXPECT_TRUE(g->wait_closed()) << "so that the gateway asks again at once";
  g = p.connect_to_second();
  EXPECT_EQ(nonce(), link_status::ok);
}

TEST(two_servers, take_no_proof_of_a_user_who_was_changed_or_removed_at_one_of_them) {
  two_servers p;
  auto g = p.connect_to_second();
  ASSERT_EQ(p.asked(*g, p.device, p.alice, assignment_reason::first), link_status::ok) << "in memory";
  const auto now = secret_bytes::from_text("another horse");
  ASSERT_TRUE(p.first().change_password(p.alice.user, now));
  // A wrong proof delays the next one, so the second server gets one.
  EXPECT_TRUE(soon([&] { return p.salt_at(*g, p.alice) != p.alice.record.salt; }));
  EXPECT_EQ(p.asked(*g, p.device, p.alice), link_status::unknown_user_or_bad_proof);

  const person bob{"bob@example.org"};
  auto of_bob = device_number(1);
  p.import(of_bob);
  p.put(storage::table::users, bob.user.text(), encode(bob.record));
  ASSERT_EQ(p.asked(*g, of_bob, bob, assignment_reason::first), link_status::ok) << "in memory";
  ASSERT_TRUE(p.first().remove_user(bob.user));
  EXPECT_TRUE(soon([&] { return p.salt_at(*g, bob) != bob.record.salt; }));
  EXPECT_EQ(p.asked(*g, of_bob, bob), link_status::unknown_user_or_bad_proof);
}

TEST(two_servers, read_a_user_with_the_other_rows_of_a_request) {
  two_servers p;
  auto g = p.connect_to_second();
  ASSERT_EQ(p.asked(*g, p.device, p.alice, assignment_reason::first), link_status::ok);
  struct cost {
    int reads, of_users;
  };
  const auto ask = [&]() -> cost {
    const cost before{p.counted.reads, p.counted.of_users};
    EXPECT_EQ(p.asked(*g, p.device, p.alice), link_status::ok);
    return {p.counted.reads - before.reads, p.counted.of_users - before.of_users};
  };
  EXPECT_EQ(ask().reads, 1) << "of the entity and the device, with a user in memory";
  p.second->reload(p.named_second());  // it forgets the users
  const auto with_user = ask();
  EXPECT_EQ(with_user.of_users, 1);
  EXPECT_EQ(with_user.reads, 1) << "no round trip more";
}

TEST(two_servers, serve_the_batches_of_each_other) {
  two_servers p;
  auto g = p.connect_to_second();
  const std::string entity = "urn:dev:os:32473-7001";
  ASSERT_TRUE(p.first().add_batch("lot7", {"urn:dev:os:32473-7000..urn:dev:os:32473-7999"}));
  EXPECT_TRUE(soon([&] { return p.second->admin().batches().named("lot7") != nullptr; }));
  headset h{entity};
  const auto made = server::device_of(suite(), *p.second->admin().batches().named("lot7"), h.entity);
  h.temporary_key = made.temporary_key;
  EXPECT_EQ(p.asked(*g, h, p.alice, assignment_reason::first), link_status::ok);
  ASSERT_TRUE(p.first().remove_batch("lot7"));
  EXPECT_TRUE(soon([&] { return p.asked(*g, h, p.alice) == link_status::unknown_entity; }));
}

TEST(two_servers, let_no_batches_overlap) {
  two_servers p;
  ASSERT_TRUE(p.first().add_batch("lot7", {"urn:dev:os:32473-7*"}));
  const auto lost = p.second->admin().add_batch("lot8", {"urn:dev:os:32473-70*"});
  ASSERT_FALSE(lost) << "the second server need not have seen the batch yet";
  EXPECT_EQ(lost.error().code, errc::state_conflict);
  ASSERT_TRUE(p.second->admin().add_batch("lot8", {"urn:dev:os:32473-8*"}));
  ASSERT_TRUE(p.first().remove_batch("lot8"));
  EXPECT_EQ(p.second->admin().remove_batch("lot8").error().code, errc::state_unknown);
}

TEST(two_servers, report_a_batch_of_the_other_one_that_overlaps_a_key_service) {
  two_servers p;
  p.second.reset();
  auto c = p.named_second();
  auto& maker = c.temporary_keys.services.emplace_back();
  maker.name = "maker";
  maker.entities = {"urn:dev:os:32473-7*"};
  maker.url = "https://127.0.0.1:9";
  maker.tls = {p.home.client.certificate, p.home.client.key, p.home.client.ca};
  p.second = server::server_role::start(c, *p.rows).value();
  EXPECT_EQ(p.second->admin().add_batch("lot6", {"urn:dev:os:32473-7*"}).error().code, errc::state_conflict);
  ASSERT_TRUE(p.first().add_batch("lot7", {"urn:dev:os:32473-70*"})) << "its file has no service";
  EXPECT_TRUE(p.log.says("batch-overlaps-service"));
  EXPECT_TRUE(
      p.log.says("batch lot7: 'urn:dev:os:32473-70*' overlaps 'urn:dev:os:32473-7*' of the service maker"));
  p.second.reset();
  const auto again = server::server_role::start(c, *p.rows);
  ASSERT_FALSE(again) << "a start is refused";
  EXPECT_EQ(again.error().code, errc::state_conflict);
}

TEST(two_servers, know_and_forget_the_keys_of_gateways_of_each_other) {
  two_servers p;
  const std::string cellar = "urn:cpns:psk:cellar";
  const auto key = crypto::psk_key::draw(crypto::system_entropy());
  const auto connects = [&] {
    gateway_end g{p.second->port(), crypto::make_psk_client_tls(cellar, key).value()};
    return g.connected();
  };
  EXPECT_FALSE(connects());
  ASSERT_TRUE(p.first().add_key(cellar, key));
  ASSERT_TRUE(soon(connects));
  gateway_end open{p.second->port(), crypto::make_psk_client_tls(cellar, key).value()};
  ASSERT_EQ(status_of(open.ask(p.request(protocol::issuer_nonce_request{}))), link_status::ok);
  ASSERT_TRUE(p.first().remove_key(cellar));
  EXPECT_TRUE(open.wait_closed());
  EXPECT_FALSE(connects());
}

}  // namespace
}  // namespace cpns::server_tests
