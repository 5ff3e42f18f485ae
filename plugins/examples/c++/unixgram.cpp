// A radio over UNIX sockets (SOCK_SEQPACKET, which keeps the order and reports the end of a peer). Gateway and
// PNEs are processes of one machine and find each other at FOLDER/gateway. A link is a connection, which the
// gateway greets with one byte when it accepts it; a frame is a datagram. It has no thread: the host's timers and
// descriptor watches drive it, and all callbacks run in their thread.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include <cpns/sdk/loop.hpp>
#include <cpns/sdk/transport.hpp>

namespace {

using namespace cpns;

constexpr std::uint64_t tick_ms = 20;
constexpr int kind = SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK;

constexpr std::array specs{
    sdk::text("folder", "Folder of the common socket; gateway and PNEs need write permission.", nullptr, 1,
              90, CPNS_PARAMETER_OF_BOTH | CPNS_PARAMETER_IS_ADDRESS),
    sdk::number("mtu", "Bytes of a frame; the same on both sides.", "512", 23, 4096),
    sdk::number("max_links", "Links at the same time.", "64", 1, 10'000),
};

class own_radio final : public sdk::radio {
 public:
  own_radio(sdk::host out, cpns_role as, const sdk::parameters& p, bool probe)
      : out_(out), loop_(out), central_(as == CPNS_ROLE_CENTRAL), mtu_(p.number("mtu")),
        max_links_(p.number("max_links")) {
    const auto path = p.text("folder") + "/gateway";
    std::strncpy(gateway_.sun_path, path.c_str(), sizeof gateway_.sun_path - 1);
    if (probe) return;  // the parameters are checked; leave no trace
    if (central_) listen();
    loop_.after(0, [this] { tick(); });
  }
  ~own_radio() override {
    for (const auto& [id, l] : links_) ::close(l->fd);
    if (listener_ >= 0) ::unlink(gateway_.sun_path), ::close(listener_);
  }

  void limits(cpns_limits& l) override {
    l.mtu = static_cast<std::uint32_t>(mtu_);
    l.max_links = static_cast<std::uint32_t>(max_links_);
    l.max_endpoints = central_ ? 0 : l.max_links;
    l.traits = CPNS_TRAIT_RELIABLE | CPNS_TRAIT_ORDERED | CPNS_TRAIT_MAY_SCAN_WHILE_CONNECTED;
  }
  cpns_status scan(bool on) override {
    if (!central_) return CPNS_UNSUPPORTED;
    std::lock_guard lock{guard_};
    scanning_ = on;
    return CPNS_OK;
  }
  cpns_status add_endpoint(std::uint64_t endpoint, std::string_view) override {
    if (central_) return CPNS_UNSUPPORTED;
    std::lock_guard lock{guard_};
    if (endpoints_.size() >= max_links_) return CPNS_LIMIT;
    return endpoints_.emplace(endpoint, false).second ? CPNS_OK : CPNS_LIMIT;
  }
  void remove_endpoint(std::uint64_t endpoint) override {
    std::lock_guard lock{guard_};
    endpoints_.erase(endpoint);
    for (const auto& [id, l] : links_)
      if (l->endpoint == endpoint) l->endpoint = 0, l->end(CPNS_DOWN_CLOSED);
  }
  cpns_status send(std::uint64_t id, std::span<const std::uint8_t> frame) override {
    if (frame.empty() || frame.size() > mtu_) return CPNS_LIMIT;
    std::lock_guard lock{guard_};
    const auto it = links_.find(id);
    if (it == links_.end() || !it->second->greeted || it->second->ending != 0) return CPNS_NO_LINK;
    auto& l = *it->second;
    if (::send(l.fd, frame.data(), frame.size(), MSG_NOSIGNAL) >= 0) return CPNS_OK;
    if (errno == EAGAIN) return l.watch.wait_for(CPNS_FD_READABLE | CPNS_FD_WRITABLE), CPNS_WOULD_BLOCK;
    return l.end(CPNS_DOWN_LOST), CPNS_NO_LINK;
  }
  void disconnect(std::uint64_t id) override {
    std::lock_guard lock{guard_};
    if (const auto it = links_.find(id); it != links_.end()) it->second->end(CPNS_DOWN_CLOSED);
  }
  void stop() override {
    {
      std::lock_guard lock{guard_};
      closing_ = true;
    }
    loop_.stop();  // after this, no callback of this radio runs in the host's thread
  }

 private:
  struct link {
    int fd = -1;
    std::uint64_t endpoint = 0;
    bool greeted = false;
    std::uint32_t ending = 0;  ///< 0, or the reason why it goes down at the next tick
    sdk::loop::watch watch{};
    void end(std::uint32_t why) { ending = ending != 0 ? ending : why; }
  };

  /// Replaces the socket of a gateway that is gone; fails if another gateway answers at it.
  void listen() {
    const auto* at = reinterpret_cast<const sockaddr*>(&gateway_);
    listener_ = ::socket(AF_UNIX, kind, 0);
    if (::connect(listener_, at, sizeof gateway_) != 0 && errno == ECONNREFUSED) ::unlink(gateway_.sun_path);
    if (::bind(listener_, at, sizeof gateway_) == 0 && ::listen(listener_, 64) == 0) return;
    const auto why = errno;
    ::close(std::exchange(listener_, -1));
    throw sdk::unavailable{std::string{gateway_.sun_path} + ": " + std::strerror(why)};
  }

  /// In the host's thread, periodically: makes new connections, and reports links that have ended.
  void tick() {
    std::vector<std::pair<std::uint64_t, link*>> fresh;
    std::vector<std::pair<std::uint64_t, std::unique_ptr<link>>> over;
    {
      std::lock_guard lock{guard_};
      while (auto* l = connected()) fresh.emplace_back(last_link_, l);
      for (auto it = links_.begin(); it != links_.end();) {
        auto here = it++;
        if (here->second->ending != 0)
          over.emplace_back(here->first, std::move(here->second)), links_.erase(here);
      }
    }
    for (auto& [id, l] : over) {
      loop_.forget(l->watch);
      if (l->greeted) out_.link_down(id, static_cast<cpns_down_reason>(l->ending));
      ::close(l->fd);
      std::lock_guard lock{guard_};
      if (const auto e = endpoints_.find(l->endpoint); e != endpoints_.end()) e->second = false;
    }
    for (const auto& [id, l] : fresh) {
      if (central_ && l->greeted) out_.link_up(id, 0, "unixgram");
      l->watch.wait_for(CPNS_FD_READABLE);
    }
    std::lock_guard lock{guard_};
    if (!closing_) loop_.after(tick_ms, [this] { tick(); });
  }

  /// Call it with the lock held: a new connection, if possible now; otherwise nullptr.
  link* connected() {
    if (closing_ || links_.size() >= max_links_) return nullptr;
    auto l = std::make_unique<link>();
    if (central_) {
      l->fd = scanning_ ? ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK) : -1;
      l->greeted = l->fd >= 0 && ::send(l->fd, "W", 1, MSG_NOSIGNAL) == 1;
      if (l->fd >= 0 && !l->greeted) l->end(CPNS_DOWN_LOST);
    } else {
      const auto e =
          std::find_if(endpoints_.begin(), endpoints_.end(), [](const auto& x) { return !x.second; });
      if (e == endpoints_.end()) return nullptr;
      l->fd = ::socket(AF_UNIX, kind, 0);
      if (::connect(l->fd, reinterpret_cast<const sockaddr*>(&gateway_), sizeof gateway_) != 0)
        ::close(std::exchange(l->fd, -1));
      else
        l->endpoint = e->first, e->second = true;
    }
    if (l->fd < 0) return nullptr;
    const auto id = ++last_link_;
    l->watch = loop_.on(l->fd, 0, [this, id, l = l.get()](std::uint32_t events) { ready(id, *l, events); });
    return links_.emplace(id, std::move(l)).first->second.get();
  }

  /// In the host's thread: datagrams arrived, or more can be sent.
  void ready(std::uint64_t id, link& l, std::uint32_t events) {
    if ((events & CPNS_FD_WRITABLE) != 0) {
      l.watch.wait_for(CPNS_FD_READABLE);
      if (l.greeted) out_.writable(id);
    }
    std::array<std::uint8_t, 4096> data;
    for (ssize_t n = 1; n > 0;) {
      n = ::recv(l.fd, data.data(), data.size(), MSG_TRUNC);
      if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
      const auto size = static_cast<std::size_t>(std::max<ssize_t>(n, 0));
      bool greeted = false, frame = false;
      {
        std::lock_guard lock{guard_};
        const bool up = l.ending == 0 && !closing_;
        greeted = up && n == 1 && !l.greeted;
        frame = up && n > 0 && size <= mtu_ && l.greeted;
        if (greeted) l.greeted = true;
        if (!greeted && !frame) l.end(n > 0 ? CPNS_DOWN_BAD_FRAME : CPNS_DOWN_LOST);
        if (n <= 0) l.watch.wait_for(0);
      }
      if (greeted) out_.link_up(id, l.endpoint, gateway_.sun_path);
      if (frame) out_.frame(id, {data.data(), size});
    }
  }

  sdk::host out_;
  sdk::loop loop_;
  const bool central_;
  const std::uint64_t mtu_, max_links_;
  sockaddr_un gateway_{AF_UNIX, {}};
  int listener_ = -1;
  std::mutex guard_;  ///< protects all below; not held during calls in which the host may call back or wait
  bool scanning_ = false, closing_ = false;
  std::uint64_t last_link_ = 0;
  std::map<std::uint64_t, bool> endpoints_;  ///< endpoint to whether it has a connection
  std::map<std::uint64_t, std::unique_ptr<link>> links_;
};

std::unique_ptr<sdk::radio> make(sdk::host out, cpns_role as, const sdk::parameters& p, bool probe) {
  return std::make_unique<own_radio>(out, as, p, probe);
}

}  // namespace

CPNS_TRANSPORT("unixgram", "1.0.0", "Frames as UNIX datagrams on one machine", specs, make)
