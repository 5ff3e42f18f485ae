#include "server/other_servers.hpp"

#include <future>
#include <memory>
#include <utility>

#include "base/log.hpp"
#include "server/gateway_orders.hpp"
#include "server/shared_changes.hpp"

namespace cpns::server {

other_servers::other_servers(role_context& role, reopened_store& reopened, presence_writer own,
                             milliseconds interval)
    : role_(role), reopened_(reopened), own_gateways_(std::move(own)), interval_(interval),
      batches_checked_(role.batches->seen()), hints_(role.store.listen([this] {
        const std::lock_guard lock{guard_};
        hinted_ = true;
        wake_.notify_one();
      })),
      thread_([this] { run(); }) {}

other_servers::~other_servers() {
  hints_.reset();
  {
    const std::lock_guard lock{guard_};
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void other_servers::run() {
  std::unique_lock lock{guard_};
  while (true) {
    wake_.wait_for(lock, interval_, [this] { return stopping_ || hinted_; });
    const bool hinted = std::exchange(hinted_, false);
    if (stopping_) return;
    lock.unlock();
    // No row of changes stands for users: one of them may be the change.
    if (hinted) role_.users.forget_all();
    reopened_.look();
    own_gateways_.look();
    const auto done = look();
    if (!done && !std::exchange(failed_, true))
      log::error("server", "changes-not-read",
                 "changes of other servers are not seen until the store can be read: " +
                     done.error().message());
    if (done && std::exchange(failed_, false))
      log::info("server", "changes-read", "changes of other servers are seen again");
    lock.lock();
    if (hinted) wake_.wait_for(lock, hint_pause, [this] { return stopping_; });
  }
}

status other_servers::look() {
  // As a request reads: rows of a database that is not the primary any more do not count.
  const auto found = std::make_shared<std::promise<storage::rows_found>>();
  role_.read({changes_row(changes_of::gateways), changes_row(changes_of::batches), orders_row()},
             [found](storage::rows_found rows) { found->set_value(std::move(rows)); });
  const auto rows = found->get_future().get();
  for (const auto& row : rows)
    if (!row) return fail(row.error());
  if (role_.known_gateways.behind(rows[0]->version))
    CPNS_CHECK(read_gateways_again(role_, {"an operator blocked a gateway at another server",
                                           "an operator unblocked a gateway at another server"}));
  if (role_.batches->behind(rows[1]->version)) CPNS_CHECK(role_.batches->reload());
  if (role_.orders->behind(rows[2]->version)) CPNS_CHECK(role_.orders->obey());
  // A change by an administrator of this server may have read them again, too.
  const auto seen = role_.batches->seen();
  if (std::exchange(batches_checked_, seen) != seen) warn_of_overlaps();
  return {};
}

/// A server without the service in its file lets such a batch in; here it is refused only at a start.
void other_servers::warn_of_overlaps() const {
  const auto* services = role_.temporary_keys.services();
  if (services == nullptr) return;
  if (const auto good = services->accepts(*role_.batches); !good)
    log::error("server", "batch-overlaps-service",
               "another server added a batch that this one would refuse, and its keys are used: " +
                   good.error().detail);
}

}  // namespace cpns::server
