#include "server/import_lease.hpp"

#include <utility>

#include "base/cbor.hpp"
#include "base/log.hpp"

namespace cpns::server {
namespace {

constexpr std::uint64_t schema = 1;
constexpr std::size_t id_size = 16;
constexpr std::size_t name_max = 256;

storage::row_name lease_row() { return {storage::table::meta, to_bytes(as_bytes("imports lease"))}; }

}  // namespace

import_lease::import_lease(const storage::sealed_store& store, durable_write write, entropy& random,
                           std::string server, times t, steady_fn now)
    : store_(store), write_(std::move(write)), me_{to_bytes(random.draw<id_size>()), std::move(server)},
      times_(t), now_(std::move(now)), held_(!store.shared()) {}

secret_bytes import_lease::encode(const holder& h) {
  return secret_bytes{cbor::writer().array(3).uint(schema).bstr(h.id).tstr(h.server).take()};
}

result<import_lease::holder> import_lease::decode(const storage::sealed_value& row) {
  holder out;
  if (!row.value) return out;
  cbor::reader r{row.value->expose()};
  CPNS_CHECK(r.array_of("imports lease", 3));
  CPNS_TRY(const auto found, r.uint("schema of the imports lease"));
  if (found != schema)
    return fail(errc::store_damaged, "another version of the server has the imports of the store");
  CPNS_TRY(const auto id, r.bstr("holder of the imports", 0, id_size));
  out.id = to_bytes(id);
  CPNS_TRY(const auto name, r.tstr("server of the imports", 0, name_max));
  out.server = std::string{name};
  CPNS_CHECK(r.end("imports lease"));
  return out;
}

/// Reads the row. True: it has another version than before.
result<bool> import_lease::observe() {
  const auto name = lease_row();
  CPNS_TRY(const auto row, store_.read_one(name.table, name.row));
  CPNS_TRY(auto found, decode(row));
  const bool first = changed_ == std::chrono::steady_clock::time_point{};
  if (!first && row.version == version_) return false;
  version_ = row.version;
  seen_ = std::move(found);
  changed_ = now_();
  return true;
}

bool import_lease::may_take() const {
  return seen_.id.empty() || seen_.id == me_.id || now_() - changed_ >= times_.lapse;
}

tl::unexpected<error> import_lease::elsewhere() const {
  return fail(errc::state_conflict,
              "the server " + seen_.server +
                  " works on the imports of this store; send the request there, or wait until "
                  "they have ended");
}

bool import_lease::available() const {
  const std::lock_guard lock{guard_};
  return held_ || (changed_ != std::chrono::steady_clock::time_point{} && may_take());
}

status import_lease::take() {
  const std::lock_guard lock{guard_};
  if (held_) return {};
  CPNS_TRY(const bool changed, observe());
  static_cast<void>(changed);
  if (!may_take()) return elsewhere();
  const bool lapsed = !seen_.id.empty();
  const auto before = seen_.server;
  const auto done = write_as(me_, {});
  if (!done && done.error() == errc::store_conflict) {
    CPNS_TRY(const bool again, observe());
    static_cast<void>(again);
    return elsewhere();
  }
  CPNS_CHECK(done);
  held_ = true;
  if (lapsed)
    log::warn("server", "imports-taken-over",
              "the server that worked on the imports does not answer any more", {{"before", before}});
  return {};
}

/// The row gets its next version with the batch.
status import_lease::write_as(const holder& h, storage::sealed_batch batch) {
  auto name = lease_row();
  batch.push_back({name.table, std::move(name.row), encode(h), version_});
  CPNS_CHECK(write_(std::move(batch)));
  ++version_;
  seen_ = h;
  changed_ = now_();
  return {};
}

status import_lease::write(storage::sealed_batch batch) {
  if (!store_.shared()) return write_(std::move(batch));
  const std::lock_guard lock{guard_};
  if (!held_) return elsewhere();
  auto done = write_as(me_, std::move(batch));
  if (done || !(done.error() == errc::store_conflict)) return done;
  CPNS_TRY(const bool moved, observe());
  if (!moved) return done;
  if (seen_.id == me_.id)
    return fail(errc::store_write_failed,
                "an earlier write of an import, which had failed, turned up in the store");
  held_ = false;
  log::warn("server", "imports-lost", "another server works on the imports by now",
            {{"server", seen_.server}});
  return elsewhere();
}

result<bool> import_lease::look() {
  if (!store_.shared()) return false;
  {
    const std::lock_guard lock{guard_};
    if (!held_) return observe();
    if (now_() - changed_ < times_.renew) return false;
  }
  CPNS_CHECK(write({}));
  return false;
}

void import_lease::release() {
  if (!store_.shared()) return;
  const std::lock_guard lock{guard_};
  if (!held_.exchange(false)) return;
  if (const auto done = write_as({}, {}); !done)
    log::info("server", "imports-not-released", done.error().message());
}

}  // namespace cpns::server
