#include "server/index_build.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/log.hpp"
#include "server/index_rows.hpp"

namespace cpns::server {
namespace {

using steady = std::chrono::steady_clock;

constexpr std::size_t indexed_at_once = 256;
constexpr milliseconds pause_max{50};
constexpr milliseconds pause_of_trouble = seconds{1};
constexpr seconds report_every{10};

/// Decodes a row of `t` and adds its index rows.
status add_of(storage::table t, const secret_bytes& value, storage::sealed_batch& to) {
  if (t == storage::table::devices) {
    CPNS_TRY(const auto device, protocol::decode_device_secret_record(value.expose()));
    add_index_rows(to, device);
    return {};
  }
  CPNS_TRY(const auto entity, protocol::decode_entity_record(value.expose()));
  add_index_rows(to, entity);
  return {};
}

}  // namespace

index_build::index_build(const storage::sealed_store& store, durable_write write)
    : store_(store), write_(std::move(write)) {
  const auto complete = index_complete(store_);
  if (complete && *complete) return;
  work_.start([this] { run(); });
}

void index_build::run() {
  for (const auto t : {storage::table::entities, storage::table::devices})
    if (!go_through(t)) return;
  storage::sealed_batch done;
  done.push_back(index_complete_op());
  while (!write_(done))
    if (!work_.pause(pause_of_trouble)) return;
  if (looked_at_ > 0)
    report("every row is in its lists; lists of an owner, a holder or a batch are fast from now on");
}

bool index_build::go_through(storage::table t) {
  storage::page_end after{std::string{}};
  while (after) {
    const auto begun = steady::now();
    const auto done = add_page(t, after);
    if (!done && !(done.error() == errc::state_overloaded))
      log::warn("server", "index-build-waits", "lists scan their table until the store can be written",
                {{"why", done.error().message()}});
    const auto took = std::chrono::duration_cast<milliseconds>(steady::now() - begun);
    if (!work_.pause(done ? std::min(took, pause_max) : pause_of_trouble)) return false;
    if (steady::now() - reported_ >= report_every)
      report("lists scan their table until every row is in its lists");
  }
  return true;
}

status index_build::add_page(storage::table t, storage::page_end& after) {
  storage::sealed_batch batch;
  std::size_t seen = 0, unreadable = 0;
  const auto damaged = [&unreadable, t](const error& e) {
    ++unreadable;
    log::warn("server", "row-unreadable", e.message(), {{"table", std::string{name_of(t)}}});
  };
  CPNS_TRY(auto next, store_.page(
                          t, *after, indexed_at_once,
                          [&](byte_view, const secret_bytes& value) {
                            ++seen;
                            if (const auto added = add_of(t, value, batch); !added) damaged(added.error());
                            return true;
                          },
                          damaged));
  if (!batch.empty()) CPNS_CHECK(write_(std::move(batch)));
  after = std::move(next);
  looked_at_ += seen;
  unreadable_ += unreadable;
  return {};
}

void index_build::report(const char* text) {
  reported_ = steady::now();
  log::info("server", "index-build", text,
            {{"rows", std::to_string(looked_at_)}, {"unreadable", std::to_string(unreadable_)}});
}

}  // namespace cpns::server
