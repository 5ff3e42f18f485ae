#pragma once
// A store with entities and devices, and their lists as an administrator reads them.

#include <boost/json.hpp>
#include <set>

#include "server/admin_pages.hpp"
#include "tests/support/engines.hpp"
#include "tests/support/key_file.hpp"
#include "tests/unit/server/role_harness.hpp"

namespace cpns::server_tests {

using storage::table;

inline const gateway_id hall_gw = gateway_named("urn:cpns:gw:hall"),
                        attic_gw = gateway_named("urn:cpns:gw:attic");

struct lists_harness {
  explicit lists_harness(test::engine e = test::engine::memory)
      : under(test::open_engine(e, folder / "store")) {}
  seeded_entropy random{5};
  test::temporary_folder folder;
  std::unique_ptr<storage::store> under;
  storage::faulty_store faulty{*under};
  std::unique_ptr<storage::key_protector> protector = test::key_file_protector(random);
  std::unique_ptr<storage::sealed_store> store =
      storage::sealed_store::open(faulty, *protector, random).value();
  std::vector<storage::sealed_batch> drops;
  const user_id alice = user_id::parse("alice").value(), bob = user_id::parse("bob").value();

  static entity_record entity(int i, const user_id& owner, const std::optional<gateway_id>& holder) {
    entity_record r;
    r.entity = device_number(i).entity;
    r.owner = owner;
    r.holder = holder;
    return r;
  }
  /// As an assignment writes it.
  void assign(const entity_record& r) {
    const auto row = store->read_one(table::entities, as_bytes(r.entity.text())).value();
    storage::sealed_batch b;
    b.push_back({table::entities, to_bytes(as_bytes(r.entity.text())), encode(r), row.version});
    const auto before =
        row.value ? protocol::decode_entity_record(row.value->expose()).value() : entity_record{};
    server::add_index_rows(b, r, before);
    ASSERT_TRUE(store->write(b));
  }
  /// As an older server wrote it.
  void write_alone(table t, const entity_id& entity, secret_bytes value) {
    ASSERT_TRUE(store->write({{t, to_bytes(as_bytes(entity.text())), std::move(value)}}));
  }
  void complete() { ASSERT_TRUE(store->write({server::index_complete_op()})); }
  std::size_t index_rows() { return under->slice(table::indexes, {}, 100'000).value().size(); }
  server::stale_row_sink sink() {
    return [this](storage::sealed_batch b) { drops.push_back(std::move(b)); };
  }
  /// All pages; each with at most `limit` rows, and no row twice.
  std::set<std::string> entities(const server::entity_filter& filter, std::size_t limit = 100) {
    return all("entities", limit, [&](const server::page_asked& asked) {
      return server::entities_page(*store, asked, filter, sink());
    });
  }
  std::set<std::string> devices(const server::device_filter& filter) {
    return all("devices", 100, [&](const server::page_asked& asked) {
      return server::devices_page(*store, asked, filter, sink());
    });
  }
  template <class Read>
  std::set<std::string> all(const char* member, std::size_t limit, const Read& read) {
    std::set<std::string> out;
    server::page_asked asked{limit, {}};
    pages = 0;
    do {
      const auto page = read(asked);
      if (!page) {
        ADD_FAILURE() << page.error().message();
        break;
      }
      ++pages;
      EXPECT_LE(page->at(member).as_array().size(), limit);
      for (const auto& one : page->at(member).as_array())
        EXPECT_TRUE(out.emplace(one.at("entity").as_string().c_str()).second);
      const auto& next = page->at("next");
      asked.after = next.is_null() ? std::string{} : std::string{next.as_string().c_str()};
    } while (!asked.after.empty());
    return out;
  }
  std::size_t pages = 0;
};

}  // namespace cpns::server_tests
