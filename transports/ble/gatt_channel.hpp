#pragma once
// A link over two GATT characteristics, through bluetoothd's descriptors for them.

#include <memory>
#include <optional>

#include "transports/ble/channel.hpp"
#include "transports/ble/chunks.hpp"
#include "transports/ble/loop.hpp"

namespace cpns::ble {

inline constexpr const char* write_uuid = "7e0a97b8-cceb-4e7e-92c0-7edc50edc70e";   ///< gateway to PNE
inline constexpr const char* notify_uuid = "7e0a97b9-cceb-4e7e-92c0-7edc50edc70e";  ///< PNE to gateway
inline constexpr std::uint8_t receive_window = 16;

/// Each message is the payload of one ATT packet.
struct chunk_pipe {
  fd in, out;
};

/// Bytes of a chunk at this MTU of ATT.
std::uint16_t chunk_size(std::uint16_t att_mtu);
/// Sends one message without blocking. False with errno if that fails.
bool send_now(int out, chunk_view chunk);

/// A session after both greetings.
class gatt_channel final : public channel {
 public:
  /// `own` and `peer`: one is the hello, the other the welcome.
  gatt_channel(chunk_pipe p, const greeting& own, const greeting& peer);

  [[nodiscard]] int in() const override { return pipe_.in.get(); }
  [[nodiscard]] int out() const override { return pipe_.out.get(); }
  [[nodiscard]] bool wants_out() const override { return full_; }
  cpns_status send(std::span<const std::uint8_t> frame) override;
  bool flush(bool writable) override;
  news read(std::span<std::uint8_t> buffer) override;
  [[nodiscard]] std::uint64_t gap() const override { return chunks_.gap(); }
  /// bluetoothd owns the connection and does not report its security.
  [[nodiscard]] cpns_pairing pairing() const override { return CPNS_PAIRING_UNKNOWN; }
  void close() override;

  /// Moves the descriptors out, for the next session, when this one has ended.
  chunk_pipe take_pipe() { return std::move(pipe_); }
  /// The hello of another session that ended this one, if any.
  [[nodiscard]] std::optional<greeting> another() const { return another_; }

 private:
  std::optional<news> receive(chunk_view chunk);

  chunk_pipe pipe_;
  const greeting own_, peer_;
  chunks chunks_;
  std::optional<greeting> another_;
  bool full_ = false;
  bool gone_ = false;  ///< nothing can be sent anymore
};

}  // namespace cpns::ble
