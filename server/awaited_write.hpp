#pragma once
// A thread that waits for the committer.

#include <functional>
#include <future>
#include <memory>
#include <optional>

#include "base/clock.hpp"
#include "storage/group_commit.hpp"

namespace cpns::server {

/// Waits for the outcome of one write. The outcome may come after a wait that ended, so the state is shared with the
/// callback. For one thread; not for those of actors.
class awaited_write {
 public:
  /// `then` is called with the outcome before that is known to the waiting thread, on any thread.
  storage::commit_done callback(storage::commit_done then = {}) {
    return [to = to_, then = std::move(then)](const status& s) {
      if (then) then(s);
      to->set_value(s);
    };
  }
  status wait() { return to_->get_future().get(); }
  /// nullopt if the outcome did not come in time.
  std::optional<status> wait(milliseconds longest) {
    auto outcome = to_->get_future();
    if (outcome.wait_for(longest) != std::future_status::ready) return std::nullopt;
    return outcome.get();
  }

 private:
  std::shared_ptr<std::promise<status>> to_ = std::make_shared<std::promise<status>>();
};

}  // namespace cpns::server
