// Two servers, or a server and a command, change the same object in every order of their reads and writes: none of the
// changes is lost, and none contradicts the other one.
#include <gtest/gtest.h>

#include <array>
#include <thread>

#include "server/batch_book.hpp"
#include "server/gateway_book.hpp"
#include "server/shared_changes.hpp"
#include "server/store_admin.hpp"
#include "storage/memory_store.hpp"
#include "tests/support/key_file.hpp"
#include "tests/support/stepped_store.hpp"
#include "tests/unit/server_machine/people.hpp"

namespace cpns::server_tests {
namespace {

using namespace testing_people;
using server::batch_book;
using server::gateway_book;
using storage::table;
using test::step_order;

/// Two sealed stores over one store, whose calls are made in an order.
struct two_writers {
  seeded_entropy random{11};
  std::unique_ptr<storage::key_protector> protector;
  storage::memory_store memory{true};
  step_order steps;
  std::optional<test::stepped_store> under[2];
  std::unique_ptr<storage::sealed_store> rows[2];

  explicit two_writers(std::unique_ptr<storage::key_protector> p) : protector(std::move(p)) {
    for (const int who : {0, 1}) {
      under[who].emplace(memory, steps, who);
      rows[who] = storage::sealed_store::open(*under[who], *protector, crypto::system_entropy()).value();
    }
  }
  /// The outcomes of `first` with the store 0 and `second` with the store 1.
  template <class First, class Second>
  std::array<status, 2> race(const std::vector<int>& order, const First& first, const Second& second) {
    std::array<status, 2> out;
    steps.begin(order);
    std::thread other{[&] {
      out[1] = second(*rows[1]);
      steps.ended(1);
    }};
    out[0] = first(*rows[0]);
    steps.ended(0);
    other.join();
    return out;
  }
};

struct lost_races : ::testing::Test {
  seeded_entropy random{11};
  /// Calls `test` with fresh stores and each order.
  template <class Test>
  void in_every_order(std::size_t steps, const Test& test) {
    for (const auto& order : step_order::all(steps)) {
      two_writers w{test::key_file_protector(random)};
      std::string text;
      for (const int who : order) text += std::to_string(who);
      SCOPED_TRACE(text);
      test(w, order);
      if (HasFailure()) return;
    }
  }
};

std::string code(const status& s) { return s ? "ok" : std::string{name_of(s.error().code)}; }

TEST_F(lost_races, add_a_user_once) {
  in_every_order(4, [](two_writers& w, const auto& order) {
    const person one{"a", "one"}, two{"a", "two"};
    const auto add = [](const person& p) {
      return [&p](storage::sealed_store& s) { return server::add_user(s, server::write_to(s), p.record); };
    };
    const auto done = w.race(order, add(one), add(two));
    ASSERT_NE(done[0].has_value(), done[1].has_value());
    EXPECT_EQ(code(done[done[0] ? 1 : 0]), "state_exists");
    const auto& winner = done[0] ? one : two;
    EXPECT_EQ(server::find_user(*w.rows[0], one.user).value()->stored_key, winner.record.stored_key);
  });
}

TEST_F(lost_races, bring_back_no_user_who_was_removed) {
  in_every_order(4, [](two_writers& w, const auto& order) {
    const person before{"a", "one"}, after{"a", "two"};
    ASSERT_TRUE(server::add_user(*w.rows[0], before.record));
    const auto done = w.race(
        order, [&](storage::sealed_store& s) { return server::change_user(s, after.record); },
        [&](storage::sealed_store& s) { return server::remove_user(s, before.user); });
    EXPECT_EQ(code(done[1]), "ok");
    EXPECT_TRUE(done[0] || code(done[0]) == "state_unknown") << code(done[0]);
    EXPECT_FALSE(server::find_user(*w.rows[0], before.user).value());
  });
}

TEST_F(lost_races, give_no_key_to_a_device_that_was_blocked) {
  in_every_order(4, [](two_writers& w, const auto& order) {
    const headset h{"urn:dev:os:32473-1"};
    const auto done = w.race(
        order,
        [&](storage::sealed_store& s) { return server::add_device(s, server::write_to(s), h.imported()); },
        [&](storage::sealed_store& s) { return server::block_device(s, server::write_to(s), h.entity); });
    EXPECT_EQ(code(done[1]), "ok");
    EXPECT_TRUE(done[0] || code(done[0]) == "state_exists") << code(done[0]);
    EXPECT_TRUE(server::find_device(*w.rows[0], h.entity).value()->blocked);
  });
}

TEST_F(lost_races, let_no_batches_overlap) {
  in_every_order(5, [this](two_writers& w, const auto& order) {
    const auto add = [this](const std::string& name, const std::string& ids) {
      return [batch = server::make_batch(random, name, {ids}, time_zero).value()](
                 storage::sealed_store& s) -> status {
        batch_book book{s};
        CPNS_CHECK(book.load());
        return server::add_batch(s, book, server::write_to(s), batch);
      };
    };
    const auto done = w.race(order, add("lot7", "urn:dev:os:32473-7*"), add("lot8", "urn:dev:os:32473-70*"));
    ASSERT_NE(done[0].has_value(), done[1].has_value()) << code(done[0]);
    EXPECT_EQ(code(done[done[0] ? 1 : 0]), "state_conflict");
    batch_book both{*w.rows[0]};
    ASSERT_TRUE(both.load());
    EXPECT_EQ(both.size(), 1U);
  });
}

TEST_F(lost_races, keep_each_change_of_a_gateway) {
  in_every_order(4, [](two_writers& w, const auto& order) {
    const std::string cellar = "urn:cpns:psk:cellar";
    const auto gw = server::parse_gateway(cellar).value();
    const auto with_book = [](const auto& change) {
      return [change](storage::sealed_store& s) {
        gateway_book book{s, [&s](const storage::sealed_batch& batch, const storage::commit_done& done) {
                            done(s.write(batch));
                          }};
        status out = fail(errc::internal);
        change(book, [&out](const status& done) { out = done; });
        return out;
      };
    };
    const auto done = w.race(
        order, with_book([&](gateway_book& book, auto then) { book.set_blocked(gw, cellar, 7, then); }),
        with_book([&](gateway_book& book, auto then) {
          book.add_key(cellar, crypto::psk_key::draw(crypto::system_entropy()), 8, then);
        }));
    ASSERT_EQ(code(done[0]), "ok");
    ASSERT_EQ(code(done[1]), "ok");
    const auto row = server::find_gateway(*w.rows[0], gw).value().value();
    EXPECT_EQ(row.blocked_since, 7);
    EXPECT_EQ(row.psk_since, 8);
    EXPECT_EQ(server::changes_seen(*w.rows[0], server::changes_of::gateways).value(), 2U);
  });
}

TEST_F(lost_races, end_after_a_few) {
  storage::memory_store memory;
  const auto protector = test::key_file_protector(random);
  const auto rows = storage::sealed_store::open(memory, *protector, crypto::system_entropy()).value();
  const person a{"a"};
  ASSERT_TRUE(server::add_user(*rows, a.record));
  int tries = 0;
  const server::durable_write late = [&](storage::sealed_batch batch) -> status {
    ++tries;
    EXPECT_TRUE(rows->write({{table::users, to_bytes(as_bytes("a")), encode(a.record)}})) << "another server";
    return rows->write(batch);
  };
  EXPECT_EQ(code(server::remove_user(*rows, late, a.user)), "state_conflict");
  EXPECT_EQ(tries, server::lost_races_max);
  EXPECT_TRUE(server::find_user(*rows, a.user).value()) << "nothing was changed";
}

}  // namespace
}  // namespace cpns::server_tests
