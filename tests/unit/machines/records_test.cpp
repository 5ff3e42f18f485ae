#include <gtest/gtest.h>

#include "protocol/pn_gw/device_record.hpp"
#include "protocol/pne/pne_record.hpp"
#include "tests/support/seeded_entropy.hpp"

namespace cpns::test {
namespace {

using namespace protocol;

pne_record sample_pne() {
  seeded_entropy random{1};
  pne_record r;
  r.current = stored_key{epoch{3, 7}, random.draw_secret<32>(), random.draw_id<owner_tag>(), 3600};
  r.pending = stored_key{epoch{3, 8}, random.draw_secret<32>(), random.draw_id<owner_tag>(), 3600};
  r.resets = 2;
  return r;
}

device_record sample_device() {
  seeded_entropy random{2};
  device_record r;
  r.entity = *entity_id::parse("urn:dev:mac:0024befffe804ff1");
  r.user = *user_id::parse("alice");
  r.approved = true;
  r.standing = device_standing::quarantined;
  r.standing_reason = "stale";
  r.generation = 4;
  r.set = random.draw_id<set_id>();
  r.gateway_temporary_key = random.draw_secret<32>();
  r.owner = random.draw_id<owner_tag>();
  r.rekey_seconds = 86400;
  r.not_after = 1'800'000'000;
  r.incarnation = 3;
  for (std::uint16_t i = 0; i < 5; ++i)
    r.keys.push_back({epoch{4, i}, r.set, random.draw_secret<32>(),
                      i == 1   ? key_use::own
                      : i == 2 ? key_use::handed_out
                               : key_use::unused});
  r.chain = held_chain{epoch{2, 1}, 4, random.draw_secret<32>()};
  r.resets = 1;
  r.to_report = epoch{4, 1};
  r.keyed_since = 1'790'000'000'123;
  r.budget_day = 20717;
  r.unchained_built = 3;
  r.request = random.draw_id<request_id>();
  r.request_is_refill = true;
  r.last_transport = "tcp";
  r.last_address = "127.0.0.1:4242";
  return r;
}

TEST(records, a_pne_record_survives_encoding) {
  const auto wire = encode(sample_pne());
  const auto back = decode_pne_record(wire.expose());
  ASSERT_TRUE(back) << back.error().message();
  EXPECT_TRUE(encode(*back) == wire);
  EXPECT_EQ(back->highest()->which, (epoch{3, 8}));
  EXPECT_EQ(back->resets, 2u);
  EXPECT_TRUE(decode_pne_record(encode(pne_record{}).expose()));
}

TEST(records, a_device_record_survives_encoding) {
  const auto wire = encode(sample_device());
  const auto back = decode_device_record(wire.expose());
  ASSERT_TRUE(back) << back.error().message();
  EXPECT_TRUE(encode(*back) == wire);
  EXPECT_EQ(back->own()->which, (epoch{4, 1}));
  EXPECT_EQ(back->unused_count(), 3u);
  EXPECT_EQ(back->last_address, "127.0.0.1:4242");
}

TEST(records, a_device_record_of_schema_2_survives_encoding) {
  auto d = sample_device();
  const auto first = encode(d);
  d.keys[2].use = key_use::unproven;
  d.keys[3].use = key_use::lapsed;
  d.sessions_from = epoch{4, 1};
  const auto wire = encode(d);
  const auto back = decode_device_record(wire.expose());
  ASSERT_TRUE(back) << back.error().message();
  EXPECT_TRUE(encode(*back) == wire);
  EXPECT_EQ(back->keys[2].use, key_use::unproven);
  EXPECT_EQ(back->keys[3].use, key_use::lapsed);
  EXPECT_EQ(back->sessions_from, (epoch{4, 1}));
  EXPECT_EQ(back->unused_count(), 2u);
  // What an earlier version wrote is read, and without need nothing else is written.
  EXPECT_EQ(first.expose()[1], 24) << "fields";
  EXPECT_EQ(first.expose()[2], 1) << "schema";
  EXPECT_EQ(wire.expose()[1], 25) << "fields";
  EXPECT_EQ(wire.expose()[2], 2) << "schema";
  EXPECT_EQ(decode_device_record(first.expose())->sessions_from, std::nullopt);
}

TEST(records, a_key_that_lacks_proof_is_refused_in_a_record_of_schema_1) {
  auto wire = to_bytes(encode(sample_device()).expose());
  auto lapsed = sample_device();
  lapsed.keys[2].use = key_use::lapsed;
  const auto changed = to_bytes(encode(lapsed).expose());
  std::size_t places = 0;  // but for the numbers of fields and schema, and the end
  for (std::size_t i = 3; i < wire.size(); ++i)
    if (wire[i] != changed[i]) {
      wire[i] = changed[i];
      ++places;
    }
  ASSERT_EQ(places, 1u);
  EXPECT_FALSE(decode_device_record(wire));
}

TEST(records, the_own_key_is_withdrawn_below_the_first_session_that_goes_on) {
  auto d = sample_device();  // own: 4.1
  EXPECT_FALSE(d.own_is_withdrawn());
  d.sessions_from = epoch{4, 1};
  EXPECT_FALSE(d.own_is_withdrawn());
  d.sessions_from = epoch{4, 2};
  EXPECT_TRUE(d.own_is_withdrawn());
  d.keys[1].use = key_use::handed_out;
  EXPECT_FALSE(d.own_is_withdrawn());
}

/// Both decoders refuse the same bytes for the same reason, and read the same.
void agree_on(byte_view wire) {
  const auto whole = decode_device_record(wire);
  const auto part = decode_device_summary(wire);
  ASSERT_EQ(whole.has_value(), part.has_value());
  if (!whole) {
    EXPECT_EQ(whole.error().message(), part.error().message());
    return;
  }
  EXPECT_EQ(part->entity, whole->entity);
  EXPECT_EQ(part->standing, whole->standing);
  EXPECT_EQ(part->keyed, whole->own() != nullptr);
  EXPECT_EQ(part->unused_keys, whole->unused_count());
  EXPECT_EQ(part->rekey_seconds, whole->rekey_seconds);
  EXPECT_EQ(part->not_after, whole->not_after);
  EXPECT_EQ(part->keyed_since, whole->keyed_since);
  EXPECT_EQ(part->incarnation, whole->incarnation);
  EXPECT_EQ(part->to_report, whole->to_report);
  EXPECT_EQ(part->refills, whole->request && whole->request_is_refill);
  EXPECT_EQ(part->unproven, whole->has_unproven());
}

TEST(records, a_summary_of_a_device_says_what_its_record_says) {
  auto d = sample_device();
  agree_on(encode(d).expose());
  d.request_is_refill = false;
  agree_on(encode(d).expose());
  d.request.reset();
  d.to_report.reset();
  d.keys[1].use = key_use::handed_out;
  agree_on(encode(d).expose());
  d.keys[2].use = key_use::lapsed;
  agree_on(encode(d).expose());
  d.keys[3].use = key_use::unproven;
  agree_on(encode(d).expose());
  d.sessions_from = epoch{4, 9};
  agree_on(encode(d).expose());
  d.keys[3].use = key_use::unused;
  d.keys[3].set = {};
  d.keys[0].which = epoch{3, 0};
  agree_on(encode(d).expose());
  d.keys.clear();
  agree_on(encode(d).expose());
}

template <class Decode>
void truncated_and_changed(const secret_bytes& wire, Decode decode) {
  const auto whole = to_bytes(wire.expose());
  for (std::size_t n = 0; n < whole.size(); ++n) EXPECT_FALSE(decode(byte_view{whole}.first(n))) << n;
  auto longer = whole;
  longer.push_back(0);
  EXPECT_FALSE(decode(longer));
  // A changed byte is refused or gives another record, never a crash.
  for (std::size_t i = 0; i < whole.size(); ++i)
    for (const std::uint8_t flip : {0x01, 0x80, 0xff}) {
      auto changed = whole;
      changed[i] ^= flip;
      (void)decode(changed);
    }
}

TEST(records, damage_is_an_error_and_never_a_crash) {
  truncated_and_changed(encode(sample_pne()), [](byte_view b) { return decode_pne_record(b).has_value(); });
  truncated_and_changed(encode(sample_device()), [](byte_view b) {
    agree_on(b);
    return decode_device_record(b).has_value();
  });
  auto later = sample_device();
  later.keys[2].use = key_use::unproven;
  later.sessions_from = epoch{4, 1};
  truncated_and_changed(encode(later), [](byte_view b) {
    agree_on(b);
    return decode_device_record(b).has_value();
  });
}

TEST(records, contradictory_records_are_refused) {
  auto p = sample_pne();
  p.pending->which = epoch{3, 7};
  EXPECT_FALSE(decode_pne_record(encode(p).expose()));
  auto d = sample_device();
  d.keys[3].use = key_use::own;
  EXPECT_FALSE(decode_device_record(encode(d).expose()));
  d = sample_device();
  std::swap(d.keys[0], d.keys[1]);
  EXPECT_FALSE(decode_device_record(encode(d).expose()));
}

}  // namespace
}  // namespace cpns::test
