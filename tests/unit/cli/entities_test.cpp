// `cpns entity`: who holds a device, and taking it from a gateway that is gone.
#include "cli/entities.hpp"

#include <gtest/gtest.h>

#include "crypto/key_schedule.hpp"
#include "storage/memory_store.hpp"
#include "tests/support/key_file.hpp"
#include "tests/support/seeded_entropy.hpp"

namespace cpns::cli {
namespace {

struct harness {
  test::seeded_entropy random{5};
  storage::memory_store memory;
  std::unique_ptr<storage::key_protector> protector = test::key_file_protector(random);
  std::unique_ptr<storage::sealed_store> sealed =
      storage::sealed_store::open(memory, *protector, random).value();
  gateway_id gw = parse_gateway("urn:cpns:gw:gw1").value();

  entity_id add(int i, const std::optional<gateway_id>& holder) {
    protocol::entity_record e;
    e.entity = entity_id::parse("urn:dev:os:1-" + std::to_string(1000 + i)).value();
    e.owner = user_id::parse("alice").value();
    e.holder = holder;
    e.holder_uri = holder ? "urn:cpns:gw:gw1" : "";
    e.holder_since = e.holder_seen = holder ? 7 : 0;
    e.last_report = epoch{1, 2};
    EXPECT_TRUE(sealed->write({{storage::table::entities, to_bytes(as_bytes(e.entity.text())), encode(e)}}));
    return e.entity;
  }
};

TEST(entities, a_gateway_is_named_by_its_uri_or_its_digits) {
  const auto gw =
      crypto::derive_gateway_id(crypto::openssl_suite(), crypto::gateway_kind::x509, "urn:cpns:gw:a");
  EXPECT_EQ(parse_gateway("urn:cpns:gw:a").value(), gw);
  EXPECT_EQ(parse_gateway(gw.hex()).value(), gw);
  for (const auto* bad : {"", "gw1", "0123", "zz0123456789abcdef0123456789abcd"}) {
    ASSERT_FALSE(parse_gateway(bad)) << bad;
    EXPECT_EQ(parse_gateway(bad).error().code, errc::config_usage);
  }
}

TEST(entities, of_one_gateway_are_found_and_released_and_nothing_else_changes) {
  harness p;
  const auto other = parse_gateway("urn:cpns:gw:other").value();
  for (int i = 0; i < 600; ++i) p.add(i, p.gw);
  const auto kept = p.add(700, other);
  p.add(701, std::nullopt);
  EXPECT_EQ(held_entities(*p.sealed, std::nullopt)->size(), 601u);
  auto held = held_entities(*p.sealed, p.gw).value();
  ASSERT_EQ(held.size(), 600u);
  EXPECT_LT(held[0].entity, held[1].entity);
  const auto one = held[0].entity;
  ASSERT_TRUE(release_entities(*p.sealed, std::move(held)));
  const auto left = held_entities(*p.sealed, std::nullopt).value();
  ASSERT_EQ(left.size(), 1u);
  EXPECT_EQ(left[0].entity, kept);
  const auto after = find_entity(*p.sealed, one).value();
  ASSERT_TRUE(after.has_value());
  EXPECT_FALSE(after->holder.has_value());
  EXPECT_TRUE(after->holder_uri.empty());
  EXPECT_EQ(after->holder_since, 0);
  EXPECT_EQ(after->owner, user_id::parse("alice").value());
  EXPECT_EQ(after->last_report, (epoch{1, 2}));
}

TEST(entities, one_that_was_never_assigned_is_not_there) {
  harness p;
  EXPECT_FALSE(find_entity(*p.sealed, entity_id::parse("urn:dev:os:1-1").value()).value().has_value());
}

}  // namespace
}  // namespace cpns::cli
