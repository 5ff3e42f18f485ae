#pragma once
// Which devices have other keys than before, for the programs that watch them.

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "base/ids.hpp"

namespace cpns::actors {

/// A program that is slow must cost the role neither memory nor time. So the changes are a ring of names for all programs;
/// each remembers its place alone, and begins again when the ring has passed it. [thread-safe]
class key_changes {
 public:
  static constexpr std::size_t kept_max = 16'384;

  /// The record of a device changed, durably. On any thread; does not block.
  void changed(const entity_id& device);
  /// The number of the newest change; 0: none yet.
  [[nodiscard]] std::uint64_t newest() const;

  struct batch {
    std::vector<entity_id> devices;  ///< each once
    std::uint64_t last = 0;          ///< the number of the last one
    bool lost = false;               ///< changes after the place are no longer in the ring
  };
  /// The changes after `place`, at most `most`.
  [[nodiscard]] batch after(std::uint64_t place, std::size_t most) const;

  /// `wake` is called after each change, on its thread, until the ticket is dropped. It must not block and must not call
  /// this object.
  [[nodiscard]] std::shared_ptr<void> listen(std::function<void()> wake);

 private:
  struct listeners {
    std::mutex guard;
    std::map<std::uint64_t, std::function<void()>> all;
    std::uint64_t next = 1;
  };
  mutable std::mutex guard_;
  std::deque<entity_id> ring_;  ///< the last one has the number newest_
  std::uint64_t newest_ = 0;
  const std::shared_ptr<listeners> listeners_ = std::make_shared<listeners>();
};

}  // namespace cpns::actors
