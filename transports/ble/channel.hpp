#pragma once
// What carries the frames of one link. Whoever has one calls it from one thread at a time.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "plugins/abi/ext/pairing.h"
#include "plugins/abi/transport.h"

namespace cpns::ble {

class channel {
 public:
  /// What read() found.
  struct news {
    enum class kind : std::uint8_t { nothing, frame, ended } is = kind::nothing;
    std::size_t size = 0;  ///< of a frame
    // Of the end:
    cpns_down_reason why = CPNS_DOWN_LOST;
    std::string detail{};
    bool by_peer = false;  ///< it closed the channel; otherwise it broke
  };

  virtual ~channel() = default;
  /// Is readable when there is something to read, or the channel has ended.
  [[nodiscard]] virtual int in() const = 0;
  /// Hangs up when the channel has ended; may be the same as in().
  [[nodiscard]] virtual int out() const = 0;
  /// Something waits until out() is writable: then comes flush().
  [[nodiscard]] virtual bool wants_out() const = 0;
  /// Takes a frame whole, or says CPNS_WOULD_BLOCK, CPNS_LIMIT or CPNS_NO_LINK.
  virtual cpns_status send(std::span<const std::uint8_t> frame) = 0;
  /// After out() became `writable`, or something was read: goes on with what waits. True if a frame may be
  /// tried again.
  virtual bool flush(bool writable) = 0;
  /// The next frame into `room`, which is larger than a frame may be.
  virtual news read(std::span<std::uint8_t> room) = 0;
  /// Names a gap in what arrived, 0 for none. One that stays is a loss.
  [[nodiscard]] virtual std::uint64_t gap() const { return 0; }
  /// What secures it.
  [[nodiscard]] virtual cpns_pairing pairing() const = 0;
  /// This side ends it.
  virtual void close() {}
};

}  // namespace cpns::ble
