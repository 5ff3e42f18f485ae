#include <algorithm>

#include "tests/unit/server_machine/harness.hpp"

namespace cpns::testing_people {
namespace {

entity_record full_record(harness& w) {
  const auto keys = w.first();
  w.deliver(keys, 3);
  w.report({keys.generation, 3});
  return w.record();
}

TEST(server_records, survive_encoding) {
  harness w;
  const entity_record r = full_record(w);
  const auto row = encode(r);
  const auto back = decode_entity_record(row.expose());
  ASSERT_TRUE(back.has_value()) << back.error().message();
  EXPECT_EQ(encode(*back), row);
  EXPECT_EQ(back->sets.at(0).eukeys, r.sets.at(0).eukeys);
  EXPECT_EQ(back->holder, w.gw);

  const auto user = encode(w.alice.record);
  EXPECT_EQ(encode(decode_user_record(user.expose()).value()), user);

  device_secret_record d = w.device.imported();
  d.owner = w.bob.user;
  d.require_presence = false;
  d.stretched = true;
  const auto device = encode(d);
  const auto device_back = decode_device_secret_record(device.expose()).value();
  EXPECT_EQ(encode(device_back), device);
  EXPECT_EQ(device_back.owner, w.bob.user);
  EXPECT_TRUE(device_back.stretched);
  d.blocked = true;
  const auto blocked = encode(d);
  const auto blocked_back = decode_device_secret_record(blocked.expose()).value();
  EXPECT_TRUE(blocked_back.blocked);
  EXPECT_EQ(blocked_back.temporary_key, secret32{}) << "a blocked device has no key";
  EXPECT_EQ(encode(blocked_back), blocked);
  EXPECT_LT(blocked.size(), device.size());
}

TEST(server_records, can_be_read_again_although_a_long_text_was_cut_in_the_middle_of_a_character) {
  harness w;
  std::string text;
  while (text.size() < 300) text += "\xe2\x82\xac";  // 3 bytes each
  for (const std::string& more : {std::string{}, std::string{"x"}, std::string{"xx"}}) {
    device_secret_record d = w.device.imported();
    d.batch = more + text;
    const auto device = decode_device_secret_record(encode(d).expose());
    ASSERT_TRUE(device) << device.error().message();
    EXPECT_GE(device->batch.size(), 253U);
    gateway_record g;
    g.uri = g.address = more + text;
    const auto gateway = decode_gateway_record(encode(g).expose());
    ASSERT_TRUE(gateway) << gateway.error().message();
    EXPECT_TRUE(g.uri.starts_with(gateway->uri));
    harness other;
    auto e = full_record(other);
    e.holder_uri = more + text;
    EXPECT_TRUE(decode_entity_record(encode(e).expose()));
  }
}

TEST(server_records, a_row_cut_short_at_any_byte_is_an_error) {
  harness w;
  const auto row = encode(full_record(w));
  for (std::size_t n = 0; n < row.size(); ++n)
    EXPECT_FALSE(decode_entity_record(row.expose().first(n)).has_value()) << n;
  bytes longer = to_bytes(row.expose());
  longer.push_back(0);
  EXPECT_FALSE(decode_entity_record(longer).has_value());
  const auto user = encode(w.alice.record);
  for (std::size_t n = 0; n < user.size(); ++n)
    EXPECT_FALSE(decode_user_record(user.expose().first(n)).has_value()) << n;
  const auto device = encode(w.device.imported());
  for (std::size_t n = 0; n < device.size(); ++n)
    EXPECT_FALSE(decode_device_secret_record(device.expose().first(n)).has_value()) << n;
}

TEST(server_records, a_row_of_another_version_is_refused_by_name) {
  harness w;
  bytes row = to_bytes(encode(w.alice.record).expose());
  row[1] = 2;
  const auto back = decode_user_record(row);
  ASSERT_FALSE(back.has_value());
  EXPECT_EQ(back.error().code, errc::store_damaged);
  EXPECT_NE(back.error().detail.find("schema 2, this program reads 1"), std::string::npos)
      << back.error().detail;
}

TEST(server_records, an_entitys_row_of_schema_1_is_read_without_a_name_of_its_holder) {
  harness w;
  entity_record r = full_record(w);
  EXPECT_EQ(r.holder_since, unix_seconds(w.now));
  r.holder_uri.clear();
  r.holder_since = 0;
  bytes row = to_bytes(encode(r).expose());
  ASSERT_EQ(row[0], 0x8f);
  ASSERT_EQ(row[1], 2);
  const auto holder = std::search(row.begin(), row.end(), w.gw.value.begin(), w.gw.value.end());
  ASSERT_NE(holder, row.end());
  const auto name = holder + 16 + 5;  // after holder_seen
  ASSERT_TRUE(name[0] == 0x60 && name[1] == 0x00);
  row.erase(name, name + 2);
  row[0] = 0x8d;
  EXPECT_FALSE(decode_entity_record(row).has_value()) << "the number of fields does not match the schema";
  row[1] = 1;
  const auto back = decode_entity_record(row);
  ASSERT_TRUE(back.has_value()) << back.error().message();
  EXPECT_EQ(encode(*back), encode(r));
  EXPECT_EQ(holder_text(*back, r.holder_seen + 7),
            "gateway " + w.gw.hex() + " holds the device, last seen 7 s ago");
}

TEST(server_records, name_the_holder_of_a_device_in_few_bytes) {
  harness w;
  entity_record r = full_record(w);
  r.holder_uri = "urn:cpns:gw:hall";
  EXPECT_EQ(holder_text(r, r.holder_seen),
            "gateway urn:cpns:gw:hall holds the device since 2027-01-15 08:00:00Z, last seen 0 s ago");
  r.holder_uri = std::string(255, 'x');
  r.holder_since = r.holder_seen = 0;
  EXPECT_LE(holder_text(r, 99'999'999'999).size(), 140u);
  r.holder_since = 99'999'999'999;
  EXPECT_LE(holder_text(r, 9'999'999'999).size(), 160u);
}

TEST(server_records, a_set_must_have_as_many_keys_as_indexes) {
  harness w;
  entity_record r = full_record(w);
  r.sets.at(0).eukeys.pop_back();
  EXPECT_FALSE(decode_entity_record(encode(r).expose()).has_value());
}

}  // namespace
}  // namespace cpns::testing_people
