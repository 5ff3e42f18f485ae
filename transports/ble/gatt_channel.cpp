#include "transports/ble/gatt_channel.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace cpns::ble {
namespace {

constexpr int chunks_at_once = 64;  // including ignored ones; then other links are served

}  // namespace

std::uint16_t chunk_size(std::uint16_t att_mtu) {
  return static_cast<std::uint16_t>(std::clamp<std::size_t>(att_mtu, chunk_min + 3, chunk_max + 3) - 3);
}

bool send_now(int out, chunk_view chunk) {
  return ::send(out, chunk.data(), chunk.size(), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

gatt_channel::gatt_channel(chunk_pipe p, const greeting& own, const greeting& peer)
    : pipe_(std::move(p)), own_(own), peer_(peer), chunks_({.session = own.session,
                                                            .chunk = std::min(own.chunk, peer.chunk),
                                                            .send_window = peer.window,
                                                            .receive_window = own.window,
                                                            .mtu = own.mtu}) {}

cpns_status gatt_channel::send(std::span<const std::uint8_t> frame) {
  if (gone_) return CPNS_NO_LINK;
  if (!chunks_.idle()) return CPNS_WOULD_BLOCK;
  chunks_.put(frame);
  flush(false);
  return gone_ ? CPNS_NO_LINK : CPNS_OK;
}

bool gatt_channel::flush(bool writable) {
  if (writable) full_ = false;
  while (!full_ && !gone_) {
    const auto chunk = chunks_.next();
    if (!chunk) break;
    if (send_now(pipe_.out.get(), *chunk))
      chunks_.sent();
    else if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM)
      full_ = true;
    else if (errno != EINTR)
      gone_ = true;  // out() hangs up, which the loop notices
  }
  return !gone_ && chunks_.idle();
}

channel::news gatt_channel::read(std::span<std::uint8_t> buffer) {
  std::array<std::uint8_t, chunk_max + 1> chunk{};
  for (int i = 0; i < chunks_at_once; ++i) {
    if (const auto frame = chunks_.pull()) {
      std::copy(frame->begin(), frame->end(), buffer.begin());
      return {.is = news::kind::frame, .size = frame->size()};
    }
    if (!chunks_.wrong().empty())
      return {.is = news::kind::ended, .why = CPNS_DOWN_BAD_FRAME, .detail = chunks_.wrong()};
    const auto n = ::recv(pipe_.in.get(), chunk.data(), chunk.size(), MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) break;
    if (n < 0) return {.is = news::kind::ended, .why = CPNS_DOWN_LOST, .detail = std::strerror(errno)};
    if (n == 0)
      return {
          .is = news::kind::ended, .why = CPNS_DOWN_CLOSED, .detail = "the peer is gone", .by_peer = true};
    if (auto end = receive({chunk.data(), static_cast<std::size_t>(n)})) return *end;
  }
  flush(false);  // acknowledges the received chunks
  return {};
}

std::optional<channel::news> gatt_channel::receive(chunk_view chunk) {
  if (const auto g = decode_greeting(chunk)) {
    if (g->welcome || own_.welcome == g->welcome) return std::nullopt;  // for another gateway, or repeated
    if (*g == peer_) {
      send_now(pipe_.out.get(), encode(own_));  // it did not receive the first welcome
      return std::nullopt;
    }
    another_ = g;
    return news{.is = news::kind::ended,
                .why = CPNS_DOWN_LIMIT,
                .detail = "replaced by a newer link",
                .by_peer = true};
  }
  if (chunks_.take(chunk) == chunks::taken::bye)
    return news{.is = news::kind::ended,
                .why = CPNS_DOWN_CLOSED,
                .detail = "the peer closed the link",
                .by_peer = true};
  return std::nullopt;
}

void gatt_channel::close() {
  if (!gone_) send_now(pipe_.out.get(), chunks_.bye());
  gone_ = true;
}

}  // namespace cpns::ble
