#pragma once
// What an administrator does with a running server: users, devices, entities, gateways.
//
// The server goes on assigning keys meanwhile. So lists read bounded pages, changes go through the group committer like
// those of the assignments, and an entity changes only through its own actor, which has the row in memory.

#include <boost/json/object.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "server/admin_pages.hpp"
#include "server/batch_book.hpp"
#include "server/context.hpp"
#include "server/other_gateways.hpp"
#include "server/store_admin.hpp"

namespace cpns::server {

/// A gateway as a request names it.
struct gateway_name {
  gateway_id gw;
  std::string uri;  ///< empty if it was named by its gw
  /// By parse_gateway: config_usage if it is neither.
  static result<gateway_name> parse(const std::string& text);
};

/// [thread-safe]. Calls block until the change is durable, at most `change_time` (peer_timeout: whether it was made is not
/// known), and as long before for earlier changes of the same table (state_overloaded: nothing was changed). Not for
/// threads of actors.
class administration {
 public:
  static constexpr seconds change_time_default{10};
  /// Entities that one call of release_held_by releases at most.
  static constexpr std::size_t released_max = 256;

  /// `role` outlives the object.
  explicit administration(role_context& role, milliseconds change_time = change_time_default)
      : role_(role), change_time_(change_time) {}
  administration(const administration&) = delete;
  administration& operator=(const administration&) = delete;

  [[nodiscard]] const storage::sealed_store& store() const { return role_.store; }
  /// For lists: drops stale index rows, and waits for nothing.
  [[nodiscard]] stale_row_sink drop_stale() const;

  /// As the functions of store_admin.hpp. Requests that arrive after the call use the new row.
  status add_user(const user_id& user, const secret_bytes& password);
  status change_password(const user_id& user, const secret_bytes& password);
  status remove_user(const user_id& user);
  status add_device(const protocol::device_secret_record& device);
  status remove_device(const entity_id& entity);
  status block_device(const entity_id& entity);

  [[nodiscard]] const batch_book& batches() const { return *role_.batches; }
  /// As the functions of batch_book.hpp, with a fresh master key. Requests that arrive after the call use it.
  status add_batch(const std::string& batch, const std::vector<std::string>& ids);
  status remove_batch(const std::string& batch);
  /// Temporary Keys of devices of a batch, as batch_list(). state_unknown; errors of devices_between().
  result<secret_bytes> export_batch(const std::string& batch, const std::string& from, const std::string& to,
                                    std::uint64_t most) const;

  /// Takes the entity from its holder, after the requests for it that are in work. state_unknown if it has none.
  result<released_entity> release(const entity_id& entity);
  /// Takes the entities of one page from the gateway, unless they have another holder by then. `change_time` is for the
  /// whole page.
  struct release_page {
    std::vector<released_entity> released;
    storage::page_end next;  ///< nullopt: no further entity has to be looked at
  };
  /// After an error a part of the page may be released; call it again.
  result<release_page> release_held_by(const gateway_id& gw, const std::string& after);

  /// state_unknown if it never connected and was never blocked.
  result<boost::json::object> gateway(const gateway_id& gw) const;
  result<boost::json::object> gateways(const page_asked& asked, const gateway_filter& filter) const;
  /// From the return on each of its requests is answered `gateway_blocked`, also on open connections. A gateway that
  /// never connected can be blocked, too.
  status block(const gateway_name& who);
  /// Serves it again, and closes its connections, so that it asks again at once. state_unknown as of gateway().
  status unblock(const gateway_name& who);
  /// Lets the gateway `identity` connect by this key. Errors of gateway_book::add_key; config_usage if it is not an
  /// identity.
  status add_key(const std::string& identity, const crypto::psk_key& key);
  /// Takes its key away; its connections end within a second. state_unknown if it has none.
  status remove_key(const std::string& identity);
  struct disconnected {
    std::size_t closed = 0;                  ///< connections, at all servers
    std::vector<std::string> unconfirmed{};  ///< names of other servers that live and did not confirm in time
  };
  /// Closes its connections at all servers; it may connect again. state_unknown as of gateway(); errors of
  /// gateway_orders::close, after its connections at this server are closed.
  result<disconnected> disconnect(const gateway_name& who);

 private:
  /// Makes the batch durable; `then` is called with the outcome before that is known to this thread, on any thread.
  status write(storage::sealed_batch batch, storage::commit_done then = {});
  /// Makes a change of a table, which `make` reads first, in a turn; `then` as of write().
  status change(change_turns& of, const std::function<status(const durable_write&)>& make,
                storage::commit_done then = {});
  status change_user_row(const user_id& user, const std::function<status(const durable_write&)>& make);
  using release_outcome = std::future<result<released_entity>>;
  release_outcome begin_release(const entity_id& entity, const std::optional<gateway_id>& only_from);
  result<released_entity> end_release(release_outcome outcome, steady::time_point until);
  void add_connections(const gateway_id& gw, const std::vector<gateway_place>& elsewhere,
                       boost::json::object& to) const;
  [[nodiscard]] result<std::shared_ptr<const other_gateways::places>> elsewhere() const;
  status set_blocked(const gateway_name& who, std::int64_t since);

  role_context& role_;
  const milliseconds change_time_;
  const std::shared_ptr<change_turns> user_turns_ = change_turns::make();
  const std::shared_ptr<change_turns> batch_turns_ = change_turns::make();
};

/// {"entity", "holder": {"gw", "uri", "since"}}
boost::json::object view_of(const released_entity& r);

}  // namespace cpns::server
