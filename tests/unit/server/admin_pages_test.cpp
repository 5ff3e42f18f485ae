// Users, devices and entities as the API shows them: filters, bounds, damage; and never a key.
#include <boost/json.hpp>
#include <gtest/gtest.h>

#include "server/admin_pages.hpp"
#include "server/store_admin.hpp"
#include "tests/support/sealed_memory.hpp"
#include "tests/unit/server_machine/people.hpp"

namespace cpns::server_tests {
namespace {

using namespace testing_people;
using storage::table;

struct pages_harness : test::sealed_memory {
  pages_harness() : sealed_memory(3) {}
  entity_record entity(int i) {
    entity_record r;
    r.entity = entity_id::parse("urn:dev:os:1-" + std::to_string(i)).value();
    put(table::entities, r.entity.text(), encode(r));
    return r;
  }
};

std::size_t rows_of(const boost::json::object& page, const char* member) {
  return page.at(member).as_array().size();
}

TEST(admin_pages, end_after_a_bounded_number_of_rows_that_do_not_fit) {
  pages_harness p;
  constexpr std::size_t count = server::page_rows_read_max + 50;
  storage::sealed_batch all;
  for (std::size_t i = 0; i < count; ++i) {
    entity_record r;
    r.entity = entity_id::parse("urn:dev:os:1-" + std::to_string(i)).value();
    if (i == 7) r.holder = gateway_id{};
    all.push_back({table::entities, to_bytes(as_bytes(r.entity.text())), encode(r)});
  }
  ASSERT_TRUE(p.store->write(all));
  server::entity_filter filter;
  filter.held = true;
  const auto first = server::entities_page(*p.store, {}, filter).value();
  ASSERT_TRUE(first.at("next").is_string()) << "the page ends, although rows are missing";
  const auto second =
      server::entities_page(*p.store, {100, first.at("next").as_string().c_str()}, filter).value();
  EXPECT_TRUE(second.at("next").is_null());
  EXPECT_EQ(rows_of(first, "entities") + rows_of(second, "entities"), 1u);
}

TEST(admin_pages, filter_by_prefix_owner_holder_and_batch) {
  pages_harness p;
  const auto alice = user_id::parse("alice").value(), bob = user_id::parse("bob").value();
  for (int i = 0; i < 30; ++i) {
    auto r = p.entity(i);
    r.owner = i % 2 == 0 ? alice : bob;
    if (i % 3 == 0) r.holder = gateway_named("urn:cpns:gw:hall");
    p.put(table::entities, r.entity.text(), encode(r));
    device_secret_record d;
    d.entity = r.entity;
    d.batch = i < 10 ? "lot1" : "lot2";
    if (i == 4) d.owner = alice;
    p.put(table::devices, d.entity.text(), encode(d));
  }
  const auto entities = [&](server::entity_filter f) {
    return rows_of(server::entities_page(*p.store, {}, f).value(), "entities");
  };
  EXPECT_EQ(entities({}), 30u);
  EXPECT_EQ(entities({.prefix = "urn:dev:os:1-2"}), 11u);
  EXPECT_EQ(entities({.owner = alice}), 15u);
  EXPECT_EQ(entities({.holder = gateway_named("urn:cpns:gw:hall")}), 10u);
  EXPECT_EQ(entities({.holder = gateway_named("urn:cpns:gw:other")}), 0u);
  EXPECT_EQ(entities({.held = true}), 10u);
  const auto devices = [&](server::device_filter f) {
    return rows_of(server::devices_page(*p.store, {}, f).value(), "devices");
  };
  EXPECT_EQ(devices({.batch = "lot1"}), 10u);
  EXPECT_EQ(devices({.owner = alice}), 1u);
  EXPECT_EQ(devices({.prefix = "urn:dev:os:1-29"}), 1u);
}

TEST(admin_pages, leave_out_and_count_rows_that_cannot_be_read) {
  pages_harness p;
  for (int i = 0; i < 5; ++i) p.entity(i);
  p.put(table::entities, "urn:dev:os:1-3", secret_bytes::from_text("not a record"));
  auto rows = p.memory.slice(table::entities, {}, 1).value();
  rows[0].value.back() ^= 1;
  p.memory.put_back(table::entities, rows[0].row, storage::stored_value{rows[0].version, rows[0].value});
  const auto page = server::entities_page(*p.store, {}, {}).value();
  EXPECT_EQ(rows_of(page, "entities") + page.at("unreadable").as_uint64(), 5u);
  EXPECT_GE(page.at("unreadable").as_uint64(), 1u);
}

TEST(admin_pages, show_counts_of_keys_and_no_key) {
  entity_record r;
  r.entity = entity_id::parse("urn:dev:os:1-1").value();
  eukey_set s;
  s.generation = 4;
  s.first_index = 2;
  s.next_index = 5;
  for (int i = 0; i < 3; ++i) s.eukeys.emplace_back(byte_array<32>{0xab, 0xcd, 0xef});
  r.sets.push_back(s);
  const auto view = server::view_of(r, true);
  EXPECT_EQ(view.at("sets").at(0).at("keys").as_uint64(), 3u);
  EXPECT_EQ(boost::json::serialize(view).find("abcdef"), std::string::npos);
  EXPECT_FALSE(server::view_of(r, false).contains("sets"));
}

TEST(gateway_record, is_read_as_it_was_written_and_refused_if_it_is_cut) {
  gateway_record g;
  g.gw = gateway_named("urn:cpns:gw:hall");
  g.uri = "urn:cpns:gw:hall";
  g.address = "192.0.2.7:4711";
  g.first_connected = 1'800'000'000;
  g.last_connected = 1'800'003'600;
  g.blocked_since = 1'800'007'200;
  const auto written = encode(g);
  const auto read = decode_gateway_record(written.expose());
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(read->gw, g.gw);
  EXPECT_EQ(read->uri, g.uri);
  EXPECT_EQ(read->address, g.address);
  EXPECT_EQ(read->first_connected, g.first_connected);
  EXPECT_EQ(read->last_connected, g.last_connected);
  EXPECT_EQ(read->blocked_since, g.blocked_since);
  for (std::size_t n = 0; n < written.size(); ++n)
    EXPECT_FALSE(decode_gateway_record(written.expose().first(n))) << n;
  EXPECT_EQ(server::view_of(g, true).at("kind"), "x509");
  EXPECT_TRUE(server::view_of(g, true).at("key_since").is_null());
}

TEST(gateway_record, with_a_key_is_read_as_it_was_written_and_never_shows_the_key) {
  gateway_record g;
  g.gw = gateway_named("urn:cpns:gw:hall");
  g.uri = "urn:cpns:psk:hall";
  const auto without = encode(g);
  g.psk = secret_bytes{bytes(64, 0xab)};
  g.psk_since = 1'800'000'000;
  const auto written = encode(g);
  const auto read = decode_gateway_record(written.expose());
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(read->psk, g.psk);
  EXPECT_EQ(read->psk_since, g.psk_since);
  for (std::size_t n = 0; n < written.size(); ++n)
    EXPECT_FALSE(decode_gateway_record(written.expose().first(n))) << n;
  EXPECT_EQ(decode_gateway_record(without.expose())->psk, std::nullopt);
  EXPECT_EQ(without.expose()[0], 0x87) << "older servers read rows without a key";
  const auto view = server::view_of(g, false);
  EXPECT_EQ(view.at("kind"), "psk");
  EXPECT_EQ(view.at("key_since"), "2027-01-15T08:00:00.000Z");
  EXPECT_EQ(boost::json::serialize(view).find("abab"), std::string::npos);
  g.psk = secret_bytes{bytes(65, 1)};
  EXPECT_FALSE(decode_gateway_record(encode(g).expose()));
}

}  // namespace
}  // namespace cpns::server_tests
