#pragma once
// Frames over GATT: splits them into chunks, reassembles them, and keeps to the peer's window. Pure: no I/O. For
// the bytes see docs/protocol.md, "ble".

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace cpns::ble {

using chunk_view = std::span<const std::uint8_t>;

inline constexpr std::size_t chunk_min = 20;   ///< ATT's smallest MTU less 3
inline constexpr std::size_t chunk_max = 244;  ///< payload of the largest packet on the air
inline constexpr std::uint8_t window_max = 64;

/// Begins a session: the gateway sends a hello, and the PNE answers with a welcome of the same session and nonce.
/// The limits are those of the sender's receiving side.
struct greeting {
  bool welcome = false;
  std::uint8_t session = 0;
  std::uint8_t window = 0;  ///< maximum unacknowledged chunks
  std::uint16_t chunk = 0;  ///< maximum bytes of a chunk
  std::uint16_t mtu = 0;    ///< maximum bytes of a frame
  std::uint32_t nonce = 0;
  bool operator==(const greeting&) const = default;
};
std::vector<std::uint8_t> encode(const greeting& g);
/// nullopt if it is not a greeting, of another version, or has unusable limits.
std::optional<greeting> decode_greeting(chunk_view data);

/// One session, in both directions.
class chunks {
 public:
  struct limits {
    std::uint8_t session = 0;
    std::size_t chunk = chunk_min;    ///< maximum bytes of a sent chunk
    std::uint8_t send_window = 1;     ///< maximum unacknowledged chunks to the peer
    std::uint8_t receive_window = 1;  ///< the same from the peer
    std::size_t mtu = 23;             ///< maximum bytes of a frame, in both directions
  };
  enum class taken : std::uint8_t {
    well,
    ignored,  ///< of another session, or of an unknown kind
    bye,      ///< the peer ends the session
    broken    ///< the session is broken; wrong() has the reason
  };

  explicit chunks(const limits& l) : limits_(l) {}

  /// Whether put() may be called: the last frame is sent.
  [[nodiscard]] bool idle() const { return sent_of_frame_ == frame_.size(); }
  /// Sets the next frame to send, of 1 to mtu bytes. Only while idle().
  void put(chunk_view frame);
  /// The chunk to send now; the same until sent() is called. Valid until the next call that is not const.
  std::optional<chunk_view> next();
  /// The chunk of next() was sent.
  void sent();

  /// Receives one chunk.
  taken take(chunk_view chunk);
  /// The next whole frame, valid until the next call. Call it after each take() until it returns nullopt.
  std::optional<chunk_view> pull();
  [[nodiscard]] const std::string& wrong() const { return wrong_; }
  /// If later chunks arrived before a missing one: identifies the missing one. Otherwise 0.
  [[nodiscard]] std::uint64_t gap() const { return early_.empty() ? 0 : arrived_ + 1; }
  [[nodiscard]] std::vector<std::uint8_t> bye() const;

 private:
  taken break_off(std::string why);
  bool add(chunk_view chunk);
  [[nodiscard]] bool owes_acknowledgement() const;

  limits limits_;
  // Sending:
  std::vector<std::uint8_t> frame_;
  std::size_t sent_of_frame_ = 0;
  std::vector<std::uint8_t> chunk_;  ///< returned by next(); empty: none
  std::size_t chunk_takes_ = 0;      ///< bytes of the frame in it; 0: an acknowledgement
  std::uint8_t next_sequence_ = 0, acknowledged_ = 0;
  // Receiving:
  std::map<std::uint64_t, std::vector<std::uint8_t>> early_;  ///< by sequence number without wrap-around
  std::uint64_t arrived_ = 0;                                 ///< chunks received in order
  std::uint64_t reported_ = 0;                                ///< how many of them were acknowledged
  std::vector<std::uint8_t> whole_;
  std::size_t expected_ = 0;  ///< size of the frame that is being received; 0: none
  std::string wrong_;
};

}  // namespace cpns::ble
