#include "small_radio.hpp"

namespace bad {

shared& air() {
  static shared a;
  return a;
}

radio::radio(const cpns_host* host, std::uint32_t role, std::string network)
    : host_(host), role_(role), network_(std::move(network)) {
  table_.size = sizeof table_;
  table_.context = this;
  fill(table_);
  std::lock_guard lock{air().guard};
  air().radios.insert(this);
  worker_ = std::thread{[this] { work(); }};
}

cpns_status radio::scan(bool on) {
  if (role_ != CPNS_ROLE_CENTRAL) return CPNS_UNSUPPORTED;
  std::lock_guard lock{air().guard};
  scanning_ = on;
  meet();
  return CPNS_OK;
}

cpns_status radio::add_endpoint(std::uint64_t endpoint) {
  if (role_ != CPNS_ROLE_PERIPHERAL) return CPNS_UNSUPPORTED;
  std::lock_guard lock{air().guard};
  if (!endpoints_.insert(endpoint).second) return CPNS_LIMIT;
  meet();
  return CPNS_OK;
}

void radio::remove_endpoint(std::uint64_t endpoint) {
  std::lock_guard lock{air().guard};
  if (endpoints_.erase(endpoint) == 0) return;
  for (const auto l : links_of(endpoint)) cut(l);
}

cpns_status radio::send(std::uint64_t l, const std::uint8_t* data, std::size_t size) {
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

void radio::disconnect(std::uint64_t l) {
  std::lock_guard lock{air().guard};
  cut(l);
}

void radio::close() {
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

void radio::post(std::function<void()> task, bool first) {
  if (ending_) return;
  if (first)
    tasks_.push_front(std::move(task));
  else
    tasks_.push_back(std::move(task));
  wake_.notify_one();
}

void radio::cut(std::uint64_t l) {
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

std::vector<std::uint64_t> radio::links_of(std::uint64_t endpoint) {
  std::vector<std::uint64_t> out;
  for (const auto& [id, l] : links_)
    if (l.presented == endpoint) out.push_back(id);
  return out;
}

void radio::meet() {
  for (auto* c : air().radios)
    for (auto* p : air().radios)
      if (c->role_ == CPNS_ROLE_CENTRAL && p->role_ == CPNS_ROLE_PERIPHERAL && c->scanning_ &&
          c->network_ == p->network_)
        for (const auto e : p->endpoints_) c->join(*p, e);
}

void radio::join(radio& p, std::uint64_t endpoint) {
  if (met_.count({&p, endpoint}) != 0 || !has_room() || !p.has_room()) return;
  met_.insert({&p, endpoint});
  p.met_.insert({this, endpoint});
  const auto own = fresh_link(), theirs = p.fresh_link();
  links_[own] = {&p, theirs, 0, endpoint, 0, false, false};
  p.links_[theirs] = {this, own, endpoint, endpoint, 0, false, false};
  p.post([&p, theirs, endpoint] { p.up(theirs, endpoint); });
  post([this, own] { up(own, 0); });
}

void radio::work() {
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

void radio::up(std::uint64_t l, std::uint64_t endpoint) {
  tell_up(l, endpoint);
  std::lock_guard lock{air().guard};
  if (const auto it = links_.find(l); it != links_.end()) it->second.told_up = true;
}

void radio::arrive(std::uint64_t l, const bytes& frame) {
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

void radio::fill(cpns_transport& t) {
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
  t.send = [](void* c, std::uint64_t l, const std::uint8_t* d, std::size_t n) { return of(c).send(l, d, n); };
  t.disconnect = [](void* c, std::uint64_t l) { of(c).disconnect(l); };
  t.close = [](void* c) { of(c).close(); };
  t.get_extension = [](void* c, const char* id) { return of(c).extension(id); };
  t.cancel = [](void* c, const char* a) { of(c).cancel(a); };
}

}  // namespace bad
