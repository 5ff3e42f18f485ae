#include "plugins/host/fragment.hpp"

#include <algorithm>

namespace cpns::plugins {
namespace {

constexpr std::uint8_t last_bit = 0x80, reserved_bit = 0x40, index_mask = 0x3f;
constexpr std::size_t partials_max = 4;

}  // namespace

result<std::vector<bytes>> fragmenter::split(byte_view message) {
  if (message.empty() || message.size() > message_max)
    return fail(errc::wire_oversized, "a message has 1 to " + std::to_string(message_max) +
                                          " bytes, this one has " + std::to_string(message.size()));
  const std::size_t room = mtu_ - fragment_header;
  const std::uint8_t number = next_++;
  std::vector<bytes> frames;
  for (std::size_t at = 0; at < message.size(); at += room) {
    const auto piece = message.subspan(at, std::min(room, message.size() - at));
    const bool last = at + piece.size() == message.size();
    bytes frame;
    frame.reserve(fragment_header + piece.size());
    frame.push_back(number);
    frame.push_back(static_cast<std::uint8_t>(frames.size() | (last ? last_bit : 0u)));
    frame.insert(frame.end(), piece.begin(), piece.end());
    frames.push_back(std::move(frame));
  }
  return frames;
}

reassembler::partial& reassembler::begin(std::uint8_t number) {
  auto& p = partials_.emplace_back();
  p.number = number;
  p.pieces.assign(fragments_max, {});
  return p;
}

void reassembler::end(const partial& p) {
  partials_.erase(partials_.begin() + (&p - partials_.data()));
  if (partials_.empty()) std::vector<partial>{}.swap(partials_);
}

reassembler::partial& reassembler::find_or_begin(std::uint8_t number) {
  for (auto& p : partials_)
    if (p.number == number) return p;
  if (partials_.size() >= partials_max) {
    partials_.erase(partials_.begin());
    ++given_up_;
  }
  return begin(number);
}

result<std::optional<bytes>> reassembler::take(byte_view frame) {
  if (frame.size() <= fragment_header)
    return fail(errc::wire_truncated, "a frame must have a header of 2 bytes and at least 1 byte of data");
  const std::uint8_t flags = frame[1];
  if ((flags & reserved_bit) != 0) return fail(errc::wire_range, "bit 6 of a fragment header must be zero");
  const std::size_t index = flags & index_mask;
  const bool last = (flags & last_bit) != 0;
  const auto piece = frame.subspan(fragment_header);
  if (piece.size() > message_max)
    return fail(errc::wire_oversized, "a fragment is larger than the maximum message");
  if (last && index == 0) return std::optional<bytes>{to_bytes(piece)};

  auto* found = &find_or_begin(frame[0]);
  if (!found->pieces[index].empty()) {
    if (equal(found->pieces[index], piece)) return std::optional<bytes>{};
    // The message number wrapped around: the unfinished message of the same number is lost.
    ++given_up_;
    end(*found);
    found = &begin(frame[0]);
  }
  auto& p = *found;
  if ((p.count && index >= *p.count) || (last && p.count) || p.size + piece.size() > message_max) {
    end(p);
    ++given_up_;
    return fail(errc::wire_length, "the fragments of a message contradict each other");
  }
  p.pieces[index] = to_bytes(piece);
  p.size += piece.size();
  ++p.have;
  if (last) {
    for (std::size_t i = index + 1; i < fragments_max; ++i)
      if (!p.pieces[i].empty()) {
        end(p);
        ++given_up_;
        return fail(errc::wire_length, "a fragment has a higher index than the last fragment");
      }
    p.count = index + 1;
  }
  if (!p.count || p.have != *p.count) return std::optional<bytes>{};
  bytes whole;
  whole.reserve(p.size);
  for (std::size_t i = 0; i < *p.count; ++i)
    whole.insert(whole.end(), p.pieces[i].begin(), p.pieces[i].end());
  end(p);
  return std::optional<bytes>{std::move(whole)};
}

}  // namespace cpns::plugins
