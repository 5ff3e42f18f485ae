#pragma once
// Users, devices, entities and gateways as JSON, as the API shows them: never a key or a password. Lists come in pages,
// which read a bounded slice of the store and hold no lock.

#include <boost/json/object.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "protocol/server/records.hpp"
#include "server/index_rows.hpp"
#include "storage/sealed_store.hpp"

namespace cpns::server {

/// Rows that one page reads at most: with a filter it may have fewer rows than asked for, even none, and a next page.
inline constexpr std::size_t page_rows_read_max = 1024;

struct page_asked {
  std::size_t limit = 100;  ///< rows in the answer
  std::string after{};      ///< `next` of the page before; empty: the first page
};

boost::json::object view_of(const protocol::user_record& r);
boost::json::object view_of(const protocol::device_secret_record& r);
/// Without `sets` and `answered`, which `details` adds: ids and counts of keys.
boost::json::object view_of(const protocol::entity_record& r, bool details);
/// Without what is known of its connections. `blocked`: whether its requests are refused.
boost::json::object view_of(const protocol::gateway_record& r, bool blocked);

struct user_filter {
  std::string prefix{};  ///< of the User ID; empty: all
};
struct device_filter {
  std::string prefix{};  ///< of the Entity ID
  std::optional<user_id> owner{};
  std::string batch{};  ///< empty: all
};
struct entity_filter {
  std::string prefix{};
  std::optional<user_id> owner{};
  std::optional<gateway_id> holder{};
  bool held = false;  ///< only those that a gateway holds
};

/// `connected` has open connections; `known` is neither blocked nor connected. A blocked one is `blocked`, connected or not.
enum class gateway_state : std::uint8_t { connected, known, blocked };
/// nullopt: no state has this name.
std::optional<gateway_state> gateway_state_named(std::string_view name);
struct gateway_filter {
  std::string prefix{};  ///< of the SAN URI
  std::optional<gateway_state> state{};
};

/// What only a running server knows of a gateway. Empty functions: a stopped one, whose rows say all.
struct live_gateways {
  std::function<bool(const gateway_id&)> blocked{};  ///< its requests are refused
  std::function<bool(const gateway_id&)> connected{};
  std::function<void(const gateway_id&, boost::json::object&)> connections{};  ///< adds them to the view
};

// {"users": [...], "next": TEXT or null, "unreadable": N}. A row that cannot be decrypted or decoded is counted, logged
// and left out. config_range if `after` is not the end of a page; errors of the store.
result<boost::json::object> users_page(const storage::sealed_store& store, const page_asked& asked,
                                       const user_filter& filter);
// With an owner, a batch or a holder: a range of index rows, once they are complete; `drop` takes stale ones. A list that
// began before that goes on as a scan of the table.
result<boost::json::object> devices_page(const storage::sealed_store& store, const page_asked& asked,
                                         const device_filter& filter, const stale_row_sink& drop = {});
result<boost::json::object> entities_page(const storage::sealed_store& store, const page_asked& asked,
                                          const entity_filter& filter, const stale_row_sink& drop = {});
result<boost::json::object> gateways_page(const storage::sealed_store& store, const page_asked& asked,
                                          const gateway_filter& filter, const live_gateways& live);

struct held_page {
  std::vector<protocol::entity_record> held;
  storage::page_end next;
};
/// At most `asked.limit` entities that a gateway holds. Rows that cannot be read are logged and left out.
result<held_page> held_entities_page(const storage::sealed_store& store, const page_asked& asked,
                                     const gateway_id& holder, const stale_row_sink& drop = {});

}  // namespace cpns::server
