// Two servers on one PostgreSQL. What is changed at the first one, the second one refuses on the wire within two seconds,
// also with portable statements, which have no hints.

#include <algorithm>
#include <chrono>

#include "server/administration.hpp"
#include "tests/postgres/support.hpp"
#include "tests/unit/server/role_harness.hpp"

namespace cpns::server_tests {
namespace {

using storage::postgres_statements;

/// Of the documents. The servers need about half of it at most (a user is in memory for 1 s, changes are looked for
/// every 500 ms); the other half is for a machine that is busy.
constexpr milliseconds bound{2000};
/// The moment of a change falls at another moment of the pauses of the second server.
constexpr int rounds = 3;

storage::postgres_settings fresh_store(postgres_statements kind) {
  auto s = test::postgres_server::instance().fresh_store();
  s.statements = kind;
  return s;
}

/// The role of the harness is the first server.
struct two_nodes : role_harness {
  explicit two_nodes(const storage::postgres_settings& s)
      : role_harness(storage::testing::open(s)), under(storage::testing::open(s)) {
    auto named = config;
    named.name = "second";
    second = server::server_role::start(named, *rows).value();
    gateway = std::make_unique<gateway_end>(second->port(), crypto::make_client_tls(home.client).value());
    EXPECT_TRUE(gateway->connected()) << gateway->error();
    EXPECT_TRUE(second->admin().add_batch("many", {"urn:dev:os:32473-7*"}));
  }
  std::unique_ptr<storage::store> under;
  std::unique_ptr<storage::sealed_store> rows =
      storage::sealed_store::open(*under, *protector, crypto::system_entropy()).value();
  std::unique_ptr<server::server_role> second;
  std::unique_ptr<gateway_end> gateway;  ///< of the second one
  int devices = 0, users = 0;

  server::administration& first() { return role->admin(); }
  /// A device that no request was made for: requests for one device are limited.
  headset new_device() {
    headset h{"urn:dev:os:32473-7" + std::to_string(++devices)};
    h.temporary_key =
        server::device_of(suite(), *second->admin().batches().named("many"), h.entity).temporary_key;
    return h;
  }
  link_status assigned(headset& h, const person& who) {
    return status_of(gateway->ask(assignment(*gateway, h, who)));
  }
  link_status assigned(headset&& h, const person& who) { return assigned(h, who); }
  person new_user() {
    person out{"bob" + std::to_string(++users) + "@example.org"};
    put(storage::table::users, out.user.text(), encode(out.record));
    return out;
  }
  link_status challenged() { return status_of(gateway->ask(request(protocol::issuer_nonce_request{}))); }
};

/// Asks again and again until the answer is `refused`, and returns how long after this call the last accepted request began.
template <class Ask>
milliseconds last_accepted(link_status refused, const Ask& ask) {
  const auto changed = std::chrono::steady_clock::now();
  milliseconds last{0};
  for (;;) {
    const auto began = std::chrono::ceil<milliseconds>(std::chrono::steady_clock::now() - changed);
    const auto answer = ask();
    if (answer != link_status::ok) {
      EXPECT_EQ(name_of(answer), name_of(refused));
      return last;
    }
    last = began;
    if (last >= bound) return last;
  }
}

class nodes : public ::testing::TestWithParam<postgres_statements> {
 protected:
  two_nodes p_{fresh_store(GetParam())};
  /// The longest of some times goes into the report of the tests.
  void note(milliseconds took) {
    longest_ = std::max(longest_, took);
    RecordProperty("last_accepted_ms", static_cast<int>(longest_.count()));
    EXPECT_LT(took, bound);
  }
  milliseconds longest_{0};
};

TEST_P(nodes, have_no_hints_with_portable_statements) {
  EXPECT_EQ(p_.under->listen([] {}).use_count() == 0, GetParam() == postgres_statements::portable);
}

TEST_P(nodes, refuse_a_gateway_within_two_seconds_of_its_block_at_another_one) {
  const auto name = server::gateway_name::parse("urn:cpns:gw:hall").value();
  for (int i = 0; i < rounds; ++i) {
    ASSERT_EQ(p_.assigned(p_.device, p_.alice), link_status::ok);
    ASSERT_TRUE(p_.first().block(name));
    note(last_accepted(link_status::gateway_blocked, [&] { return p_.challenged(); }));
    EXPECT_EQ(p_.challenged(), link_status::gateway_blocked);
    gateway_end late{p_.second->port(), crypto::make_client_tls(p_.home.client).value()};
    EXPECT_EQ(status_of(late.ask(p_.request(protocol::issuer_nonce_request{}))), link_status::gateway_blocked)
        << "a new connection, too";
    ASSERT_TRUE(p_.first().unblock(name));
    ASSERT_TRUE(p_.gateway->wait_closed()) << "so that the gateway asks again at once";
    p_.gateway =
        std::make_unique<gateway_end>(p_.second->port(), crypto::make_client_tls(p_.home.client).value());
  }
}

TEST_P(nodes, refuse_a_device_with_the_first_request_after_its_block_at_another_one) {
  for (int i = 1; i <= rounds; ++i) {
    auto h = device_number(i);
    p_.import(h);
    ASSERT_EQ(p_.assigned(h, p_.alice), link_status::ok);
    ASSERT_TRUE(p_.first().block_device(h.entity));
    EXPECT_EQ(p_.assigned(h, p_.alice), link_status::unknown_entity);
  }
  EXPECT_EQ(p_.assigned(p_.device, p_.alice), link_status::ok) << "another device of the same user";
}

TEST_P(nodes, refuse_a_user_within_two_seconds_of_the_removal_at_another_one) {
  for (int i = 1; i <= rounds; ++i) {
    const auto bob = p_.new_user();
    ASSERT_EQ(p_.assigned(p_.new_device(), bob), link_status::ok) << "in memory";
    ASSERT_TRUE(p_.first().remove_user(bob.user));
    note(last_accepted(link_status::unknown_user_or_bad_proof,
                       [&] { return p_.assigned(p_.new_device(), bob); }));
  }
}

TEST_P(nodes, refuse_an_old_password_within_two_seconds_of_its_change_at_another_one) {
  for (int i = 1; i <= rounds; ++i) {
    const auto bob = p_.new_user();
    ASSERT_EQ(p_.assigned(p_.new_device(), bob), link_status::ok) << "in memory";
    ASSERT_TRUE(p_.first().change_password(bob.user, secret_bytes::from_text("another horse")));
    note(last_accepted(link_status::unknown_user_or_bad_proof,
                       [&] { return p_.assigned(p_.new_device(), bob); }));
  }
}

INSTANTIATE_TEST_SUITE_P(kinds, nodes,
                         ::testing::Values(postgres_statements::batch, postgres_statements::portable),
                         [](const auto& tested) { return std::string(name_of(tested.param)); });

}  // namespace
}  // namespace cpns::server_tests
