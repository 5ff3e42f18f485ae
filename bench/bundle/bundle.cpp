// A radio for measurements: all PNEs of a process share one UNIX socket to the gateway, so that neither descriptors nor
// system calls per link are measured. The gateway listens at a path; each process of PNEs connects to it. Everything runs
// in the host's thread; a lock protects what the other threads may call.
#include <sys/un.h>

#include <array>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <unordered_map>

#include "bench/bundle/line.hpp"
#include "plugins/sdk/transport.hpp"

namespace {

using namespace cpns;
using bundle::kind;
using bundle::line;

constexpr std::uint64_t again_ms = 20;        // between attempts to connect, and to offer a link again
constexpr std::size_t address_size_max = 64;  // bytes of a PNE's address
constexpr int reads_max = 8;                  // of one line, before others have their turn
constexpr int socket_kind = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;

constexpr std::array specs{
    sdk::text("socket", "Path of the gateway's UNIX socket.", nullptr, 1, 100,
              CPNS_PARAMETER_OF_BOTH | CPNS_PARAMETER_IS_ADDRESS),
    sdk::number("mtu", "Bytes of a frame; the same on both sides.", "1026", 23, 4096),
    sdk::number("max_links", "Links at the same time.", "1000000", 1, 4'000'000),
};

class bundle_radio final : public sdk::radio {
 public:
  bundle_radio(sdk::host out, cpns_role as, const sdk::parameters& p, bool probe)
      : out_(out), loop_(out), central_(as == CPNS_ROLE_CENTRAL), mtu_(p.number("mtu")),
        max_links_(p.number("max_links")), name_(std::to_string(std::random_device{}())) {
    std::strncpy(gateway_.sun_path, p.text("socket").c_str(), sizeof gateway_.sun_path - 1);
    if (central_ && !probe) listen();
  }
  ~bundle_radio() override {
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
    for (const auto& [l, kept] : lines_) tell_scanning(*l);
    return CPNS_OK;
  }
  cpns_status add_endpoint(std::uint64_t endpoint, std::string_view) override {
    if (central_) return CPNS_UNSUPPORTED;
    std::lock_guard lock{guard_};
    if (endpoints_.size() >= max_links_ || !endpoints_.emplace(endpoint, 0).second) return CPNS_LIMIT;
    if (lines_.empty())
      connect_later(0);
    else
      offer(endpoint);
    return CPNS_OK;
  }
  void remove_endpoint(std::uint64_t endpoint) override {
    std::lock_guard lock{guard_};
    const auto at = endpoints_.find(endpoint);
    if (at == endpoints_.end()) return;
    const auto id = at->second;
    endpoints_.erase(at);
    end(id, CPNS_DOWN_CLOSED);
  }
  cpns_status send(std::uint64_t id, std::span<const std::uint8_t> frame) override {
    if (frame.empty() || frame.size() > mtu_) return CPNS_LIMIT;
    std::lock_guard lock{guard_};
    const auto at = links_.find(id);
    if (at == links_.end() || !at->second.up) return CPNS_NO_LINK;
    auto& l = *at->second.over;
    if (l.is_full()) return l.wait_for_room(id), CPNS_WOULD_BLOCK;
    l.put(kind::frame, at->second.far, frame);
    return CPNS_OK;
  }
  void disconnect(std::uint64_t id) override {
    std::lock_guard lock{guard_};
    if (const auto at = links_.find(id); at != links_.end() && at->second.up) end(id, CPNS_DOWN_CLOSED);
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
    line* over = nullptr;
    std::uint64_t far = 0;       ///< the peer's number
    std::uint64_t endpoint = 0;  ///< 0 at a gateway
    bool up = false;             ///< at a PNE: false while it is only offered
  };
  struct ended {
    std::uint64_t id = 0, endpoint = 0;
    cpns_down_reason why = CPNS_DOWN_CLOSED;
  };

  /// Replaces the socket of a gateway that is gone; fails if another gateway answers at it.
  void listen() {
    const auto* at = reinterpret_cast<const sockaddr*>(&gateway_);
    listener_ = ::socket(AF_UNIX, socket_kind, 0);
    if (::connect(listener_, at, sizeof gateway_) != 0 && errno == ECONNREFUSED) ::unlink(gateway_.sun_path);
    if (::bind(listener_, at, sizeof gateway_) != 0 || ::listen(listener_, 64) != 0) {
      const auto why = errno;
      ::close(std::exchange(listener_, -1));
      throw sdk::unavailable{std::string{gateway_.sun_path} + ": " + std::strerror(why)};
    }
    loop_.on(listener_, CPNS_FD_READABLE, [this](std::uint32_t) { accept(); });
  }
  void accept() {
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    std::lock_guard lock{guard_};
    if (fd >= 0) tell_scanning(adopt(fd));
  }
  /// Call it with the lock held.
  void connect_later(std::uint64_t ms) {
    if (closing_ || std::exchange(connecting_, true)) return;
    loop_.after(ms, [this] {
      const int fd = ::socket(AF_UNIX, socket_kind, 0);
      const auto* to = reinterpret_cast<const sockaddr*>(&gateway_);
      const bool connected = fd >= 0 && ::connect(fd, to, sizeof gateway_) == 0;
      std::lock_guard lock{guard_};
      connecting_ = false;
      if (connected) return void(adopt(fd));
      if (fd >= 0) ::close(fd);
      connect_later(again_ms);
    });
  }
  /// Call it with the lock held.
  line& adopt(int fd) {
    auto fresh = std::make_shared<line>(fd);
    lines_.emplace(fresh.get(), fresh);
    fresh->watched_by(
        loop_.on(fd, CPNS_FD_READABLE, [this, fresh](std::uint32_t events) { ready(fresh, events); }));
    return *fresh;
  }
  void tell_scanning(line& l) {
    const std::uint8_t on = scanning_ ? 1 : 0;
    l.put(kind::scanning, 0, {&on, 1});
  }

  /// In the host's thread.
  void ready(const std::shared_ptr<line>& l, std::uint32_t events) {
    if ((events & CPNS_FD_WRITABLE) != 0) {
      std::unique_lock lock{guard_};
      const auto waiting = l->take_waiting();
      lock.unlock();
      for (const auto id : waiting)
        if (is_up(id)) out_.writable(id);
    }
    if ((events & CPNS_FD_READABLE) == 0) return;
    for (int n = 0; n < reads_max; ++n) {
      if (!l->read()) return lose(l, CPNS_DOWN_LOST);
      const auto packets = l->packets();
      if (packets.empty()) break;
      for (const auto& p : packets)
        if (!take(*l, p)) return lose(l, CPNS_DOWN_BAD_FRAME);
      l->drop();
    }
  }
  bool is_up(std::uint64_t id) {
    std::lock_guard lock{guard_};
    const auto at = links_.find(id);
    return at != links_.end() && at->second.up;
  }
  void lose(const std::shared_ptr<line>& l, cpns_down_reason why) {
    loop_.forget(l->watch());
    std::lock_guard lock{guard_};
    std::vector<std::uint64_t> all;
    for (const auto& [id, of] : links_)
      if (of.over == l.get()) all.push_back(id);
    for (const auto id : all) end(id, why);
    lines_.erase(l.get());
    gateway_scans_ = false;
    if (!central_) connect_later(again_ms);
  }

  /// False: the peer breaks the rules.
  bool take(line& l, const bundle::packet& p) {
    switch (p.what) {
    case kind::scanning: return !central_ && p.content.size() == 1 && heard_scanning(p.content[0] != 0);
    case kind::offer: return central_ && heard_offer(l, p);
    case kind::up: return !central_ && p.content.size() == 8 && heard_up(l, p);
    case kind::full: return !central_ && heard_full(p.number);
    case kind::down: return heard_down(l, p.number);
    case kind::frame: return heard_frame(l, p);
    }
    return false;
  }
  bool heard_scanning(bool on) {
    std::lock_guard lock{guard_};
    gateway_scans_ = on;
    for (const auto& [endpoint, id] : endpoints_)
      if (id == 0) offer(endpoint);
    return true;
  }
  /// Call it with the lock held.
  void offer(std::uint64_t endpoint) {
    if (!gateway_scans_ || lines_.empty() || closing_) return;
    const auto id = ++last_link_;
    endpoints_[endpoint] = id;
    links_[id] = {lines_.begin()->first, 0, endpoint, false};
    const auto address = "bundle:" + name_ + "/" + std::to_string(endpoint);
    links_[id].over->put(kind::offer, id,
                         {reinterpret_cast<const std::uint8_t*>(address.data()), address.size()});
  }
  bool heard_offer(line& l, const bundle::packet& p) {
    if (p.content.empty() || p.content.size() > address_size_max) return false;
    for (const auto c : p.content)
      if (c < 0x21 || c > 0x7e) return false;
    std::unique_lock lock{guard_};
    if (!scanning_ || links_.size() >= max_links_) {
      refused_ = true;
      l.put(kind::full, p.number);
      return true;
    }
    const auto id = ++last_link_;
    links_[id] = {&l, p.number, 0, true};
    bundle::bytes number;
    bundle::append_number(number, id, 8);
    l.put(kind::up, p.number, number);
    lock.unlock();
    out_.link_up(id, 0, std::string{p.content.begin(), p.content.end()});
    return true;
  }
  bool heard_up(line& l, const bundle::packet& p) {
    const auto far = bundle::read_number(p.content);
    std::unique_lock lock{guard_};
    const auto at = links_.find(p.number);
    if (at == links_.end()) return l.put(kind::down, far), true;  // the PNE was removed meanwhile
    if (at->second.up) return false;
    at->second.far = far;
    at->second.up = true;
    const auto endpoint = at->second.endpoint;
    lock.unlock();
    out_.link_up(p.number, endpoint, std::string{"bundle:"} + gateway_.sun_path);
    return true;
  }
  bool heard_full(std::uint64_t id) {
    std::lock_guard lock{guard_};
    const auto at = links_.find(id);
    if (at == links_.end()) return true;
    if (at->second.up) return false;
    if (const auto e = endpoints_.find(at->second.endpoint); e != endpoints_.end()) e->second = 0;
    links_.erase(at);
    return true;
  }
  bool heard_down(line& l, std::uint64_t id) {
    std::lock_guard lock{guard_};
    const auto at = links_.find(id);
    if (at == links_.end()) return true;
    if (at->second.over != &l || !at->second.up) return false;
    at->second.far = 0;  // it knows
    end(id, CPNS_DOWN_CLOSED);
    return true;
  }
  bool heard_frame(line& l, const bundle::packet& p) {
    if (p.content.empty() || p.content.size() > mtu_) return false;
    {
      std::lock_guard lock{guard_};
      const auto at = links_.find(p.number);
      if (at == links_.end() || closing_) return true;  // on its way while this side ended the link
      if (at->second.over != &l || !at->second.up) return false;
    }
    out_.frame(p.number, p.content);
    return true;
  }

  /// Call it with the lock held. The host is told in its own thread.
  void end(std::uint64_t id, cpns_down_reason why) {
    const auto at = links_.find(id);
    if (at == links_.end()) return;
    auto& l = at->second;
    if (l.up) {
      if (l.far != 0) l.over->put(kind::down, l.far);
      if (ended_.empty() && !closing_) loop_.after(0, [this] { tell_ended(); });
      ended_.push_back({id, l.endpoint, why});
    } else if (const auto e = endpoints_.find(l.endpoint); e != endpoints_.end() && e->second == id) {
      e->second = 0;
    }
    links_.erase(at);
  }
  void tell_ended() {
    std::unique_lock lock{guard_};
    const auto all = std::exchange(ended_, {});
    lock.unlock();
    for (const auto& e : all) out_.link_down(e.id, e.why);
    lock.lock();
    if (std::exchange(refused_, false))
      for (const auto& [l, kept] : lines_) tell_scanning(*l);
    std::vector<std::uint64_t> still_there;
    for (const auto& e : all)
      if (const auto at = endpoints_.find(e.endpoint); at != endpoints_.end() && at->second == e.id) {
        at->second = 0;
        still_there.push_back(e.endpoint);
      }
    if (still_there.empty() || closing_) return;
    loop_.after(again_ms, [this, still_there] {
      std::lock_guard again{guard_};
      for (const auto endpoint : still_there)
        if (const auto at = endpoints_.find(endpoint); at != endpoints_.end() && at->second == 0)
          offer(endpoint);
    });
  }

  sdk::host out_;
  sdk::loop loop_;
  const bool central_;
  const std::uint64_t mtu_, max_links_;
  const std::string name_;  ///< of this process, in the addresses of its PNEs
  sockaddr_un gateway_{AF_UNIX, {}};
  int listener_ = -1;
  std::mutex guard_;  ///< protects all below; not held during calls of the host's functions
  bool scanning_ = false, refused_ = false;          ///< of a gateway
  bool gateway_scans_ = false, connecting_ = false;  ///< of PNEs
  bool closing_ = false;
  std::uint64_t last_link_ = 0;
  std::map<line*, std::shared_ptr<line>> lines_;
  std::unordered_map<std::uint64_t, link> links_;
  std::unordered_map<std::uint64_t, std::uint64_t> endpoints_;  ///< with the number of the link, or 0
  std::vector<ended> ended_;
};

std::unique_ptr<sdk::radio> make(sdk::host out, cpns_role as, const sdk::parameters& p, bool probe) {
  return std::make_unique<bundle_radio>(out, as, p, probe);
}

}  // namespace

CPNS_TRANSPORT("bundle", "1.0.0", "Many links over one UNIX socket, for measurements", specs, make)
