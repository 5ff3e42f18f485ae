#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>

namespace cpns::storage {

/// A caller that holds what add() gave is called at each ring(). It may end while another thread rings, and must not
/// be called after that. [thread-safe]
class hint_board {
 public:
  /// `heard` is called on the thread of ring(), until the last copy of the result is destroyed, which waits for a call that
  /// runs. It must not block, and must not call this object.
  [[nodiscard]] std::shared_ptr<void> add(std::function<void()> heard);
  void ring() const;

 private:
  struct shared {
    std::mutex guard;
    std::uint64_t next = 0;
    std::map<std::uint64_t, std::function<void()>> all;
  };
  const std::shared_ptr<shared> shared_ = std::make_shared<shared>();
};

}  // namespace cpns::storage
