#pragma once
// What the messages of radios take in the mailboxes of all devices of a role.
//
// waiting_count bounds the messages of one link, but ten thousand links at their bound are hundreds of megabytes. So all links draw on
// one credit, and a message over it is dropped: its peer repeats it, as after a loss on the air.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/log.hpp"
#include "base/seldom.hpp"

namespace cpns::actors {

/// [thread-safe]
class message_credit {
 public:
  static constexpr std::size_t most_default = std::size_t{16} << 20;
  /// Memory for a message beside its bytes.
  static constexpr std::size_t message_extra = 256;
  /// Counts a message until the last copy is gone, handled or not.
  using hold = std::shared_ptr<const void>;

  explicit message_credit(std::size_t most)
      : used_(std::make_shared<std::atomic<std::size_t>>(0)), most_(most) {}

  /// Null: not enough is left for a message of so many bytes.
  [[nodiscard]] hold take(std::size_t bytes) {
    bytes += message_extra;
    if (used_->fetch_add(bytes) + bytes <= most_) return std::make_shared<const part>(used_, bytes);
    used_->fetch_sub(bytes);
    return nullptr;
  }
  /// Bytes.
  [[nodiscard]] std::size_t used() const { return *used_; }

 private:
  /// The credit may end before the last message.
  struct part {
    part(std::shared_ptr<std::atomic<std::size_t>> counter, std::size_t n)
        : of(std::move(counter)), bytes(n) {}
    part(const part&) = delete;
    part& operator=(const part&) = delete;
    ~part() { of->fetch_sub(bytes); }
    const std::shared_ptr<std::atomic<std::size_t>> of;
    const std::size_t bytes;
  };
  const std::shared_ptr<std::atomic<std::size_t>> used_;
  const std::size_t most_;
};

/// The log line about dropped messages, at most one in ten seconds. Not thread-safe.
class drop_line {
 public:
  /// `all`: messages that were dropped until now.
  void write(time_point now, std::string_view component, std::uint64_t all) {
    constexpr seconds again{10};
    if (all == said_ || !line_.due(now, "dropped", again)) return;
    log::warn(component, "messages-dropped",
              "peers send faster than the role works; messages were dropped, and their senders repeat them",
              {{"messages", std::to_string(all - said_)}});
    said_ = all;
  }

 private:
  seldom line_;
  std::uint64_t said_ = 0;
};

}  // namespace cpns::actors
