#pragma once
// The gateways that the server knows, which of them are blocked, and the pre-shared keys of those without a certificate.
//
// A block has to hold after a restart, and it is asked for with every request; a key is asked for in every handshake, in
// a thread that must not wait for the disk: so the rows are in the store, and the blocked ones and the keys in memory.
// Connections, operators and other servers change the same rows at the same time: the changes of one gateway are made one
// after the other, each from the row in the store, and again if another server was faster. No caller waits for a read.

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
#include "storage/group_read.hpp"

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
  using read_fn = std::function<void(std::vector<storage::row_name>, storage::read_done)>;

  /// Keys in memory at most.
  static constexpr std::size_t keys_max = 65'536;

  /// `store` outlives the book; `commit` makes rows durable, `read` reads them; both may call back later than that, and
  /// are not called after the end of the book. Without `read`, the calling thread reads.
  gateway_book(const storage::sealed_store& store, commit_fn commit, read_fn read = {});
  /// Changes that are not submitted to the store yet fail with state_stopping.
  ~gateway_book();
  gateway_book(const gateway_book&) = delete;
  gateway_book& operator=(const gateway_book&) = delete;

  /// Reads which gateways are blocked; before the first connection. Errors of the store, and of a damaged row: a block
  /// that cannot be read must not be lifted by that.
  status load();
  struct differences {
    std::vector<gateway_id> blocked, served;  ///< which were not, before the call
  };
  /// Reads them again after the store was opened again: a write that failed may have turned up. A row that cannot be read
  /// lifts no block, and is logged. One call at a time. Errors of the store: nothing changed.
  result<differences> reload();
  /// Whether other servers changed blocks or keys after load() or reload() by what `version` says, that of
  /// changes_row(changes_of::gateways).
  [[nodiscard]] bool behind(std::uint64_t version) const;
  /// Whether requests of this gateway are refused.
  [[nodiscard]] bool blocked(const gateway_id& gw) const;
  [[nodiscard]] std::size_t blocked_count() const;
  /// Whether it is refused, and stays so after a restart. Errors of find().
  [[nodiscard]] result<bool> blocked_for_good(const gateway_id& gw) const;
  /// Notes a connection, in the background.
  void connected(time_point now, const peer_info& peer);
  /// Blocks the gateway from `since` (Unix seconds; the time of an earlier block stays), or serves it again (0). Takes
  /// effect when it is durable, before `done` is called on any thread; it must not block. `uri` may be empty.
  /// state_unknown: there is nothing to serve again, because it never connected and was never blocked. state_conflict:
  /// other servers changed the gateway at the same time, again and again.
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
  struct change;
  struct shared;
  /// The row from the present one; nullopt: it stays. Called again after a lost race.
  using decision = std::function<result<std::optional<protocol::gateway_record>>(
      const std::optional<protocol::gateway_record>& known)>;
  void change_row(const gateway_id& gw, decision decide, storage::commit_done done);

  std::shared_ptr<shared> shared_;  ///< completions may come after the book
};

}  // namespace cpns::server
