#include "server/gateway_book.hpp"

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
  /// While the rows are read again: those that became durable meanwhile, which the reader may have seen or not.
  std::optional<std::unordered_set<gateway_id>> written;

  /// Follows the row that became durable, or was refused.
  void finished(const protocol::gateway_record& r, std::uint64_t change, bool is_durable) {
    const std::lock_guard lock{guard};
    if (const auto at = on_its_way.find(r.gw); at != on_its_way.end() && at->second.change == change)
      on_its_way.erase(at);
    if (!is_durable) return;
    if (written) written->insert(r.gw);
    if (r.blocked_since != 0)
      blocked.insert(r.gw);
    else
      blocked.erase(r.gw);
  }
};

tl::unexpected<error> unknown_gateway(const gateway_id& gw) {
  return fail(errc::state_unknown, "the gateway " + gw.hex() + ": it never connected and was never blocked");
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
    if (r->blocked_since != 0) shared_->blocked.insert(r->gw);
    return true;
  }));
  return damaged;
}

result<gateway_book::differences> gateway_book::reload() {
  {
    const std::lock_guard lock{shared_->guard};
    shared_->written.emplace();
  }
  std::unordered_map<gateway_id, bool> rows;
  const auto damaged = [](const error& e) { log::error("server", "row-unreadable", e.message()); };
  const auto read = store_.scan(
      storage::table::gateways, {},
      [&](byte_view, const secret_bytes& value) {
        const auto r = protocol::decode_gateway_record(value.expose());
        if (r)
          rows.emplace(r->gw, r->blocked_since != 0);
        else
          damaged(r.error());
        return true;
      },
      damaged);
  const std::lock_guard lock{shared_->guard};
  const auto known = std::exchange(shared_->written, std::nullopt);
  if (!read) return fail(read.error());
  differences out;
  for (const auto& [gw, is_blocked] : rows) {
    if (known->contains(gw) || shared_->blocked.contains(gw) == is_blocked) continue;
    if (is_blocked)
      shared_->blocked.insert(gw);
    else
      shared_->blocked.erase(gw);
    (is_blocked ? out.blocked : out.served).push_back(gw);
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
