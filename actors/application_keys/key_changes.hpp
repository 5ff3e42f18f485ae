#pragma once
// Which devices have other keys than before, for the programs that watch them.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "base/ids.hpp"

namespace cpns::actors {

/// A program that is slow must cost the role neither memory nor time. So each device has one entry, with the number of its
/// newest change, for all programs; each program remembers the number up to which it has read. However long it did not
/// read, it has at most one entry per device to read. [thread-safe]
class key_changes {
 public:
  /// More devices than a role has: about 200 bytes each.
  static constexpr std::size_t kept_default = 262'144;

  /// Of more than `kept_max` devices, those whose changes are the oldest are forgotten.
  explicit key_changes(std::size_t kept_max = kept_default) : kept_max_(kept_max) {}

  /// The record of a device was written, or may have been. On any thread; does not block.
  void changed(const entity_id& device);
  /// The number of the newest change; 0: none yet.
  [[nodiscard]] std::uint64_t newest() const;

  /// Whether all changes after `place` are known.
  [[nodiscard]] bool knows_from(std::uint64_t place) const;

  /// The number of the newest change of a device; 0: none, or it was forgotten.
  [[nodiscard]] std::uint64_t newest_of(const entity_id& device) const;

  struct change {
    entity_id device;
    std::uint64_t number = 0;
  };
  struct batch {
    std::vector<change> changes;  ///< each device once, ascending by number
    std::uint64_t last = 0;       ///< the number of the last one
    bool lost = false;            ///< a device that changed after the place was forgotten
  };
  /// The devices that changed after `place`, at most `most`.
  [[nodiscard]] batch after(std::uint64_t place, std::size_t most) const;

  /// `wake` is called after each change, on its thread, until the ticket is dropped; a call that has begun may still come
  /// after that. It must not block.
  [[nodiscard]] std::shared_ptr<void> listen(std::function<void()> wake);

 private:
  using numbers = std::map<entity_id, std::uint64_t>;
  struct listeners {
    std::mutex guard;
    std::map<std::uint64_t, std::shared_ptr<const std::function<void()>>> all;
    std::uint64_t next = 1;
  };

  const std::size_t kept_max_;
  mutable std::mutex guard_;
  numbers of_;  ///< the number of the newest change of each device
  std::map<std::uint64_t, numbers::iterator> by_number_;
  std::uint64_t newest_ = 0, forgotten_ = 0;  ///< forgotten_: the highest number that was dropped
  const std::shared_ptr<listeners> listeners_ = std::make_shared<listeners>();
};

}  // namespace cpns::actors
