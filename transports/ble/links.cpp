#include "transports/ble/links.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace cpns::ble {
namespace {

constexpr int frames_at_once = 16;  // of one link; then the others have their turn

}  // namespace

links::link_ptr links::find(std::uint64_t id) const {
  std::lock_guard lock{guard_};
  const auto it = links_.find(id);
  return it == links_.end() ? nullptr : it->second;
}

loop::clock::time_point links::busy(std::uint64_t id) const {
  const auto l = find(id);
  return l ? l->busy.load() : loop::clock::time_point{};
}

std::uint64_t links::up(fd socket, std::uint64_t endpoint, const std::string& address, gone_fn gone) {
  const auto l = std::make_shared<link>();
  l->socket = std::move(socket);
  l->gone = std::move(gone);
  l->busy = loop::clock::now();
  const auto id = ++next_;
  {
    std::lock_guard lock{guard_};
    links_.emplace(id, l);
  }
  out_.link_up(id, endpoint, address);
  await(id, false);
  return id;
}

cpns_status links::send(std::uint64_t id, std::span<const std::uint8_t> data) {
  const auto l = find(id);
  if (!l) return CPNS_NO_LINK;
  if (data.empty() || data.size() >= in_.size()) return CPNS_LIMIT;
  std::lock_guard lock{l->guard};
  if (!l->socket) return CPNS_NO_LINK;
  for (;;) {
    if (::send(l->socket.get(), data.data(), data.size(), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) break;
    if (errno == EINTR) continue;
    if (errno == EMSGSIZE) return CPNS_LIMIT;
    if (errno != EAGAIN && errno != ENOBUFS && errno != ENOMEM)
      return CPNS_NO_LINK;  // whoever reads it says why
    if (!std::exchange(l->blocked, true)) loop_.post([this, id] { await(id, true); });
    return CPNS_WOULD_BLOCK;
  }
  l->busy = loop::clock::now();
  return CPNS_OK;
}

void links::disconnect(std::uint64_t id) {
  loop_.post([this, id] { close(id, CPNS_DOWN_CLOSED, "this side closes", end::host); });
}

void links::await(std::uint64_t id, bool writable) {
  const auto l = find(id);
  if (!l) return;
  loop_.watch(l->socket.get(), static_cast<short>(writable ? POLLIN | POLLOUT : POLLIN),
              [this, id](short what) { ready(id, what); });
}

void links::ready(std::uint64_t id, short what) {
  const auto l = find(id);
  if (!l) return;
  if ((what & (POLLIN | POLLERR | POLLHUP)) != 0) read(id, *l);
  if ((what & POLLOUT) == 0 || !find(id)) return;
  {
    std::lock_guard lock{l->guard};
    l->blocked = false;
  }
  await(id, false);
  out_.writable(id);
}

void links::read(std::uint64_t id, link& l) {
  for (int i = 0; i < frames_at_once; ++i) {
    const auto n = ::recv(l.socket.get(), in_.data(), in_.size(), MSG_DONTWAIT);
    if (n > 0) {
      const auto size = static_cast<std::size_t>(n);
      if (size == in_.size()) return close(id, CPNS_DOWN_BAD_FRAME, "a frame over the mtu", end::lost);
      l.busy = loop::clock::now();
      out_.frame(id, {in_.data(), size});
      continue;
    }
    if (n == 0) return close(id, CPNS_DOWN_CLOSED, "the peer closed it", end::peer);
    if (errno == EINTR) continue;
    if (errno == EAGAIN) return;
    return close(id, CPNS_DOWN_LOST, std::strerror(errno), end::lost);
  }
}

void links::close(std::uint64_t id, cpns_down_reason why, const std::string& detail, end by) {
  link_ptr l;
  {
    std::lock_guard lock{guard_};
    const auto it = links_.find(id);
    if (it == links_.end()) return;
    l = it->second;
    links_.erase(it);
  }
  loop_.unwatch(l->socket.get());
  {
    std::lock_guard lock{l->guard};
    l->socket.reset();
  }
  out_.link_down(id, why, detail);
  if (l->gone) l->gone(by);
}

void links::close_all(const std::string& detail) {
  std::vector<std::uint64_t> all;
  {
    std::lock_guard lock{guard_};
    for (const auto& [id, l] : links_) all.push_back(id);
  }
  for (const auto id : all) close(id, CPNS_DOWN_CLOSED, detail, end::host);
}

}  // namespace cpns::ble
