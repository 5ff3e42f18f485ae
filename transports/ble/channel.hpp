#pragma once
// Interface to the carrier of one link's frames: an L2CAP channel or a GATT session.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "plugins/abi/ext/pairing.h"
#include "plugins/abi/transport.h"

namespace cpns::ble {

/// Not thread-safe: the owner calls it from one thread at a time.
class channel {
 public:
  /// Result of read().
  struct news {
    enum class kind : std::uint8_t { nothing, frame, ended } is = kind::nothing;
    std::size_t size = 0;  ///< of the frame
    // If ended:
    cpns_down_reason why = CPNS_DOWN_LOST;
    std::string detail{};
    bool by_peer = false;  ///< the peer closed the channel; otherwise it broke
  };

  virtual ~channel() = default;
  /// A descriptor that is readable if data arrived or the channel has ended.
  [[nodiscard]] virtual int in() const = 0;
  /// A descriptor that hangs up when the channel has ended; may be the same as in().
  [[nodiscard]] virtual int out() const = 0;
  /// Whether data waits until out() is writable; then call flush().
  [[nodiscard]] virtual bool wants_out() const = 0;
  /// Sends a whole frame: CPNS_OK, CPNS_WOULD_BLOCK, CPNS_LIMIT or CPNS_NO_LINK.
  virtual cpns_status send(std::span<const std::uint8_t> frame) = 0;
  /// Continues sending, after out() became `writable` or after a read. True if another frame may be sent.
  virtual bool flush(bool writable) = 0;
  /// Reads the next frame into `buffer`, which must be larger than the MTU.
  virtual news read(std::span<std::uint8_t> buffer) = 0;
  /// Identifies a gap in the received data; 0: none. A gap that does not close means that data was lost.
  [[nodiscard]] virtual std::uint64_t gap() const { return 0; }
  /// The security of the connection.
  [[nodiscard]] virtual cpns_pairing pairing() const = 0;
  /// Ends it from this side.
  virtual void close() {}
};

}  // namespace cpns::ble
