#pragma once
// Frames over GATT: cut into chunks, put together again, and held back where the peer has no room. Pure:
// bytes in, bytes out. What the bytes are stands in docs/protocol.md, "ble".

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
inline constexpr std::size_t chunk_max = 244;  ///< what one packet of the air carries at most
inline constexpr std::uint8_t window_max = 64;

/// How a session begins: the gateway's hello, which a PNE answers with a welcome of the same session and
/// nonce. What is named is what the sender takes.
struct greeting {
  bool welcome = false;
  std::uint8_t session = 0;
  std::uint8_t window = 0;  ///< chunks that were not acknowledged yet
  std::uint16_t chunk = 0;  ///< bytes of one
  std::uint16_t mtu = 0;    ///< bytes of a frame
  std::uint32_t nonce = 0;
  bool operator==(const greeting&) const = default;
};
std::vector<std::uint8_t> encode(const greeting& g);
/// Nothing if it is none, of another version, or cannot be used.
std::optional<greeting> decode_greeting(chunk_view data);

/// One session, both ways.
class chunks {
 public:
  struct limits {
    std::uint8_t session = 0;
    std::size_t chunk = chunk_min;    ///< bytes of what is sent
    std::uint8_t send_window = 1;     ///< chunks that the peer takes before it acknowledges
    std::uint8_t receive_window = 1;  ///< chunks that this side takes
    std::size_t mtu = 23;             ///< of a frame, both ways
  };
  enum class taken : std::uint8_t {
    well,
    ignored,  ///< it is of another session, or of a kind that is not known
    bye,      ///< the peer ends the session
    broken    ///< so is the session; wrong() says why
  };

  explicit chunks(const limits& l) : limits_(l) {}

  /// A frame may be put.
  [[nodiscard]] bool idle() const { return sent_of_frame_ == frame_.size(); }
  /// 1 to mtu bytes, while it is idle.
  void put(chunk_view frame);
  /// The chunk to send now, valid until the next call that is not const; the same until sent().
  std::optional<chunk_view> next();
  /// It was.
  void sent();

  taken take(chunk_view chunk);
  /// The next frame that is whole, valid until the next call. Call it after each take() until there is none.
  std::optional<chunk_view> pull();
  [[nodiscard]] const std::string& wrong() const { return wrong_; }
  /// Something arrived that stands behind what did not: names the chunk that is missing; otherwise 0.
  [[nodiscard]] std::uint64_t gap() const { return early_.empty() ? 0 : arrived_ + 1; }
  [[nodiscard]] std::vector<std::uint8_t> bye() const;

 private:
  taken break_off(std::string why);
  bool add(chunk_view chunk);
  [[nodiscard]] bool owes_acknowledgement() const;

  limits limits_;
  // what is sent
  std::vector<std::uint8_t> frame_;
  std::size_t sent_of_frame_ = 0;
  std::vector<std::uint8_t> chunk_;  ///< that next() showed; empty: none
  std::size_t chunk_takes_ = 0;      ///< bytes of the frame in it; 0: an acknowledgement
  std::uint8_t next_sequence_ = 0, acknowledged_ = 0;
  // what arrives
  std::map<std::uint64_t, std::vector<std::uint8_t>> early_;  ///< by the number that does not wrap
  std::uint64_t arrived_ = 0;                                 ///< chunks, in their order
  std::uint64_t told_ = 0;                                    ///< of them were acknowledged
  std::vector<std::uint8_t> whole_;
  std::size_t expected_ = 0;  ///< bytes of the frame that arrives; 0: none does
  std::string wrong_;
};

}  // namespace cpns::ble
