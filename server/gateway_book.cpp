#include "server/gateway_book.hpp"

#include <map>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/log.hpp"
#include "server/store_admin.hpp"

namespace cpns::server {

struct gateway_book::shared {
  struct pending {
    protocol::gateway_record row;
    std::uint64_t change = 0;
  };
  mutable std::mutex guard;
  std::uint64_t changes = 0;
  std::unordered_map<gateway_id, pending> on_its_way;  ///< submitted, not yet durable
  std::unordered_set<gateway_id> blocked;
  std::map<std::string, crypto::psk_entry, std::less<>> keys;  ///< by identity
  std::uint64_t key_numbers = 0, keys_removed = 0;
  /// While the rows are read again: those that became durable meanwhile, which the reader may have seen or not.
  std::optional<std::unordered_set<gateway_id>> written;

  /// Follows a durable row. With the guard held. crypto_weak: the key cannot be used, and nothing is known of it.
  status follow(const protocol::gateway_record& r) {
    if (r.blocked_since != 0)
      blocked.insert(r.gw);
    else
      blocked.erase(r.gw);
    const auto at = keys.find(r.uri);
    std::optional<crypto::psk_key> key;
    if (r.psk) {
      CPNS_TRY(key, crypto::psk_key::from(*r.psk));
    }
    if (at != keys.end()) {
      if (key && at->second.key == *key) return {};
      keys.erase(at);
      ++keys_removed;
    }
    if (key) keys.emplace(r.uri, crypto::psk_entry{std::move(*key), ++key_numbers});
    return {};
  }

  /// Follows the row that became durable, or was refused.
  void finished(const protocol::gateway_record& r, std::uint64_t change, bool is_durable) {
    const std::lock_guard lock{guard};
    if (const auto at = on_its_way.find(r.gw); at != on_its_way.end() && at->second.change == change)
      on_its_way.erase(at);
    if (!is_durable) return;
    if (written) written->insert(r.gw);
    if (const auto followed = follow(r); !followed)
      log::error("server", "row-unreadable", followed.error().message());
  }
};

tl::unexpected<error> unknown_gateway(const gateway_id& gw) {
  return fail(errc::state_unknown, "the gateway " + gw.hex() + ": it never connected and was never blocked");
}

tl::unexpected<error> unknown_key(const std::string& identity) {
  return fail(errc::state_unknown, "the gateway " + identity + ": it has no pre-shared key");
}

gateway_book::gateway_book(const storage::sealed_store& store, commit_fn commit)
    : store_(store), commit_(std::move(commit)), shared_(std::make_shared<shared>()) {}

status gateway_book::load() {
  status damaged;
  CPNS_CHECK(store_.scan(storage::table::gateways, {}, [&](byte_view, const secret_bytes& value) {
    const auto r = protocol::decode_gateway_record(value.expose());
    if (!r) {
      damaged = fail(r.error());
      return false;
    }
    const std::lock_guard lock{shared_->guard};
    damaged = shared_->follow(*r);
    return damaged.has_value();
  }));
  return damaged;
}

result<gateway_book::differences> gateway_book::reload() {
  {
    const std::lock_guard lock{shared_->guard};
    shared_->written.emplace();
  }
  std::unordered_map<gateway_id, protocol::gateway_record> rows;
  const auto damaged = [](const error& e) { log::error("server", "row-unreadable", e.message()); };
  const auto read = store_.scan(
      storage::table::gateways, {},
      [&](byte_view, const secret_bytes& value) {
        auto r = protocol::decode_gateway_record(value.expose());
        if (r)
          rows.emplace(r->gw, std::move(*r));
        else
          damaged(r.error());
        return true;
      },
      damaged);
  const std::lock_guard lock{shared_->guard};
  const auto known = std::exchange(shared_->written, std::nullopt);
  if (!read) return fail(read.error());
  differences out;
  for (const auto& [gw, row] : rows) {
    if (known->contains(gw)) continue;
    const bool is_blocked = row.blocked_since != 0;
    if (shared_->blocked.contains(gw) != is_blocked) (is_blocked ? out.blocked : out.served).push_back(gw);
    if (const auto followed = shared_->follow(row); !followed) damaged(followed.error());
  }
  return out;
}

bool gateway_book::blocked(const gateway_id& gw) const {
  const std::lock_guard lock{shared_->guard};
  return shared_->blocked.contains(gw);
}

std::size_t gateway_book::blocked_count() const {
  const std::lock_guard lock{shared_->guard};
  return shared_->blocked.size();
}

result<bool> gateway_book::blocked_for_good(const gateway_id& gw) const {
  {
    const std::lock_guard lock{shared_->guard};
    if (shared_->on_its_way.contains(gw) || !shared_->blocked.contains(gw)) return false;
  }
  CPNS_TRY(const auto row, find(gw));
  return row && row->blocked_since != 0;
}

result<std::optional<protocol::gateway_record>> gateway_book::find(const gateway_id& gw) const {
  return find_gateway(store_, gw);
}

result<std::optional<protocol::gateway_record>> gateway_book::newest(const gateway_id& gw) const {
  {
    const std::lock_guard lock{shared_->guard};
    if (const auto at = shared_->on_its_way.find(gw); at != shared_->on_its_way.end())
      return std::optional{at->second.row};
  }
  return find(gw);
}

void gateway_book::connected(time_point now, const peer_info& peer) {
  const std::lock_guard in_order{order_};
  auto known = newest(peer.gw);
  if (!known)
    return log::warn("server", "gateway-not-noted", known.error().message(), {{"gateway", peer.uri}});
  const auto t = unix_seconds(now);
  auto r = known->value_or(protocol::gateway_record{});
  if (*known && r.uri == peer.uri && t >= r.last_connected && t - r.last_connected < note_interval.count())
    return;
  r.gw = peer.gw;
  r.uri = peer.uri;
  r.address = peer.address;
  r.last_connected = t;
  if (r.first_connected == 0) r.first_connected = t;
  write(r, [uri = peer.uri](const status& done) {
    if (!done) log::warn("server", "gateway-not-noted", done.error().message(), {{"gateway", uri}});
  });
}

void gateway_book::set_blocked(const gateway_id& gw, const std::string& uri, std::int64_t since,
                               storage::commit_done done) {
  const std::lock_guard in_order{order_};
  auto known = newest(gw);
  if (!known) return done(fail(known.error()));
  if (since == 0 && !*known) return done(unknown_gateway(gw));
  auto r = known->value_or(protocol::gateway_record{});
  r.gw = gw;
  if (r.uri.empty()) r.uri = uri;
  if (since == 0 || r.blocked_since == 0) r.blocked_since = since;
  write(r, std::move(done));
}

status gateway_book::may_add(const std::string& identity, const crypto::psk_key& key) const {
  const std::lock_guard lock{shared_->guard};
  if (shared_->keys.size() + shared_->on_its_way.size() >= keys_max)
    return fail(errc::state_exhausted, "the server has keys of " + std::to_string(shared_->keys.size()) +
                                           " gateways; remove those that are not in use");
  // RFC 9257: two gateways with one key could each speak for the other.
  const auto same = [&](byte_view other) { return equal_constant_time(other, key.expose()); };
  for (const auto& [other, entry] : shared_->keys)
    if (other != identity && same(entry.key.expose()))
      return fail(errc::state_conflict, "another gateway has this key; draw a new one for " + identity);
  for (const auto& [gw, pending] : shared_->on_its_way)
    if (pending.row.uri != identity && pending.row.psk && same(pending.row.psk->expose()))
      return fail(errc::state_conflict, "another gateway has this key; draw a new one for " + identity);
  return {};
}

void gateway_book::add_key(const std::string& identity, const crypto::psk_key& key, std::int64_t since,
                           storage::commit_done done) {
  const std::lock_guard in_order{order_};
  const auto gw = crypto::derive_gateway_id(crypto::openssl_suite(), crypto::gateway_kind::psk, identity);
  auto known = newest(gw);
  if (!known) return done(fail(known.error()));
  auto r = known->value_or(protocol::gateway_record{});
  if (r.psk)
    return done(fail(errc::state_exists, "the key of " + identity + "; remove it first to give it another"));
  if (const auto may = may_add(identity, key); !may) return done(may);
  r.gw = gw;
  r.uri = identity;
  r.psk = secret_bytes{key.expose()};
  r.psk_since = since;
  write(r, std::move(done));
}

void gateway_book::remove_key(const std::string& identity, storage::commit_done done) {
  const std::lock_guard in_order{order_};
  auto known =
      newest(crypto::derive_gateway_id(crypto::openssl_suite(), crypto::gateway_kind::psk, identity));
  if (!known) return done(fail(known.error()));
  if (!*known || !(*known)->psk) return done(unknown_key(identity));
  auto r = std::move(**known);
  r.psk.reset();
  r.psk_since = 0;
  write(r, std::move(done));
}

crypto::psk_lookup gateway_book::keys() const {
  return [in = shared_](std::string_view identity) -> std::optional<crypto::psk_entry> {
    const std::lock_guard lock{in->guard};
    const auto at = in->keys.find(identity);
    if (at == in->keys.end()) return std::nullopt;
    return at->second;
  };
}

std::uint64_t gateway_book::keys_removed() const {
  const std::lock_guard lock{shared_->guard};
  return shared_->keys_removed;
}

void gateway_book::write(const protocol::gateway_record& r, storage::commit_done done) {
  std::uint64_t change = 0;
  {
    const std::lock_guard lock{shared_->guard};
    change = ++shared_->changes;
    shared_->on_its_way[r.gw] = {r, change};
  }
  storage::sealed_batch batch;
  batch.push_back({storage::table::gateways, gateway_row(r.gw), protocol::encode(r)});
  commit_(std::move(batch), [to = shared_, r, change, done = std::move(done)](const status& written) {
    to->finished(r, change, written.has_value());
    done(written);
  });
}

}  // namespace cpns::server
