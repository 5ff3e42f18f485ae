#pragma once
// A link over two GATT characteristics, through the descriptors that bluetoothd gives for them.

#include <memory>
#include <optional>

#include "transports/ble/channel.hpp"
#include "transports/ble/chunks.hpp"
#include "transports/ble/fd.hpp"

namespace cpns::ble {

inline constexpr const char* write_uuid = "7e0a97b8-cceb-4e7e-92c0-7edc50edc70e";   ///< gateway to PNE
inline constexpr const char* notify_uuid = "7e0a97b9-cceb-4e7e-92c0-7edc50edc70e";  ///< PNE to gateway
inline constexpr std::uint8_t receive_window = 16;

/// Each message is what one ATT packet carries.
struct chunk_pipe {
  fd in, out;
};

/// The bytes of a chunk where ATT has this MTU.
std::uint16_t chunk_size(std::uint16_t att_mtu);
/// One message, without waiting. False if it was not taken.
bool send_now(int out, chunk_view chunk);

/// A session that both greeted.
class gatt_channel final : public channel {
 public:
  /// `own` and `peer`: one of them the hello, the other the welcome.
  gatt_channel(chunk_pipe p, const greeting& own, const greeting& peer);

  [[nodiscard]] int in() const override { return pipe_.in.get(); }
  [[nodiscard]] int out() const override { return pipe_.out.get(); }
  [[nodiscard]] bool wants_out() const override { return full_; }
  cpns_status send(std::span<const std::uint8_t> frame) override;
  bool flush(bool writable) override;
  news read(std::span<std::uint8_t> room) override;
  [[nodiscard]] std::uint64_t gap() const override { return chunks_.gap(); }
  /// bluetoothd keeps the connection and does not tell.
  [[nodiscard]] cpns_pairing pairing() const override { return CPNS_PAIRING_UNKNOWN; }
  void close() override;

  /// For another session over the same descriptors, when this one has ended.
  chunk_pipe take_pipe() { return std::move(pipe_); }
  /// The hello that ended it, if one did.
  [[nodiscard]] std::optional<greeting> another() const { return another_; }

 private:
  std::optional<news> heed(chunk_view chunk);

  chunk_pipe pipe_;
  const greeting own_, peer_;
  chunks chunks_;
  std::optional<greeting> another_;
  bool full_ = false;
  bool gone_ = false;  ///< nothing can be sent
};

}  // namespace cpns::ble
