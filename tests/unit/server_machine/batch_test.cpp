// Batches of devices: their ranges of Entity IDs, their records, and the presence of their devices.
#include "protocol/server/batch_record.hpp"

#include "tests/unit/server_machine/harness.hpp"

namespace cpns::testing_people {
namespace {

entity_range range(std::string_view text) {
  const auto r = entity_range::parse(text);
  EXPECT_TRUE(r.has_value()) << text << (r ? "" : ": " + r.error().message());
  return r.value();
}
entity_id id(std::string_view text) { return entity_id::parse(text).value(); }

TEST(entity_range, is_read_and_written_in_one_form) {
  for (const std::string text :
       {"urn:dev:mac:0024be*", "urn:dev:mac:0024befffe80*", "urn:dev:mac:0024befffe804ff*",
        "urn:dev:os:32473-*", "urn:dev:os:32473-lot7.*", "urn:uuid:f81d4fae*",
        "urn:uuid:f81d4fae-7dec-11d0-a7*", "urn:gsma:imei:35209900*", "urn:gsma:imei:35209900-176148-*",
        "urn:dev:mac:0024be000000..urn:dev:mac:0024beffffff",
        "urn:dev:mac:0024befffe804ff1..urn:dev:mac:0024befffe804ff1",
        "urn:gsma:imei:35209900-176148-1..urn:gsma:imei:35209900-276148-0",
        "urn:dev:os:32473-a..0001..urn:dev:os:32473-a..0999"})
    EXPECT_EQ(range(text).text(), text);
}

TEST(entity_range, refuses_what_names_no_entity_or_too_many) {
  for (const std::string text : {"",
                                 "*",
                                 "urn:dev:mac:0024be",
                                 "urn:dev:mac:0024befffe804ff1",
                                 "urn:*",
                                 "urn:dev:mac:*",
                                 "urn:dev:mac:0024b*",
                                 "urn:dev:mac:0024BE*",
                                 "urn:dev:mac:0024befffe804ff12*",
                                 "urn:dev:mac:0024be**",
                                 "urn:dev:os:*",
                                 "urn:dev:os:32473*",
                                 "urn:dev:os:0-*",
                                 "urn:dev:os:32473-a b*",
                                 "urn:uuid:f81d4fa*",
                                 "urn:uuid:f81d4fae-7decd*",
                                 "urn:gsma:imei:3520990*",
                                 "urn:gsma:imei:35209900-176148-1*",
                                 "urn:example:1*",
                                 "urn:dev:mac:0024beffffff..urn:dev:mac:0024be000000",
                                 "urn:dev:mac:0024be000000..",
                                 "urn:dev:mac:0024be000000..urn:dev:mac:0024bfffffff",
                                 "urn:dev:mac:0024be000000..urn:dev:mac:0024beffffffffff",
                                 "urn:gsma:imei:35209900-176148-1..urn:gsma:imei:35209900-276148-1",
                                 "urn:dev:os:32473-1..urn:dev:os:32474-1",
                                 "urn:dev:os:32473-a1..urn:dev:os:32473-b1",
                                 "urn:dev:os:32473-1..urn:dev:os:32473-10",
                                 "urn:dev:os:32473-1...urn:dev:os:32473-9"}) {
    const auto r = entity_range::parse(text);
    ASSERT_FALSE(r.has_value()) << text;
    EXPECT_EQ(r.error().code, errc::wire_grammar) << text;
  }
}

TEST(entity_range, contains_the_entities_that_it_names) {
  const auto prefix = range("urn:dev:mac:0024be*");
  EXPECT_TRUE(prefix.contains(id("urn:dev:mac:0024be000000")));
  EXPECT_TRUE(prefix.contains(id("urn:dev:mac:0024befffe804ff1")));
  EXPECT_FALSE(prefix.contains(id("urn:dev:mac:0024bf000000")));
  EXPECT_FALSE(range("urn:dev:os:32473-12*").contains(id("urn:dev:os:32473-12")));
  const auto few = range("urn:dev:mac:0024be000009..urn:dev:mac:0024be0000aa");
  for (const std::string in : {"0024be000009", "0024be00000a", "0024be000099", "0024be0000aa"})
    EXPECT_TRUE(few.contains(id("urn:dev:mac:" + in))) << in;
  for (const std::string out : {"0024be000008", "0024be0000ab", "0024be0000100000"})
    EXPECT_FALSE(few.contains(id("urn:dev:mac:" + out))) << out;
  const auto serials = range("urn:dev:os:32473-1000..urn:dev:os:32473-1999");
  EXPECT_TRUE(serials.contains(id("urn:dev:os:32473-1500")));
  for (const std::string out : {"15a0", "2000", "0999", "10000", "150"})
    EXPECT_FALSE(serials.contains(id("urn:dev:os:32473-" + out))) << out;
}

TEST(entity_range, overlaps_a_range_with_a_common_entity) {
  const auto overlap = [](const std::string& a, const std::string& b) {
    EXPECT_EQ(range(a).overlaps(range(b)), range(b).overlaps(range(a)));
    return range(a).overlaps(range(b));
  };
  const std::string mac = "urn:dev:mac:0024be";
  EXPECT_TRUE(overlap(mac + "*", mac + "f*"));
  EXPECT_FALSE(overlap(mac + "e*", mac + "f*"));
  EXPECT_TRUE(overlap(mac + "*", mac + "000000.." + mac + "000001"));
  EXPECT_TRUE(overlap(mac + "0000f*", mac + "000000.." + mac + "0000f0"));
  EXPECT_FALSE(overlap(mac + "0000f*", mac + "000000.." + mac + "0000ef"));
  EXPECT_FALSE(overlap(mac + "000000*", mac + "000000.." + mac + "000001"))
      << "the prefix has longer ones alone";
  EXPECT_TRUE(overlap(mac + "000000.." + mac + "000010", mac + "000010.." + mac + "000020"));
  EXPECT_FALSE(overlap(mac + "000000.." + mac + "00000f", mac + "000010.." + mac + "000020"));
  EXPECT_FALSE(overlap(mac + "000000.." + mac + "000010", mac + "0000000000.." + mac + "0000000010"));
}

std::vector<std::string> all(entity_series s) {
  std::vector<std::string> out{s.current().text()};
  const auto size = s.size();
  while (s.advance()) out.push_back(s.current().text());
  EXPECT_EQ(out.size(), size);
  return out;
}
result<entity_series> between(const std::string& from, const std::string& to, std::uint64_t most = 1000) {
  return entity_series::between(id(from), id(to), most);
}

TEST(entity_series, counts_in_the_digits_of_its_scheme) {
  EXPECT_EQ(all(between("urn:dev:mac:0024be0000fe", "urn:dev:mac:0024be000101").value()),
            (std::vector<std::string>{"urn:dev:mac:0024be0000fe", "urn:dev:mac:0024be0000ff",
                                      "urn:dev:mac:0024be000100", "urn:dev:mac:0024be000101"}));
  EXPECT_EQ(all(between("urn:uuid:f81d4fae-7dec-11d0-a765-ffffffffffff",
                        "urn:uuid:f81d4fae-7dec-11d0-a766-000000000000")
                    .value()),
            (std::vector<std::string>{"urn:uuid:f81d4fae-7dec-11d0-a765-ffffffffffff",
                                      "urn:uuid:f81d4fae-7dec-11d0-a766-000000000000"}));
  EXPECT_EQ(all(between("urn:dev:os:32473-a99", "urn:dev:os:32473-a99").value()),
            (std::vector<std::string>{"urn:dev:os:32473-a99"}));
  const auto serials = all(between("urn:dev:os:32473-a098", "urn:dev:os:32473-a101").value());
  EXPECT_EQ(serials, (std::vector<std::string>{"urn:dev:os:32473-a098", "urn:dev:os:32473-a099",
                                               "urn:dev:os:32473-a100", "urn:dev:os:32473-a101"}));
}

TEST(entity_series, finds_the_check_digit_of_each_imei) {
  const auto imeis =
      all(between("urn:gsma:imei:35209900-176148-1", "urn:gsma:imei:35209900-176161-4").value());
  ASSERT_EQ(imeis.size(), 14U);
  const auto in = range("urn:gsma:imei:35209900-176148-1..urn:gsma:imei:35209900-176161-4");
  for (const auto& i : imeis) EXPECT_TRUE(in.contains(id(i))) << i;
}

TEST(entity_series, refuses_more_than_its_bound) {
  EXPECT_EQ(between("urn:dev:mac:0024be000000", "urn:dev:mac:0024be0003e7").value().size(), 1000U);
  const auto more = between("urn:dev:mac:0024be000000", "urn:dev:mac:0024be0003e8");
  ASSERT_FALSE(more.has_value());
  EXPECT_EQ(more.error().code, errc::config_range);
  EXPECT_FALSE(between("urn:uuid:f81d4fae-0000-0000-0000-000000000000",
                       "urn:uuid:f81d4fae-ffff-ffff-ffff-ffffffffffff", UINT64_MAX / 256)
                   .has_value());
  EXPECT_FALSE(between("urn:dev:mac:0024be000001", "urn:dev:mac:0024be000000").has_value());
}

TEST(batch_record, survives_encoding) {
  harness w;
  batch_record b;
  b.batch = "headset-2026-07";
  b.master_key = w.random.draw_secret<32>();
  b.ids = parse_ranges({"urn:dev:mac:0024be*", "urn:dev:os:32473-1000..urn:dev:os:32473-1999"}).value();
  b.created = 1'800'000'000;
  const auto row = encode(b);
  const auto back = decode_batch_record(row.expose());
  ASSERT_TRUE(back.has_value()) << back.error().message();
  EXPECT_EQ(encode(*back), row);
  EXPECT_EQ(back->master_key, b.master_key);
  EXPECT_TRUE(back->contains(id("urn:dev:os:32473-1000")));
  EXPECT_FALSE(back->contains(id("urn:dev:os:32473-2000")));
  for (std::size_t n = 0; n < row.size(); ++n)
    EXPECT_FALSE(decode_batch_record(row.expose().first(n)).has_value()) << n;
}

TEST(batch_record, has_a_plain_name_and_ranges_that_do_not_overlap) {
  const std::vector<std::string> good{"a", "7", "headset-2026-07", "A.b_c", std::string(64, 'x')};
  const std::vector<std::string> bad{
      "", ".", "..", "-a", "_a", "a/b", "a b", "\xc3\xa9", std::string(65, 'x')};
  for (const auto& name : good) EXPECT_TRUE(is_batch_id(name)) << name;
  for (const auto& name : bad) EXPECT_FALSE(is_batch_id(name)) << name;
  EXPECT_EQ(parse_ranges({}).error().code, errc::config_range);
  EXPECT_EQ(parse_ranges({"urn:dev:mac:0024be*", "urn:dev:mac:0024bef*"}).error().code, errc::config_range);
  std::vector<std::string> many;
  for (std::size_t i = 0; i < batch_ranges_max; ++i)
    many.push_back("urn:dev:os:" + std::to_string(1000 + i) + "-*");
  EXPECT_TRUE(parse_ranges(many).has_value());
  many.emplace_back("urn:dev:os:1-*");
  EXPECT_EQ(parse_ranges(many).error().code, errc::config_range);
}

TEST(evidence, of_a_device_known_by_its_batch_is_required_whatever_the_settings_say) {
  harness w;
  w.settings.require_presence = false;
  w.imported->always_require_presence = true;
  w.restart();
  headset imposter{w.device.entity.text()};
  imposter.temporary_key = w.random.draw_secret<32>();
  const auto refused =
      w.send(make_request(w.alice, w.device, assignment_reason::first, imposter.answer(w.gw, w.nonce(w.gw))));
  ASSERT_TRUE(std::holds_alternative<refusal>(refused));
  EXPECT_EQ(std::get<refusal>(refused).status, link_status::presence_failed);
  EXPECT_EQ(w.writes, 0);
  EXPECT_TRUE(std::holds_alternative<assigned_keys>(w.send(w.ask(assignment_reason::first))));
}

}  // namespace
}  // namespace cpns::testing_people
