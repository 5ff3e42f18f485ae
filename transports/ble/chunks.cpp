#include "transports/ble/chunks.hpp"

#include <algorithm>

namespace cpns::ble {
namespace {

enum kind : std::uint8_t {
  kind_hello = 0x01,
  kind_welcome = 0x02,
  kind_bye = 0x03,
  kind_acknowledge = 0x04,
  kind_first = 0x10,
  kind_further = 0x11
};
constexpr std::uint8_t version = 1;
constexpr std::size_t greeting_size = 14, header = 4, length_size = 2;

std::uint16_t read16(chunk_view d, std::size_t at) {
  return static_cast<std::uint16_t>(d[at] << 8 | d[at + 1]);
}

void write16(std::vector<std::uint8_t>& to, std::size_t value) {
  to.push_back(static_cast<std::uint8_t>(value >> 8));
  to.push_back(static_cast<std::uint8_t>(value));
}

}  // namespace

std::vector<std::uint8_t> encode(const greeting& g) {
  std::vector<std::uint8_t> out{
      g.welcome ? kind_welcome : kind_hello, g.session, 'C', 'P', version, g.window};
  write16(out, g.chunk);
  write16(out, g.mtu);
  write16(out, g.nonce >> 16);
  write16(out, g.nonce & 0xFFFF);
  return out;
}

std::optional<greeting> decode_greeting(chunk_view d) {
  if (d.size() < greeting_size || (d[0] != kind_hello && d[0] != kind_welcome) || d[2] != 'C' ||
      d[3] != 'P' || d[4] != version)
    return std::nullopt;
  greeting g;
  g.welcome = d[0] == kind_welcome;
  g.session = d[1];
  g.window = std::min(d[5], window_max);
  g.chunk = std::min(read16(d, 6), static_cast<std::uint16_t>(chunk_max));
  g.mtu = read16(d, 8);
  g.nonce = static_cast<std::uint32_t>(read16(d, 10)) << 16 | read16(d, 12);
  if (g.session == 0 || g.window == 0 || g.chunk < chunk_min || g.mtu == 0) return std::nullopt;
  return g;
}

void chunks::put(chunk_view frame) {
  frame_.assign(frame.begin(), frame.end());
  sent_of_frame_ = 0;
  if (chunk_takes_ == 0) chunk_.clear();  // the frame's first chunk carries a pending acknowledgement
}

std::optional<chunk_view> chunks::next() {
  if (!chunk_.empty()) return chunk_;
  const auto acknowledge = static_cast<std::uint8_t>(arrived_);
  const auto under_way = static_cast<std::uint8_t>(next_sequence_ - acknowledged_);
  if (!idle() && under_way < limits_.send_window) {
    const bool first = sent_of_frame_ == 0;
    chunk_ = {first ? kind_first : kind_further, limits_.session, next_sequence_, acknowledge};
    if (first) write16(chunk_, frame_.size());
    chunk_takes_ = std::min(limits_.chunk - chunk_.size(), frame_.size() - sent_of_frame_);
    const auto from = frame_.begin() + static_cast<std::ptrdiff_t>(sent_of_frame_);
    chunk_.insert(chunk_.end(), from, from + static_cast<std::ptrdiff_t>(chunk_takes_));
  } else if (owes_acknowledgement()) {
    chunk_ = {kind_acknowledge, limits_.session, 0, acknowledge};
    chunk_takes_ = 0;
  } else {
    return std::nullopt;
  }
  return chunk_;
}

bool chunks::owes_acknowledgement() const {
  return arrived_ - reported_ >= std::max<std::uint64_t>(1, limits_.receive_window / 2);
}

void chunks::sent() {
  if (chunk_.empty()) return;
  if (chunk_takes_ != 0) ++next_sequence_;
  sent_of_frame_ += chunk_takes_;
  // By the chunk's own number: more may have arrived since it was made.
  reported_ += static_cast<std::uint8_t>(chunk_[3] - static_cast<std::uint8_t>(reported_));
  chunk_.clear();
  chunk_takes_ = 0;
}

chunks::taken chunks::break_off(std::string why) {
  if (wrong_.empty()) wrong_ = std::move(why);
  return taken::broken;
}

chunks::taken chunks::take(chunk_view c) {
  if (!wrong_.empty()) return taken::broken;
  if (c.size() < header || c[1] != limits_.session) return taken::ignored;
  if (c[0] == kind_bye) return taken::bye;
  const bool data = c[0] == kind_first || c[0] == kind_further;
  if (!data && c[0] != kind_acknowledge) return taken::ignored;
  // Ignores an older acknowledgement that was overtaken.
  const auto under_way = static_cast<std::uint8_t>(next_sequence_ - acknowledged_);
  if (static_cast<std::uint8_t>(c[3] - acknowledged_) <= under_way) acknowledged_ = c[3];
  if (!data) return taken::well;

  const auto ahead = static_cast<std::uint8_t>(c[2] - static_cast<std::uint8_t>(arrived_));
  if (ahead >= limits_.receive_window) return break_off("a chunk arrived twice, or outside of the window");
  if (!early_.emplace(arrived_ + ahead, std::vector<std::uint8_t>(c.begin(), c.end())).second)
    return break_off("a chunk arrived twice");
  return taken::well;
}

/// Appends the next chunk in order to the frame. False if it is invalid.
bool chunks::add(chunk_view c) {
  auto body = c.subspan(header);
  if (c[0] == kind_first) {
    if (expected_ != 0) return false;
    if (body.size() < length_size) return false;
    expected_ = read16(body, 0);
    if (expected_ == 0 || expected_ > limits_.mtu) return false;
    whole_.clear();
    body = body.subspan(length_size);
  } else if (expected_ == 0) {
    return false;
  }
  if (body.empty() || whole_.size() + body.size() > expected_) return false;
  whole_.insert(whole_.end(), body.begin(), body.end());
  return true;
}

std::optional<chunk_view> chunks::pull() {
  while (!early_.empty() && early_.begin()->first == arrived_ && wrong_.empty()) {
    const auto c = std::move(early_.begin()->second);
    early_.erase(early_.begin());
    ++arrived_;
    if (!add(c)) {
      break_off("the chunks do not form a valid frame");
      return std::nullopt;
    }
    if (whole_.size() < expected_) continue;
    expected_ = 0;
    return whole_;
  }
  return std::nullopt;
}

std::vector<std::uint8_t> chunks::bye() const { return {kind_bye, limits_.session, 0, 0}; }

}  // namespace cpns::ble
