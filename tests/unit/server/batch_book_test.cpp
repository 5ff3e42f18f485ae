// The batch of an Entity ID, the keys of its devices, and batches of a running server.
#include "server/batch_book.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <thread>

#include "server/administration.hpp"
#include "server/device_rows.hpp"
#include "server/temporary_key_sources.hpp"
#include "tests/support/key_file.hpp"
#include "tests/unit/server/role_harness.hpp"

namespace cpns::server_tests {
namespace {

using server::batch_book;

struct batch_rows {
  seeded_entropy random{3};
  storage::memory_store memory;
  storage::faulty_store faulty{memory};
  std::unique_ptr<storage::key_protector> protector = test::key_file_protector(random);
  std::unique_ptr<storage::sealed_store> sealed =
      storage::sealed_store::open(faulty, *protector, random).value();
  batch_book book{*sealed};

  protocol::batch_record made(const std::string& name, const std::vector<std::string>& ids) {
    return server::make_batch(random, name, ids, time_point{seconds{1'800'000'000}}).value();
  }
  status add(const std::string& name, const std::vector<std::string>& ids) {
    const auto batch = made(name, ids);
    CPNS_CHECK(server::add_batch(*sealed, book, server::write_to(*sealed), batch));
    book.put(std::make_shared<const protocol::batch_record>(batch));
    return {};
  }
  [[nodiscard]] std::string of(std::string_view entity) const {
    const auto b = book.of(entity_id::parse(entity).value());
    return b ? b->batch : std::string{};
  }
};

entity_id named(const std::string& text) { return entity_id::parse(text).value(); }

TEST(batch_book, finds_the_one_batch_of_an_entity_among_many) {
  batch_rows r;
  for (int i = 0; i < 50; ++i) {
    const auto n = std::to_string(1000 + i);
    ASSERT_TRUE(r.add("p" + n, {"urn:dev:os:" + n + "-a*", "urn:dev:os:" + n + "-c*"}));
    ASSERT_TRUE(r.add("r" + n, {"urn:dev:os:" + n + "-100..urn:dev:os:" + n + "-199",
                                "urn:dev:os:" + n + "-300..urn:dev:os:" + n + "-399"}));
  }
  for (auto* again : {&r.book}) {
    EXPECT_EQ(again->size(), 100U);
    for (int i = 0; i < 50; ++i) {
      const auto n = std::to_string(1000 + i);
      EXPECT_EQ(r.of("urn:dev:os:" + n + "-a7"), "p" + n);
      EXPECT_EQ(r.of("urn:dev:os:" + n + "-cc"), "p" + n);
      EXPECT_EQ(r.of("urn:dev:os:" + n + "-100"), "r" + n);
      EXPECT_EQ(r.of("urn:dev:os:" + n + "-399"), "r" + n);
      for (const std::string none : {"b1", "200", "299", "099", "400", "1000", "a"})
        EXPECT_EQ(r.of("urn:dev:os:" + n + "-" + none), "") << none;
    }
    ASSERT_TRUE(again->load());  // and the same from the rows
  }
  EXPECT_EQ(r.of("urn:dev:os:1049-399"), "r1049");
  r.book.erase("r1049");
  EXPECT_EQ(r.of("urn:dev:os:1049-399"), "");
  EXPECT_EQ(r.of("urn:dev:os:1049-a1"), "p1049");
}

TEST(batch_book, refuses_a_name_twice_and_an_entity_in_two_batches) {
  batch_rows r;
  ASSERT_TRUE(r.add("lot7", {"urn:dev:mac:0024be*"}));
  EXPECT_EQ(r.add("lot7", {"urn:dev:mac:0024bf*"}).error().code, errc::state_exists);
  const auto overlap =
      r.add("lot8", {"urn:dev:mac:0024bf*", "urn:dev:mac:0024be000000..urn:dev:mac:0024be000001"});
  EXPECT_EQ(overlap.error().code, errc::state_conflict);
  EXPECT_NE(overlap.error().detail.find("'urn:dev:mac:0024be*' of the batch lot7"), std::string::npos);
  EXPECT_TRUE(r.add("lot8", {"urn:dev:mac:0024bf*"}));
}

TEST(batch_book, is_bounded_and_finds_the_last_overlap_in_a_full_book) {
  batch_rows r;
  const auto full = [&](const std::string& scheme, std::size_t batches) {
    for (std::size_t i = 0; i < batches; ++i) {
      std::vector<std::string> ids;
      for (std::size_t k = 0; k < protocol::batch_ranges_max; ++k)
        ids.push_back(scheme + std::to_string(100'000 + i) + "-" + std::to_string(10 + k) + "*");
      r.book.put(std::make_shared<const protocol::batch_record>(r.made("b" + std::to_string(i), ids)));
    }
  };
  full("urn:dev:os:", batch_book::batches_max - 1);
  EXPECT_TRUE(r.book.accepts(r.made("new", {"urn:dev:os:109999-*"})));
  EXPECT_EQ(r.book.accepts(r.made("new", {"urn:dev:os:1-*", "urn:dev:os:109998-25x*"})).error().code,
            errc::state_conflict);
  EXPECT_EQ(r.of("urn:dev:os:109998-25x"), "b9998");
  ASSERT_TRUE(r.add("last", {"urn:dev:os:1-*"}));
  EXPECT_EQ(r.add("more", {"urn:dev:os:2-*"}).error().code, errc::state_conflict);
}

TEST(batch_book, lists_by_name_in_pages) {
  batch_rows r;
  for (const std::string name : {"b", "a2", "a1", "c", "a3"})
    ASSERT_TRUE(r.add(name, {"urn:dev:os:" + std::to_string(1 + name[0] * 10 + name.back()) + "-*"}));
  auto page = server::batches_page(r.book, {2, ""}, "");
  EXPECT_EQ(boost::json::serialize(page.at("next")), "\"a2\"");
  EXPECT_EQ(page.at("batches").as_array().size(), 2U);
  page = server::batches_page(r.book, {2, "a2"}, "a");
  EXPECT_TRUE(page.at("next").is_null());
  ASSERT_EQ(page.at("batches").as_array().size(), 1U);
  EXPECT_EQ(page.at("batches").at(0).at("batch"), "a3");
  EXPECT_EQ(server::batches_page(r.book, {2, "a1"}, "c").at("batches").as_array().size(), 1U);
  EXPECT_EQ(server::batches_page(r.book, {2, "c"}, "").at("batches").as_array().size(), 0U);
}

TEST(batch_book, goes_on_without_a_row_that_cannot_be_read_and_keeps_its_key) {
  captured_log log;
  batch_rows r;
  ASSERT_TRUE(r.add("lot7", {"urn:dev:mac:0024be*"}));
  ASSERT_TRUE(r.sealed->write(
      {{storage::table::batches, to_bytes(as_bytes("lot8")), secret_bytes::from_text("junk")}}));
  ASSERT_TRUE(r.book.load());
  EXPECT_EQ(r.book.size(), 1U);
  EXPECT_EQ(r.book.unreadable(), 1U);
  EXPECT_EQ(r.add("lot8", {"urn:dev:mac:0024bf*"}).error().code, errc::state_exists);
}

TEST(temporary_key_sources, ask_the_row_of_the_device_first_and_never_replace_an_error) {
  batch_rows r;
  ASSERT_TRUE(r.add("lot7", {"urn:dev:os:32473-*"}));
  server::temporary_key_table table;
  server::temporary_key_sources sources{table, r.book, suite()};
  const auto find = [&](const entity_id& e) {
    return sources.find(e, r.sealed->read_one(storage::table::devices, as_bytes(e.text())));
  };
  const headset h{"urn:dev:os:32473-1"};
  const auto derived = find(h.entity).value();
  ASSERT_TRUE(derived.has_value());
  EXPECT_TRUE(derived->always_require_presence);
  EXPECT_EQ(derived->batch, "lot7");
  EXPECT_FALSE(find(named("urn:dev:os:32474-1")).value().has_value());

  ASSERT_TRUE(server::add_device(*r.sealed, server::write_to(*r.sealed), h.imported()));
  const auto imported = find(h.entity).value();
  EXPECT_EQ(imported->temporary_key, h.temporary_key);
  EXPECT_NE(imported->temporary_key, derived->temporary_key);
  EXPECT_FALSE(imported->always_require_presence);

  r.faulty.fail_reads(errc::store_unavailable);
  EXPECT_FALSE(find(h.entity).has_value()) << "the batch must not stand in for a row that cannot be read";
  r.faulty.repair();
  ASSERT_TRUE(r.sealed->write(
      {{storage::table::devices, to_bytes(as_bytes(h.entity.text())), secret_bytes::from_text("junk")}}));
  EXPECT_FALSE(find(h.entity).has_value());
}

TEST(batch_list, is_a_list_that_an_import_reads_with_the_same_keys) {
  batch_rows r;
  const auto batch = r.made("lot7", {"urn:dev:mac:0024be*"});
  auto devices =
      server::devices_between(batch, "urn:dev:mac:0024be0000fe", "urn:dev:mac:0024be000101", 10).value();
  const auto lines = server::batch_list(suite(), batch, devices);
  const auto text = std::string{server::batch_list_head} + std::string{as_text(lines.expose())};
  std::size_t at = 0;
  const auto rows = server::read_device_rows(
      [&](std::span<std::uint8_t> to) -> result<std::size_t> {
        const auto n = std::min(to.size(), text.size() - at);
        std::copy_n(text.begin() + static_cast<std::ptrdiff_t>(at), n, to.begin());
        at += n;
        return n;
      },
      "list");
  ASSERT_TRUE(rows.has_value()) << rows.error().message();
  EXPECT_TRUE(rows->bad.empty());
  ASSERT_EQ(rows->good.size(), 4U);
  for (const auto& row : rows->good) {
    EXPECT_EQ(row.temporary_key.size(), 16U);
    EXPECT_EQ(server::kept_key(suite(), row), server::device_of(suite(), batch, row.entity).temporary_key);
  }
}

TEST(batch_list, is_bounded_and_within_one_range) {
  batch_rows r;
  const auto batch = r.made("lot7", {"urn:dev:os:1-1*", "urn:dev:os:1-2*"});
  const auto code = [&](const std::string& from, const std::string& to) {
    const auto d = server::devices_between(batch, "urn:dev:os:1-" + from, "urn:dev:os:1-" + to, 10);
    return d ? errc{} : d.error().code;
  };
  EXPECT_EQ(code("100", "109"), errc{});
  EXPECT_EQ(code("100", "110"), errc::config_range) << "11 devices";
  EXPECT_EQ(code("195", "204"), errc::config_range) << "two ranges";
  EXPECT_EQ(code("300", "301"), errc::config_range) << "another batch";
  EXPECT_EQ(code("101", "100"), errc::wire_grammar);
}

/// A device whose factory got its key by an export.
headset made_device(server::administration& admin, const std::string& batch, const std::string& entity) {
  const auto line = admin.export_batch(batch, entity, entity, 1).value();
  headset h{entity};
  const auto text = as_text(line.expose());
  const auto digits = text.substr(text.find("hex:") + 4, 32);
  h.temporary_key = crypto::derive_temporary_key(suite(), h.entity, from_hex(digits).value());
  return h;
}

TEST(batches_of_a_role, key_their_devices_from_their_addition_to_their_removal) {
  role_harness p;
  auto g = p.connect();
  auto& admin = p.role->admin();
  headset before{"urn:dev:os:32473-7001"};
  EXPECT_EQ(status_of(g->ask(p.assignment(*g, before, p.alice))), link_status::unknown_entity);
  ASSERT_TRUE(admin.add_batch("lot7", {"urn:dev:os:32473-7000..urn:dev:os:32473-7999"}));
  auto h = made_device(admin, "lot7", "urn:dev:os:32473-7001");
  EXPECT_EQ(status_of(g->ask(p.assignment(*g, before, p.alice))), link_status::presence_failed);
  EXPECT_EQ(status_of(g->ask(p.assignment(*g, h, p.alice))), link_status::ok);
  headset outside{"urn:dev:os:32473-8000"};
  EXPECT_EQ(status_of(g->ask(p.assignment(*g, outside, p.alice))), link_status::unknown_entity);

  g.reset();
  p.kill_and_restart();
  g = p.connect();
  auto& later = p.role->admin();
  auto next = made_device(later, "lot7", "urn:dev:os:32473-7002");
  EXPECT_EQ(status_of(g->ask(p.assignment(*g, next, p.alice))), link_status::ok);
  ASSERT_TRUE(later.remove_batch("lot7"));
  auto last = h;
  EXPECT_EQ(status_of(g->ask(p.assignment(*g, last, p.alice, assignment_reason::recover))),
            link_status::unknown_entity);
  EXPECT_EQ(later.remove_batch("lot7").error().code, errc::state_unknown);
  EXPECT_EQ(later.export_batch("lot7", "urn:dev:os:32473-7001", "urn:dev:os:32473-7001", 1).error().code,
            errc::state_unknown);
}

TEST(batches_of_a_role, give_way_to_the_row_of_a_device) {
  role_harness p;
  auto g = p.connect();
  auto& admin = p.role->admin();
  ASSERT_TRUE(admin.add_batch("lot7", {"urn:dev:os:32473-7000..urn:dev:os:32473-7999"}));
  auto h = made_device(admin, "lot7", "urn:dev:os:32473-7001");
  headset other_key{"urn:dev:os:32473-7001"};
  ASSERT_TRUE(admin.add_device(other_key.imported()));
  EXPECT_EQ(status_of(g->ask(p.assignment(*g, h, p.alice))), link_status::presence_failed);
  EXPECT_EQ(status_of(g->ask(p.assignment(*g, other_key, p.alice))), link_status::ok);
}

TEST(batches_of_a_role, give_no_key_to_a_device_that_is_blocked) {
  role_harness p;
  auto g = p.connect();
  auto& admin = p.role->admin();
  ASSERT_TRUE(admin.add_batch("lot7", {"urn:dev:os:32473-7000..urn:dev:os:32473-7999"}));
  auto h = made_device(admin, "lot7", "urn:dev:os:32473-7001");
  ASSERT_TRUE(admin.block_device(h.entity));
  EXPECT_EQ(status_of(g->ask(p.assignment(*g, h, p.alice))), link_status::unknown_entity);
  ASSERT_TRUE(admin.remove_device(h.entity));
  EXPECT_EQ(status_of(g->ask(p.assignment(*g, h, p.alice))), link_status::ok);
  ASSERT_TRUE(admin.block_device(p.device.entity)) << "an imported one";
  EXPECT_EQ(status_of(g->ask(p.assignment(*g, p.device, p.alice))), link_status::unknown_entity);
}

TEST(batches_of_a_role, that_the_store_refuses_are_an_error_and_change_nothing) {
  role_harness p;
  auto& admin = p.role->admin();
  p.faulty.fail_writes(errc::store_full);
  EXPECT_EQ(admin.add_batch("lot7", {"urn:dev:os:32473-*"}).error().code, errc::store_full);
  EXPECT_EQ(admin.batches().size(), 0U);
  p.faulty.repair();
  ASSERT_TRUE(admin.add_batch("lot7", {"urn:dev:os:32473-7*"}));
  EXPECT_EQ(admin.batches().size(), 1U);
  EXPECT_EQ(admin.add_batch("a/b", {"urn:dev:os:32473-8*"}).error().code, errc::config_range);
}

TEST(batches_of_a_role, that_turn_up_when_the_store_is_opened_again_count_within_seconds) {
  role_harness p;
  auto& admin = p.role->admin();
  p.faulty.fail_write(p.faulty.writes() + 1, storage::fault_point::turns_up_later);
  EXPECT_FALSE(admin.add_batch("lot7", {"urn:dev:os:32473-7*"}));
  EXPECT_EQ(admin.batches().size(), 0U);
  p.faulty.repair();
  while (admin.batches().size() == 0) std::this_thread::yield();
  EXPECT_EQ(admin.batches().size(), 1U);
}

}  // namespace
}  // namespace cpns::server_tests
