// Readers see durable rows, changes go on from the newest, and blocks follow a store that was opened again.
#include <gtest/gtest.h>

#include <deque>

#include "server/gateway_book.hpp"
#include "storage/faulty_store.hpp"
#include "storage/forwarding_store.hpp"
#include "storage/memory_store.hpp"
#include "tests/support/key_file.hpp"
#include "tests/unit/server_machine/people.hpp"

namespace cpns::server_tests {
namespace {

using namespace testing_people;
using server::gateway_book;

/// Calls `hook` once, after a scan has visited all rows.
class hooked_store final : public storage::forwarding_store {
 public:
  explicit hooked_store(storage::store& under) : forwarding_store(under) {}
  status scan(storage::table t, byte_view prefix, const storage::row_visitor& visit) const override {
    auto done = under_.scan(t, prefix, visit);
    if (const auto now = std::exchange(hook, {})) now();
    return done;
  }
  mutable std::function<void()> hook;
};

struct harness {
  seeded_entropy random{5};
  storage::memory_store memory;
  storage::faulty_store faulty{memory};
  hooked_store hooked{faulty};
  std::unique_ptr<storage::key_protector> protector = test::key_file_protector(random);
  std::unique_ptr<storage::sealed_store> sealed =
      storage::sealed_store::open(hooked, *protector, random).value();
  struct held_write {
    storage::sealed_batch batch;
    storage::commit_done done;
  };
  std::deque<held_write> held;
  bool hold = false;
  gateway_book book{*sealed, [this](storage::sealed_batch batch, storage::commit_done done) {
                      if (hold)
                        held.push_back({std::move(batch), std::move(done)});
                      else
                        done(sealed->write(batch));
                    }};
  gateway_id hall = gateway_named("urn:cpns:gw:hall"), attic = gateway_named("urn:cpns:gw:attic");

  /// The outcome of the last one is in `last`.
  void set_blocked(const gateway_id& gw, std::int64_t since) {
    book.set_blocked(gw, {}, since, [this](const status& s) { last = s; });
  }
  status last = fail(errc::internal);
  void complete() {
    const auto w = std::move(held.front());
    held.pop_front();
    w.done(sealed->write(w.batch));
  }
};

TEST(gateway_book, shows_a_block_when_it_is_durable) {
  harness p;
  p.hold = true;
  p.set_blocked(p.hall, 7);
  EXPECT_EQ(p.book.find(p.hall).value(), std::nullopt);
  EXPECT_FALSE(p.book.blocked_for_good(p.hall).value());
  p.complete();
  EXPECT_EQ(p.book.find(p.hall)->value().blocked_since, 7);
  EXPECT_TRUE(p.book.blocked_for_good(p.hall).value());
}

TEST(gateway_book, goes_on_from_a_row_that_is_on_its_way) {
  harness p;
  p.hold = true;
  p.set_blocked(p.hall, 7);
  p.book.connected(time_point{seconds{100}},
                   server::peer_info{p.hall, "urn:cpns:gw:hall", "127.0.0.1:1", {}});
  p.set_blocked(p.hall, 9);
  EXPECT_EQ(p.held.size(), 1U) << "the others wait for the outcome of the first";
  while (!p.held.empty()) p.complete();
  const auto row = p.book.find(p.hall)->value();
  EXPECT_EQ(row.blocked_since, 7) << "the second block found the first";
  EXPECT_EQ(row.uri, "urn:cpns:gw:hall");
}

TEST(gateway_book, does_not_count_a_block_that_is_followed_by_a_change_on_its_way) {
  harness p;
  p.set_blocked(p.hall, 7);
  p.hold = true;
  p.set_blocked(p.hall, 0);
  EXPECT_FALSE(p.book.blocked_for_good(p.hall).value());
  p.complete();
  EXPECT_FALSE(p.book.blocked(p.hall));
}

TEST(gateway_book, serves_nobody_again_that_it_does_not_know) {
  harness p;
  p.set_blocked(p.attic, 0);
  EXPECT_EQ(p.last.error().code, errc::state_unknown);
  EXPECT_EQ(p.book.find(p.attic).value(), std::nullopt);
}

TEST(gateway_book, follows_writes_that_turn_up_when_the_store_is_opened_again) {
  harness p;
  p.set_blocked(p.attic, 3);
  p.faulty.fail_writes(errc::store_write_failed, storage::fault_point::turns_up_later);
  p.set_blocked(p.hall, 7);
  EXPECT_FALSE(p.last);
  p.set_blocked(p.attic, 0);
  EXPECT_FALSE(p.last);
  p.faulty.repair();
  EXPECT_FALSE(p.book.blocked(p.hall));
  EXPECT_TRUE(p.book.blocked(p.attic));
  const auto changed = p.book.reload();
  ASSERT_TRUE(changed) << changed.error().message();
  EXPECT_EQ(changed->blocked, std::vector{p.hall});
  EXPECT_EQ(changed->served, std::vector{p.attic});
  EXPECT_TRUE(p.book.blocked(p.hall));
  EXPECT_FALSE(p.book.blocked(p.attic));
}

TEST(gateway_book, keeps_changes_that_are_durable_while_it_reads_the_blocks_again) {
  harness p;
  p.set_blocked(p.attic, 3);
  p.hooked.hook = [&] {
    p.set_blocked(p.attic, 0);
    p.set_blocked(p.hall, 7);
  };
  ASSERT_TRUE(p.book.reload());
  EXPECT_FALSE(p.book.blocked(p.attic)) << "the reader saw the row before";
  EXPECT_TRUE(p.book.blocked(p.hall));
}

struct keyed : harness {
  const std::string cellar = "urn:cpns:psk:cellar", garage = "urn:cpns:psk:garage";
  crypto::psk_lookup keys = book.keys();

  crypto::psk_key drawn() { return crypto::psk_key::draw(random); }
  void add(const std::string& identity, const crypto::psk_key& key) {
    book.add_key(identity, key, 1'800'000'000, [this](const status& s) { last = s; });
  }
  void remove(const std::string& identity) {
    book.remove_key(identity, [this](const status& s) { last = s; });
  }
};

TEST(gateway_keys, count_when_they_are_durable) {
  keyed p;
  p.hold = true;
  const auto key = p.drawn();
  p.add(p.cellar, key);
  EXPECT_FALSE(p.keys(p.cellar));
  p.complete();
  ASSERT_TRUE(p.last);
  ASSERT_TRUE(p.keys(p.cellar));
  EXPECT_EQ(p.keys(p.cellar)->key, key);
  EXPECT_FALSE(p.keys(p.garage));
  p.remove(p.cellar);
  EXPECT_TRUE(p.keys(p.cellar)) << "until its end is durable";
  EXPECT_EQ(p.book.keys_removed(), 0U);
  p.complete();
  EXPECT_FALSE(p.keys(p.cellar));
  EXPECT_EQ(p.book.keys_removed(), 1U);
}

TEST(gateway_keys, stay_over_a_restart_beside_what_else_is_known_of_the_gateway) {
  keyed p;
  const auto key = p.drawn();
  const auto gw = crypto::derive_gateway_id(crypto::openssl_suite(), crypto::gateway_kind::psk, p.cellar);
  p.add(p.cellar, key);
  p.book.connected(time_point{seconds{1'800'000'100}}, server::peer_info{gw, p.cellar, "127.0.0.1:1", {}});
  p.set_blocked(gw, 7);
  gateway_book again{*p.sealed, [](const storage::sealed_batch&, const storage::commit_done&) {}};
  ASSERT_TRUE(again.load());
  EXPECT_EQ(again.keys()(p.cellar).value().key, key);
  EXPECT_TRUE(again.blocked(gw));
  const auto row = again.find(gw)->value();
  EXPECT_EQ(row.address, "127.0.0.1:1");
  EXPECT_EQ(row.psk_since, 1'800'000'000);
  p.remove(p.cellar);
  EXPECT_EQ(p.book.find(gw)->value().blocked_since, 7);
  EXPECT_EQ(p.book.find(gw)->value().psk, std::nullopt);
}

TEST(gateway_keys, are_never_shared_and_never_replaced) {
  keyed p;
  const auto key = p.drawn();
  p.add(p.cellar, key);
  p.add(p.garage, key);
  EXPECT_EQ(p.last.error().code, errc::state_conflict);
  p.add(p.cellar, p.drawn());
  EXPECT_EQ(p.last.error().code, errc::state_exists);
  EXPECT_EQ(p.keys(p.cellar)->key, key);
  EXPECT_FALSE(p.keys(p.garage));
  p.hold = true;
  const auto other = p.drawn();
  p.add("urn:cpns:psk:attic", other);
  p.add(p.garage, other);
  EXPECT_EQ(p.last.error().code, errc::state_conflict) << "the first one is on its way to the disk";
  EXPECT_EQ(p.held.size(), 1U);
}

TEST(gateway_keys, have_another_number_each_time) {
  keyed p;
  p.add(p.cellar, p.drawn());
  const auto first = p.keys(p.cellar)->number;
  EXPECT_NE(first, 0U);
  p.remove(p.cellar);
  p.remove(p.cellar);
  EXPECT_EQ(p.last.error().code, errc::state_unknown);
  p.add(p.cellar, p.drawn());
  EXPECT_NE(p.keys(p.cellar)->number, first) << "a connection by the former key ends";
}

TEST(gateway_keys, follow_a_store_that_was_opened_again) {
  keyed p;
  const auto key = p.drawn();
  p.add(p.cellar, key);
  p.faulty.fail_writes(errc::store_write_failed, storage::fault_point::turns_up_later);
  p.remove(p.cellar);
  EXPECT_FALSE(p.last);
  p.add(p.garage, p.drawn());
  EXPECT_FALSE(p.last);
  p.faulty.repair();
  EXPECT_TRUE(p.keys(p.cellar));
  ASSERT_TRUE(p.book.reload());
  EXPECT_FALSE(p.keys(p.cellar));
  EXPECT_TRUE(p.keys(p.garage));
  EXPECT_EQ(p.book.keys_removed(), 1U);
}

TEST(gateway_keys, that_are_too_short_end_the_start) {
  keyed p;
  protocol::gateway_record r;
  r.uri = p.cellar;
  r.psk = secret_bytes{bytes(16, 1)};
  ASSERT_TRUE(p.sealed->write({{storage::table::gateways, to_bytes(r.gw.value), protocol::encode(r)}}));
  EXPECT_EQ(p.book.load().error().code, errc::crypto_weak);
}

TEST(gateway_book, lifts_no_block_when_the_rows_cannot_be_read) {
  harness p;
  p.set_blocked(p.attic, 3);
  p.faulty.fail_reads(errc::store_unavailable);
  EXPECT_EQ(p.book.reload().error().code, errc::store_unavailable);
  EXPECT_TRUE(p.book.blocked(p.attic));
  p.faulty.repair();
  storage::sealed_batch damaged{
      {storage::table::gateways, to_bytes(p.attic.value), secret_bytes::from_text("no record")}};
  ASSERT_TRUE(p.sealed->write(damaged));
  ASSERT_TRUE(p.book.reload());
  EXPECT_TRUE(p.book.blocked(p.attic));
}

}  // namespace
}  // namespace cpns::server_tests
