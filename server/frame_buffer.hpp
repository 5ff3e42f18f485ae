#pragma once
// The frames of a connection: what came of them, and those that are not answered. Both take no memory while nothing is under way:
// a std::deque alone has 600 bytes, and most connections wait.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/bytes.hpp"
#include "protocol/constants.hpp"

namespace cpns::server {

inline constexpr std::size_t frame_header_size = 4;

/// Received bytes, before they are whole frames.
class frame_buffer {
 public:
  /// Received bytes are appended here.
  [[nodiscard]] bytes& end() { return data_; }
  /// Bytes of memory.
  [[nodiscard]] std::size_t memory() const { return data_.capacity(); }
  /// No further whole frame.
  enum class rest : std::uint8_t { none, part, bad };  ///< bad: a header announces a size out of bounds
  /// Calls `take(frame)` for each whole frame in order, while `more()`. `rest` tells what follows the last of them; `none` if
  /// more() stopped it.
  template <class More, class Take>
  rest take(More more, Take take) {
    std::size_t at = 0;
    auto out = rest::none;
    while (more() && at < data_.size()) {
      out = rest::part;
      if (data_.size() - at < frame_header_size) break;
      const std::size_t n = announced(at);
      if (n == 0 || n > protocol::link_message_max) return rest::bad;
      if (data_.size() - at < frame_header_size + n) break;
      const auto from = data_.begin() + static_cast<std::ptrdiff_t>(at + frame_header_size);
      at += frame_header_size + n;
      take(bytes(from, from + static_cast<std::ptrdiff_t>(n)));
      out = rest::none;
    }
    drop(at);
    return out;
  }

 private:
  [[nodiscard]] std::size_t announced(std::size_t at) const {
    return std::size_t{data_[at]} << 24 | std::size_t{data_[at + 1]} << 16 | std::size_t{data_[at + 2]} << 8 |
           data_[at + 3];
  }
  void drop(std::size_t n) {
    constexpr std::size_t little = 1024;
    data_.erase(data_.begin(), data_.begin() + static_cast<std::ptrdiff_t>(n));
    if (data_.empty() || data_.capacity() > little + 4 * data_.size()) data_.shrink_to_fit();
  }
  bytes data_;
};

/// The sizes of frames that are not answered, in order: an answer counts for the oldest one.
class unanswered_frames {
 public:
  void add(std::size_t size) {
    sizes_.push_back(static_cast<std::uint32_t>(size));
    bytes_ += size;
  }
  /// Does nothing if there is none.
  void answered() {
    if (first_ == sizes_.size()) return;
    bytes_ -= sizes_[first_++];
    if (first_ == sizes_.size()) {
      std::vector<std::uint32_t>{}.swap(sizes_);
      first_ = 0;
    } else if (first_ >= many) {
      sizes_.erase(sizes_.begin(), sizes_.begin() + static_cast<std::ptrdiff_t>(first_));
      first_ = 0;
    }
  }
  [[nodiscard]] bool empty() const { return first_ == sizes_.size(); }
  [[nodiscard]] std::size_t count() const { return sizes_.size() - first_; }
  [[nodiscard]] std::size_t total_bytes() const { return bytes_; }

 private:
  /// Answered ones, before they are erased together.
  static constexpr std::size_t many = 256;
  std::vector<std::uint32_t> sizes_;
  std::size_t first_ = 0, bytes_ = 0;
};

}  // namespace cpns::server
