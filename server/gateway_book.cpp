#include "server/gateway_book.hpp"

#include <deque>
#include <map>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/log.hpp"
#include "server/shared_changes.hpp"
#include "server/store_admin.hpp"

namespace cpns::server {
namespace {

/// For a thread that may wait for the store.
gateway_book::read_fn read_here(const storage::sealed_store& store) {
  return [&store](const std::vector<storage::row_name>& names, const storage::read_done& done) {
    done(store.read(names));
  };
}

}  // namespace

/// A change of the row of one gateway.
struct gateway_book::change {
  gateway_id gw;
  decision decide;
  storage::commit_done done;
  bool is_note = false;  ///< of a connection: no other server has to know
  int lost = 0;          ///< races
};

struct gateway_book::shared : std::enable_shared_from_this<shared> {
  const storage::sealed_store& store;
  const commit_fn commit;
  const read_fn read;
  // Held while a change is decided and submitted, so that the next one knows of it. Rows may be read and written on the
  // calling thread, so a change may be finished while it is begun.
  mutable std::recursive_mutex order;
  bool ended = false;  ///< the book is gone, and the functions above with it
  std::unordered_map<gateway_id, std::deque<change>> changes;           ///< the first one is in work
  std::unordered_map<gateway_id, protocol::gateway_record> on_its_way;  ///< submitted, not yet durable

  mutable std::mutex guard;  ///< of all below
  std::unordered_set<gateway_id> blocked;
  std::map<std::string, crypto::psk_entry, std::less<>> keys;  ///< by identity
  std::uint64_t key_numbers = 0, keys_removed = 0;
  std::uint64_t seen = 0;  ///< changes of all servers, of which the members above know
  /// While the rows are read again: those that became durable meanwhile, which the reader may have seen or not.
  std::optional<std::unordered_set<gateway_id>> written;

  shared(const storage::sealed_store& s, commit_fn c, read_fn r)
      : store(s), commit(std::move(c)), read(std::move(r)) {}

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

  void follow_durable(const protocol::gateway_record& r) {
    const std::lock_guard lock{guard};
    if (written) written->insert(r.gw);
    if (const auto followed = follow(r); !followed)
      log::error("server", "row-unreadable", followed.error().message());
  }

  // The steps of a change, from the first to the last.

  void submit(change c) {
    const std::lock_guard in_order{order};
    if (ended) return c.done(stopping());
    auto& queue = changes[c.gw];
    // A gateway that connects again and again while the store is slow.
    if (c.is_note && queue.size() > 1 && queue.back().is_note) queue.pop_back();
    const auto gw = c.gw;
    queue.push_back(std::move(c));
    if (queue.size() == 1) begin(gw);
  }
  void begin(const gateway_id& gw) {
    if (ended) return finish(gw, stopping());
    read({{storage::table::gateways, gateway_row(gw)}},
         [me = shared_from_this(), gw](const storage::rows_found& rows) { me->decide(gw, rows.front()); });
  }
  void decide(const gateway_id& gw, const result<storage::sealed_value>& row) {
    const std::lock_guard in_order{order};
    if (!row) return finish(gw, fail(row.error()));
    auto known = record_in(*row);
    if (!known) return finish(gw, fail(known.error()));
    const auto& c = changes.at(gw).front();
    auto next = c.decide(*known);
    if (!next) return finish(gw, fail(next.error()));
    if (!*next) return finish(gw, {});
    if (ended) return finish(gw, stopping());
    const auto& r = on_its_way.insert_or_assign(gw, std::move(**next)).first->second;
    storage::sealed_batch batch{
        {storage::table::gateways, gateway_row(gw), protocol::encode(r), row->version}};
    if (!c.is_note) tell_change(store, batch, changes_of::gateways);
    commit(std::move(batch), [me = shared_from_this(), gw](const status& done) { me->committed(gw, done); });
  }
  void committed(const gateway_id& gw, const status& done) {
    const std::lock_guard in_order{order};
    const auto r = std::move(on_its_way.extract(gw).mapped());
    if (done) follow_durable(r);
    if (done || !(done.error() == errc::store_conflict)) return finish(gw, done);
    // Another server was faster.
    if (++changes.at(gw).front().lost < lost_races_max) return begin(gw);
    finish(gw, fail(errc::state_conflict,
                    "other servers changed the gateway " + gw.hex() + " at the same time; try again"));
  }
  void finish(const gateway_id& gw, const status& done) {
    auto& queue = changes.at(gw);
    const auto c = std::move(queue.front());
    queue.pop_front();
    const bool more = !queue.empty();
    if (!more) changes.erase(gw);
    c.done(done);
    if (more) begin(gw);
  }

  [[nodiscard]] status may_add(const std::string& identity, const crypto::psk_key& key) const;
  static result<std::optional<protocol::gateway_record>> record_in(const storage::sealed_value& row) {
    if (!row.value) return std::optional<protocol::gateway_record>{};
    CPNS_TRY(auto record, protocol::decode_gateway_record(row.value->expose()));
    return std::optional{std::move(record)};
  }
  static tl::unexpected<error> stopping() { return fail(errc::state_stopping, "the server is about to end"); }
};

tl::unexpected<error> unknown_gateway(const gateway_id& gw) {
  return fail(errc::state_unknown, "the gateway " + gw.hex() + ": it never connected and was never blocked");
}

tl::unexpected<error> unknown_key(const std::string& identity) {
  return fail(errc::state_unknown, "the gateway " + identity + ": it has no pre-shared key");
}

gateway_book::gateway_book(const storage::sealed_store& store, commit_fn commit, read_fn read)
    : shared_(std::make_shared<shared>(store, std::move(commit), read ? std::move(read) : read_here(store))) {
}

gateway_book::~gateway_book() {
  const std::lock_guard in_order{shared_->order};
  shared_->ended = true;
}

status gateway_book::load() {
  CPNS_TRY(const auto seen, changes_seen(shared_->store, changes_of::gateways));
  status damaged;
  CPNS_CHECK(shared_->store.scan(storage::table::gateways, {}, [&](byte_view, const secret_bytes& value) {
    const auto r = protocol::decode_gateway_record(value.expose());
    if (!r) {
      damaged = fail(r.error());
      return false;
    }
    const std::lock_guard lock{shared_->guard};
    damaged = shared_->follow(*r);
    return damaged.has_value();
  }));
  const std::lock_guard lock{shared_->guard};
  shared_->seen = seen;
  return damaged;
}

bool gateway_book::behind(std::uint64_t version) const {
  const std::lock_guard lock{shared_->guard};
  return shared_->seen != version;
}

result<gateway_book::differences> gateway_book::reload() {
  // Changes that come while the rows are read may be missing, and have a later version.
  CPNS_TRY(const auto seen, changes_seen(shared_->store, changes_of::gateways));
  {
    const std::lock_guard lock{shared_->guard};
    shared_->written.emplace();
  }
  std::unordered_map<gateway_id, protocol::gateway_record> rows;
  const auto damaged = [](const error& e) { log::error("server", "row-unreadable", e.message()); };
  const auto read = shared_->store.scan(
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
  shared_->seen = seen;
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
    const std::lock_guard in_order{shared_->order};
    if (shared_->changes.contains(gw) || !blocked(gw)) return false;
  }
  CPNS_TRY(const auto row, find(gw));
  return row && row->blocked_since != 0;
}

result<std::optional<protocol::gateway_record>> gateway_book::find(const gateway_id& gw) const {
  return find_gateway(shared_->store, gw);
}

void gateway_book::change_row(const gateway_id& gw, decision decide, storage::commit_done done) {
  shared_->submit({gw, std::move(decide), std::move(done)});
}

void gateway_book::connected(time_point now, const peer_info& peer) {
  const auto note = [peer, t = unix_seconds(now)](const std::optional<protocol::gateway_record>& known)
      -> result<std::optional<protocol::gateway_record>> {
    auto r = known.value_or(protocol::gateway_record{});
    if (known && r.uri == peer.uri && t >= r.last_connected && t - r.last_connected < note_interval.count())
      return std::nullopt;
    r.gw = peer.gw;
    r.uri = peer.uri;
    r.address = peer.address;
    r.last_connected = t;
    if (r.first_connected == 0) r.first_connected = t;
    return r;
  };
  shared_->submit(
      {.gw = peer.gw,
       .decide = note,
       .done =
           [uri = peer.uri](const status& done) {
             if (!done) log::warn("server", "gateway-not-noted", done.error().message(), {{"gateway", uri}});
           },
       .is_note = true});
}

void gateway_book::set_blocked(const gateway_id& gw, const std::string& uri, std::int64_t since,
                               storage::commit_done done) {
  change_row(
      gw,
      [gw, uri, since](const std::optional<protocol::gateway_record>& known)
          -> result<std::optional<protocol::gateway_record>> {
        if (since == 0 && !known) return unknown_gateway(gw);
        auto r = known.value_or(protocol::gateway_record{});
        r.gw = gw;
        if (r.uri.empty()) r.uri = uri;
        if (since == 0 || r.blocked_since == 0) r.blocked_since = since;
        return r;
      },
      std::move(done));
}

status gateway_book::shared::may_add(const std::string& identity, const crypto::psk_key& key) const {
  const std::lock_guard lock{guard};
  if (keys.size() + on_its_way.size() >= keys_max)
    return fail(errc::state_exhausted, "the server has keys of " + std::to_string(keys.size()) +
                                           " gateways; remove those that are not in use");
  // RFC 9257: two gateways with one key could each speak for the other.
  const auto same = [&](byte_view other) { return equal_constant_time(other, key.expose()); };
  for (const auto& [other, entry] : keys)
    if (other != identity && same(entry.key.expose()))
      return fail(errc::state_conflict, "another gateway has this key; draw a new one for " + identity);
  for (const auto& [gw, row] : on_its_way)
    if (row.uri != identity && row.psk && same(row.psk->expose()))
      return fail(errc::state_conflict, "another gateway has this key; draw a new one for " + identity);
  return {};
}

void gateway_book::add_key(const std::string& identity, const crypto::psk_key& key, std::int64_t since,
                           storage::commit_done done) {
  const auto gw = crypto::derive_gateway_id(crypto::openssl_suite(), crypto::gateway_kind::psk, identity);
  change_row(
      gw,
      // Decided within the object.
      [in = shared_.get(), gw, identity, key, since](const std::optional<protocol::gateway_record>& known)
          -> result<std::optional<protocol::gateway_record>> {
        auto r = known.value_or(protocol::gateway_record{});
        if (r.psk)
          return fail(errc::state_exists, "the key of " + identity + "; remove it first to give it another");
        CPNS_CHECK(in->may_add(identity, key));
        r.gw = gw;
        r.uri = identity;
        r.psk = secret_bytes{key.expose()};
        r.psk_since = since;
        return r;
      },
      std::move(done));
}

void gateway_book::remove_key(const std::string& identity, storage::commit_done done) {
  change_row(
      crypto::derive_gateway_id(crypto::openssl_suite(), crypto::gateway_kind::psk, identity),
      [identity](const std::optional<protocol::gateway_record>& known)
          -> result<std::optional<protocol::gateway_record>> {
        if (!known || !known->psk) return unknown_key(identity);
        auto r = *known;
        r.psk.reset();
        r.psk_since = 0;
        return r;
      },
      std::move(done));
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

}  // namespace cpns::server
