#pragma once
// The gateways that the server knows, which of them are blocked, and the pre-shared keys of those without a certificate.
//
// A block has to hold after a restart, and it is asked for with every request; a key is asked for in every handshake, in
// a thread that must not wait for the disk: so the rows are in the store, and the blocked ones and the keys in memory.
// Connections and operators change the same rows at the same time: each change is made from the newest row, also from one
// that is on its way to the disk. Readers see durable rows only.

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/clock.hpp"
#include "crypto/tls_psk.hpp"
#include "protocol/server/records.hpp"
#include "server/link.hpp"
#include "storage/group_commit.hpp"

namespace cpns::server {

/// state_unknown: it never connected and was never blocked.
tl::unexpected<error> unknown_gateway(const gateway_id& gw);
/// state_unknown: it has no pre-shared key.
tl::unexpected<error> unknown_key(const std::string& identity);

/// [thread-safe]
class gateway_book {
 public:
  /// Between two notes of the last connection of a gateway, so that a gateway that reconnects often costs no writes.
  static constexpr seconds note_interval = std::chrono::hours{1};
  using commit_fn = std::function<void(storage::sealed_batch, storage::commit_done)>;

  /// Keys in memory at most.
  static constexpr std::size_t keys_max = 65'536;

  /// `store` outlives the book; `commit` makes rows durable and may call back later than that.
  gateway_book(const storage::sealed_store& store, commit_fn commit);

  /// Reads which gateways are blocked; before the first connection. Errors of the store, and of a damaged row: a block
  /// that cannot be read must not be lifted by that.
  status load();
  struct differences {
    std::vector<gateway_id> blocked, served;  ///< which were not, before the call
  };
  /// Reads them again after the store was opened again: a write that failed may have turned up. A row that cannot be read
  /// lifts no block, and is logged. One call at a time. Errors of the store: nothing changed.
  result<differences> reload();
  /// Whether requests of this gateway are refused.
  [[nodiscard]] bool blocked(const gateway_id& gw) const;
  [[nodiscard]] std::size_t blocked_count() const;
  /// Whether it is refused, and stays so after a restart. Errors of find().
  [[nodiscard]] result<bool> blocked_for_good(const gateway_id& gw) const;
  /// Notes a connection, in the background.
  void connected(time_point now, const peer_info& peer);
  /// Blocks the gateway from `since` (Unix seconds; the time of an earlier block stays), or serves it again (0). Takes
  /// effect when it is durable, before `done` is called, as by group_committer::submit. `uri` may be empty. state_unknown:
  /// there is nothing to serve again, because it never connected and was never blocked.
  void set_blocked(const gateway_id& gw, const std::string& uri, std::int64_t since,
                   storage::commit_done done);
  /// Lets the gateway `identity` connect by this key from `since` on (Unix seconds). Takes effect when it is durable,
  /// before `done` is called. state_exists: it has a key. state_conflict: another gateway has this key. state_exhausted:
  /// there are keys_max keys.
  void add_key(const std::string& identity, const crypto::psk_key& key, std::int64_t since,
               storage::commit_done done);
  /// Takes the key away; the gateway stays known. state_unknown: it has none.
  void remove_key(const std::string& identity, storage::commit_done done);
  /// The keys that are durable, for TLS handshakes; may outlive the book. An entry's number is another one for each key
  /// that was ever in its place.
  [[nodiscard]] crypto::psk_lookup keys() const;
  /// Grows whenever a key is removed: then the server looks at its open connections.
  [[nodiscard]] std::uint64_t keys_removed() const;
  /// The durable row. nullopt: it never connected and was never blocked.
  [[nodiscard]] result<std::optional<protocol::gateway_record>> find(const gateway_id& gw) const;

 private:
  struct shared;
  /// Also a row that is on its way; for a change that goes on from it. Call it with order_ held.
  [[nodiscard]] result<std::optional<protocol::gateway_record>> newest(const gateway_id& gw) const;
  void write(const protocol::gateway_record& r, storage::commit_done done);
  [[nodiscard]] status may_add(const std::string& identity, const crypto::psk_key& key) const;

  const storage::sealed_store& store_;
  const commit_fn commit_;
  std::mutex order_;  ///< held from reading a row to submitting it: submissions have the order of the changes
  std::shared_ptr<shared> shared_;  ///< completions may come after the book
};

}  // namespace cpns::server
