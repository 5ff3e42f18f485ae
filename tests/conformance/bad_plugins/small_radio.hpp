#pragma once
// A small radio inside one process that keeps every rule. Each bad plugin beside this file breaks one, by
// overriding a member; `good.cpp` overrides nothing and has to pass.

#include <poll.h>

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "plugins/sdk/parameters.h"

namespace bad {

inline constexpr cpns_parameter_spec specs[] = {
    {"network", "A name; radios of one process meet when it is the same.", CPNS_PARAMETER_TEXT,
     CPNS_PARAMETER_OF_BOTH | CPNS_PARAMETER_IS_ADDRESS, "small", 1, 64, nullptr},
    {"channel", "A number that both sides keep to themselves.", CPNS_PARAMETER_NUMBER, CPNS_PARAMETER_OF_BOTH,
     "7", 1, 40, nullptr},
    {"loud", "Whether it is loud.", CPNS_PARAMETER_BOOLEAN, CPNS_PARAMETER_OF_CENTRAL, "false", 0, 0,
     nullptr},
};
inline constexpr cpns_parameter_list known = CPNS_PARAMETER_LIST(specs);

using bytes = std::vector<std::uint8_t>;

/// A fault that takes its time.
inline void pause(int ms) { ::poll(nullptr, 0, ms); }

class radio;
/// What all instances of the process share; the lock of everything below.
struct shared {
  std::mutex guard;
  std::set<radio*> radios;
};
inline shared& air() {
  static shared a;
  return a;
}

class radio {
 public:
  radio(const cpns_host* host, std::uint32_t role, std::string network)
      : host_(host), role_(role), network_(std::move(network)) {
    table_.size = sizeof table_;
    table_.context = this;
    fill(table_);
    std::lock_guard lock{air().guard};
    air().radios.insert(this);
    worker_ = std::thread{[this] { work(); }};
  }
  virtual ~radio() = default;
  const cpns_transport* table() const { return &table_; }
  bool is(std::uint32_t role, const std::string& network) const {
    return role_ == role && network_ == network;
  }

  /// Whether open may take these.
  static cpns_status check_parameters(const cpns_host* host, const cpns_open_args* args) {
    return cpns_parameters_check(&known, host, args);
  }
  static bool knows_role(std::uint32_t role) {
    return role == CPNS_ROLE_CENTRAL || role == CPNS_ROLE_PERIPHERAL;
  }
  /// Before anything else in open; anything but CPNS_OK ends it.
  static cpns_status before_open(const cpns_host*, const cpns_open_args*) { return CPNS_OK; }
  /// The last thing in open.
  virtual void opened() {}

 protected:
  static constexpr std::uint32_t mtu = 200, max_links = 8;
  static constexpr std::size_t lane_max = 64;

  struct link {
    radio* peer = nullptr;
    std::uint64_t peer_link = 0, endpoint = 0, presented = 0;
    std::size_t on_air = 0;  ///< frames that this side sent and that have not arrived
    bool blocked = false, told_up = false;
  };

  virtual bool has_room() { return links_.size() < max_links; }
  virtual std::uint64_t fresh_link() { return ++last_link_; }
  virtual std::uint32_t traits() {
    return CPNS_TRAIT_RELIABLE | CPNS_TRAIT_ORDERED | CPNS_TRAIT_MAY_SCAN_WHILE_CONNECTED;
  }
  // In the worker's thread, without the lock.
  virtual void tell_up(std::uint64_t l, std::uint64_t endpoint) {
    host_->link_up(host_->context, l, endpoint, "small");
  }
  virtual void tell_down(std::uint64_t l) { host_->link_down(host_->context, l, CPNS_DOWN_CLOSED, "gone"); }
  virtual void tell_writable(std::uint64_t l) { host_->writable(host_->context, l); }
  virtual void hand_up(std::uint64_t l, bytes frame) {
    host_->frame(host_->context, l, frame.data(), frame.size());
  }
  /// Under the lock: this frame is lost, or overtakes others.
  virtual bool loses_frame() { return false; }
  virtual bool overtakes() { return false; }

  virtual cpns_status scan(bool on) {
    if (role_ != CPNS_ROLE_CENTRAL) return CPNS_UNSUPPORTED;
    std::lock_guard lock{air().guard};
    scanning_ = on;
    meet();
    return CPNS_OK;
  }
  virtual cpns_status add_endpoint(std::uint64_t endpoint) {
    if (role_ != CPNS_ROLE_PERIPHERAL) return CPNS_UNSUPPORTED;
    std::lock_guard lock{air().guard};
    if (!endpoints_.insert(endpoint).second) return CPNS_LIMIT;
    meet();
    return CPNS_OK;
  }
  virtual void remove_endpoint(std::uint64_t endpoint) {
    std::lock_guard lock{air().guard};
    if (endpoints_.erase(endpoint) == 0) return;
    for (const auto l : links_of(endpoint)) cut(l);
  }
  virtual const void* extension(const std::string&) { return nullptr; }
  virtual cpns_status connect(const std::string&) { return CPNS_UNSUPPORTED; }
  virtual void cancel(const std::string&) {}
  virtual cpns_status send(std::uint64_t l, const std::uint8_t* data, std::size_t size) {
    if (size == 0 || size > mtu) return CPNS_LIMIT;
    std::lock_guard lock{air().guard};
    const auto it = links_.find(l);
    if (it == links_.end()) return CPNS_NO_LINK;
    if (it->second.on_air >= lane_max) {
      it->second.blocked = true;
      return CPNS_WOULD_BLOCK;
    }
    if (loses_frame()) return CPNS_OK;
    ++it->second.on_air;
    auto& peer = *it->second.peer;
    const auto peer_link = it->second.peer_link;
    const bool first = overtakes() && peer.links_[peer_link].told_up;
    peer.post([&peer, peer_link, frame = bytes{data, data + size}] { peer.arrive(peer_link, frame); }, first);
    return CPNS_OK;
  }
  virtual void disconnect(std::uint64_t l) {
    std::lock_guard lock{air().guard};
    cut(l);
  }
  virtual void close() {
    {
      std::lock_guard lock{air().guard};
      air().radios.erase(this);
      while (!links_.empty()) cut(links_.begin()->first);
      ending_ = true;
    }
    wake_.notify_all();
    worker_.join();
    delete this;
  }

  /// Under the lock from here on.
  void post(std::function<void()> task, bool first = false) {
    if (ending_) return;
    if (first)
      tasks_.push_front(std::move(task));
    else
      tasks_.push_back(std::move(task));
    wake_.notify_one();
  }
  virtual void cut(std::uint64_t l) {
    const auto it = links_.find(l);
    if (it == links_.end()) return;
    auto& peer = *it->second.peer;
    const auto peer_link = it->second.peer_link;
    met_.erase({&peer, it->second.presented});
    peer.met_.erase({this, it->second.presented});
    links_.erase(it);
    peer.links_.erase(peer_link);
    post([this, l] { tell_down(l); });
    peer.post([&peer, peer_link] { peer.tell_down(peer_link); });
  }
  std::vector<std::uint64_t> links_of(std::uint64_t endpoint) {
    std::vector<std::uint64_t> out;
    for (const auto& [id, l] : links_)
      if (l.presented == endpoint) out.push_back(id);
    return out;
  }
  static void meet() {
    for (auto* c : air().radios)
      for (auto* p : air().radios)
        if (c->role_ == CPNS_ROLE_CENTRAL && p->role_ == CPNS_ROLE_PERIPHERAL && c->scanning_ &&
            c->network_ == p->network_)
          for (const auto e : p->endpoints_) c->join(*p, e);
  }
  void join(radio& p, std::uint64_t endpoint) {
    if (met_.count({&p, endpoint}) != 0 || !has_room() || !p.has_room()) return;
    met_.insert({&p, endpoint});
    p.met_.insert({this, endpoint});
    const auto own = fresh_link(), theirs = p.fresh_link();
    links_[own] = {&p, theirs, 0, endpoint, 0, false, false};
    p.links_[theirs] = {this, own, endpoint, endpoint, 0, false, false};
    p.post([&p, theirs, endpoint] { p.up(theirs, endpoint); });
    post([this, own] { up(own, 0); });
  }

  const cpns_host* host_;
  const std::uint32_t role_;
  const std::string network_;
  cpns_transport table_{};
  std::map<std::uint64_t, link> links_;
  std::uint64_t last_link_ = 0;
  bool scanning_ = false;
  std::set<std::uint64_t> endpoints_;

 private:
  void work() {
    std::unique_lock lock{air().guard};
    while (!ending_) {
      if (tasks_.empty()) {
        wake_.wait(lock);
        continue;
      }
      const auto task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
      lock.lock();
    }
  }
  void up(std::uint64_t l, std::uint64_t endpoint) {
    tell_up(l, endpoint);
    std::lock_guard lock{air().guard};
    if (const auto it = links_.find(l); it != links_.end()) it->second.told_up = true;
  }
  void arrive(std::uint64_t l, const bytes& frame) {
    {
      std::lock_guard lock{air().guard};
      const auto it = links_.find(l);
      if (it == links_.end()) return;
      auto& peer = *it->second.peer;
      const auto peer_link = it->second.peer_link;
      auto& lane = peer.links_[peer_link];
      if (--lane.on_air <= lane_max / 2 && lane.blocked) {
        lane.blocked = false;
        peer.post([&peer, peer_link] { peer.tell_writable(peer_link); });
      }
    }
    hand_up(l, frame);
  }

  static radio& of(void* c) { return *static_cast<radio*>(c); }
  static void fill(cpns_transport& t) {
    t.get_limits = [](void* c, cpns_limits* out) {
      out->mtu = mtu;
      out->max_links = max_links;
      out->max_endpoints = of(c).role_ == CPNS_ROLE_PERIPHERAL ? 1000 : 0;
      out->traits = of(c).traits();
    };
    t.scan = [](void* c, bool on) { return of(c).scan(on); };
    t.add_endpoint = [](void* c, std::uint64_t e, const char*) { return of(c).add_endpoint(e); };
    t.remove_endpoint = [](void* c, std::uint64_t e) { of(c).remove_endpoint(e); };
    t.connect = [](void* c, const char* a) { return of(c).connect(a); };
    t.send = [](void* c, std::uint64_t l, const std::uint8_t* d, std::size_t n) {
      return of(c).send(l, d, n);
    };
    t.disconnect = [](void* c, std::uint64_t l) { of(c).disconnect(l); };
    t.close = [](void* c) { of(c).close(); };
    t.get_extension = [](void* c, const char* id) { return of(c).extension(id); };
    t.cancel = [](void* c, const char* a) { of(c).cancel(a); };
  }

  std::set<std::pair<radio*, std::uint64_t>> met_;
  std::deque<std::function<void()>> tasks_;
  std::condition_variable wake_;
  bool ending_ = false;
  std::thread worker_;
};

template <class Radio>
cpns_status open(const cpns_host* host, const cpns_open_args* args, const cpns_transport** out) {
  constexpr auto first_host = offsetof(cpns_host, get_extension) + sizeof host->get_extension;
  if (host->size < first_host || args->size < sizeof(cpns_open_args)) return CPNS_ERROR;
  if (!Radio::knows_role(args->role)) return CPNS_UNSUPPORTED;
  if (const auto said = Radio::check_parameters(host, args); said != CPNS_OK) return said;
  const std::string network = cpns_parameter_text(&known, args, "network");
  if (const auto said = Radio::before_open(host, args); said != CPNS_OK) return said;
  auto* made = new Radio{host, args->role, args->probe ? "a probe" : network};
  made->opened();
  *out = made->table();
  return CPNS_OK;
}

}  // namespace bad

/// Defines the exported entry, with other declarations or the usual ones.
#define BAD_PLUGIN_WITH(Radio, Specs, count)                                                                 \
  extern "C" CPNS_EXPORT const cpns_transport_entry_t cpns_transport_entry = {                               \
      sizeof(cpns_transport_entry_t),                                                                        \
      CPNS_ABI_MAJOR,                                                                                        \
      CPNS_ABI_MINOR,                                                                                        \
      0,                                                                                                     \
      "small",                                                                                               \
      "1",                                                                                                   \
      "A small radio with one fault",                                                                        \
      &bad::open<Radio>,                                                                                     \
      Specs,                                                                                                 \
      count,                                                                                                 \
      sizeof(cpns_parameter_spec)}
#define BAD_PLUGIN(Radio) BAD_PLUGIN_WITH(Radio, bad::specs, bad::known.count)
