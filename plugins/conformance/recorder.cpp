#include "plugins/conformance/recorder.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>

namespace cpns::conformance {
namespace {

recorder& of(void* context) { return *static_cast<recorder*>(context); }

plugins::event_loop& loop_of(void* context) { return of(context).loop; }

std::string text_of(const char* t) { return t == nullptr ? std::string{} : std::string(t, strnlen(t, 200)); }

}  // namespace

recorder::recorder(bench& b, cpns_role role, plugins::simulated_clock* simulated)
    : loop(
          [this] {
            broken("nothing-throws",
                   "no function may throw: an exception left a timer or descriptor callback of " + who());
          },
          simulated),
      bench_(b), role_(role) {
  // Covers only the functions set here: a later interface may add more, which plugins then do not call.
  table_.size = offsetof(cpns_host, bad_parameter) + sizeof table_.bad_parameter;
  table_.context = this;
  table_.link_up = [](void* c, std::uint64_t l, std::uint64_t e, const char* a) { of(c).link_up(l, e, a); };
  table_.link_down = [](void* c, std::uint64_t l, std::uint32_t r, const char* d) {
    of(c).link_down(l, r, d);
  };
  table_.frame = [](void* c, std::uint64_t l, const std::uint8_t* d, std::size_t n) { of(c).frame(l, d, n); };
  table_.writable = [](void* c, std::uint64_t l) { of(c).writable(l); };
  table_.peer_found = [](void* c, const char* a, std::int32_t) { of(c).peer_found(a); };
  table_.failed = [](void* c, const char* w) { of(c).failed(w); };
  table_.log = [](void* c, std::uint32_t l, const char* t) { of(c).log(l, t); };
  table_.get_extension = [](void* c, const char* id) {
    if (id != nullptr && std::strcmp(id, CPNS_EXT_CLOCK) == 0) of(c).asked_for_clock_ = true;
    return plugins::loop_extension<loop_of>(c, id);
  };
  table_.connect_failed = [](void* c, const char* a, const char* w) { of(c).connect_failed(a, w); };
  table_.bad_parameter = [](void* c, const char* n, const char* w) { of(c).bad_parameter(n, w); };
}

void recorder::expect_limits(const cpns_limits& limits) {
  std::lock_guard lock{guard_};
  mtu_ = limits.mtu;
  max_links_ = limits.max_links;
}

void recorder::expect_endpoint(std::uint64_t endpoint) {
  std::lock_guard lock{guard_};
  endpoints_.insert(endpoint);
}

bool recorder::is_allowed(const char* what) {
  callbacks_.fetch_add(1);
  switch (phase_.load()) {
  case phase::started: return true;
  case phase::closed:
    broken("no-callback-after-close",
           "no callback may run after close has returned: " + who() + "called " + what + " after it");
    return false;
  case phase::opening:
  case phase::opened:
    broken("no-callback-before-start", "callbacks are allowed after the first scan(on) or add_endpoint: " +
                                           who() + "called " + what + " before");
    return false;
  }
  return false;
}

void recorder::link_up(std::uint64_t l, std::uint64_t endpoint, const char* address) {
  if (!is_allowed("link_up")) return;
  bool fresh = false;
  {
    std::lock_guard lock{guard_};
    if (l == 0 || l <= highest_) {
      broken("link-ids-are-new", "link ids must only grow and are never reused: " + who() + "used link " +
                                     std::to_string(l) + " after link " + std::to_string(highest_));
    }
    // A reused id is recorded nevertheless, so that one fault does not look like many.
    if (const auto old = links_.find(l); l != 0 && (old == links_.end() || !old->second.up)) {
      fresh = true;
      highest_ = std::max(highest_, l);
      links_[l] = {endpoint, text_of(address), true, {}, 0, 0};
      if (++up_ > max_links_ && max_links_ != 0)
        broken("max-links-is-kept", who() + "declares at most " + std::to_string(max_links_) +
                                        " links and brought up " + std::to_string(up_));
    }
    if (role_ == CPNS_ROLE_CENTRAL && endpoint != 0)
      broken("endpoints-are-named",
             "endpoint must be 0 on a central's links: link_up named endpoint " + std::to_string(endpoint));
    if (role_ == CPNS_ROLE_PERIPHERAL && endpoints_.count(endpoint) == 0)
      broken("endpoints-are-named",
             "link_up of a peripheral must name an endpoint that was added: it named " +
                 std::to_string(endpoint));
    if (address == nullptr) broken("endpoints-are-named", "link_up must have the peer's address: it is NULL");
  }
  changed_.notify_all();
  if (fresh && on.up) on.up(l);
}

void recorder::link_down(std::uint64_t l, std::uint32_t reason, const char* detail) {
  if (!is_allowed("link_down")) return;
  (void)text_of(detail);
  {
    std::lock_guard lock{guard_};
    const auto it = links_.find(l);
    if (it == links_.end() || !it->second.up) {
      broken("link-down-once", "link_down must be called once for each link_up: " + who() +
                                   "called it for link " + std::to_string(l) +
                                   (it == links_.end() ? ", which never was up" : " once more"));
      return;
    }
    if (reason == 0) broken("link-down-once", "link_down must have a cpns_down_reason: it is 0");
    it->second.up = false;
    --up_;
  }
  changed_.notify_all();
  if (on.down) on.down(l);
}

void recorder::frame(std::uint64_t l, const std::uint8_t* data, std::size_t size) {
  if (!is_allowed("frame")) return;
  {
    std::lock_guard lock{guard_};
    const auto it = links_.find(l);
    if (it == links_.end() || !it->second.up) {
      broken("frames-between-up-and-down",
             "frames must arrive between link_up and link_down: " + who() + "passed one for link " +
                 std::to_string(l) + (it == links_.end() ? ", which is not up" : " after link_down"));
      return;
    }
    if (data == nullptr || size == 0 || (mtu_ != 0 && size > mtu_)) {
      broken("frames-keep-to-the-mtu", "a frame must have 1 to mtu (" + std::to_string(mtu_) +
                                           ") bytes: " + who() + "passed one of " + std::to_string(size));
      return;
    }
    if (!in_frame_.insert(l).second)
      broken("one-frame-at-a-time", "frame must be called once at a time per link: " + who() +
                                        "called it twice at once for link " + std::to_string(l));
    ++it->second.received;
    if (keep_frames) it->second.frames.emplace_back(data, data + size);
  }
  changed_.notify_all();
  if (on.frame) on.frame(l, {data, size});
  std::lock_guard lock{guard_};
  in_frame_.erase(l);
}

void recorder::writable(std::uint64_t l) {
  if (!is_allowed("writable")) return;
  {
    std::lock_guard lock{guard_};
    const auto it = links_.find(l);
    if (it != links_.end()) ++it->second.writable;
  }
  changed_.notify_all();
  if (on.writable) on.writable(l);
}

void recorder::peer_found(const char* address) {
  if (!is_allowed("peer_found")) return;
  if (role_ != CPNS_ROLE_CENTRAL || address == nullptr) {
    broken("link-comes-up", "peer_found must be called by a central, with an address");
    return;
  }
  {
    std::lock_guard lock{guard_};
    found_.insert(text_of(address));
  }
  changed_.notify_all();
}

void recorder::connect_failed(const char* address, const char* why) {
  if (!is_allowed("connect_failed")) return;
  (void)text_of(why);
  if (role_ != CPNS_ROLE_CENTRAL)
    broken("connect-tells-its-end", "connect_failed must be called by a central: a peripheral called it");
  if (address == nullptr)
    return broken("connect-tells-its-end", "connect_failed must have the address: it is NULL");
  {
    std::lock_guard lock{guard_};
    unreached_.insert(text_of(address));
  }
  changed_.notify_all();
}

void recorder::bad_parameter(const char* name, const char* why) {
  if (phase_.load() != phase::opening)
    broken("unknown-parameters-are-refused",
           "bad_parameter may only be called during open: " + who() + "called it later");
  std::lock_guard lock{guard_};
  refused_ = text_of(name);
  if (refused_.empty() || text_of(why).empty())
    broken("unknown-parameters-are-refused",
           "bad_parameter must have the name of the parameter and the reason: one is missing");
}

bool recorder::wait_unreached(const std::string& address, std::chrono::milliseconds limit) {
  std::unique_lock lock{guard_};
  return changed_.wait_for(lock, limit, [&] { return unreached_.count(address) != 0; });
}

std::string recorder::refused() const {
  std::lock_guard lock{guard_};
  return refused_;
}

void recorder::failed(const char* why) {
  if (!is_allowed("failed")) return;
  broken("link-comes-up", "the radio reported a failure: " + text_of(why));
}

void recorder::log(std::uint32_t level, const char* text) {
  if (phase_.load() == phase::closed)
    broken("no-callback-after-close",
           "no callback may run after close has returned: " + who() + "called log after it");
  bench_.log(role_, level, text_of(text));
  if (level < CPNS_LOG_WARN) return;
  std::lock_guard lock{guard_};
  if (logged_.size() < 400) logged_ += (logged_.empty() ? "" : "; ") + text_of(text);
}

std::vector<std::uint64_t> recorder::up() const {
  std::lock_guard lock{guard_};
  std::vector<std::uint64_t> out;
  for (const auto& [id, l] : links_)
    if (l.up) out.push_back(id);
  return out;
}

std::size_t recorder::count_up() const {
  std::lock_guard lock{guard_};
  return up_;
}

std::uint64_t recorder::links_ever() const {
  std::lock_guard lock{guard_};
  return links_.size();
}

std::vector<bytes> recorder::frames(std::uint64_t l) const {
  std::lock_guard lock{guard_};
  const auto it = links_.find(l);
  return it == links_.end() ? std::vector<bytes>{} : it->second.frames;
}

std::set<std::string> recorder::take_found() {
  std::lock_guard lock{guard_};
  return std::exchange(found_, {});
}

std::string recorder::logged() const {
  std::lock_guard lock{guard_};
  return logged_;
}

recorder& keep_recorder(bench& b, cpns_role role, plugins::simulated_clock* simulated) {
  static std::mutex guard;
  static auto* const kept = new std::vector<std::unique_ptr<recorder>>;
  std::lock_guard lock{guard};
  kept->push_back(std::make_unique<recorder>(b, role, simulated));
  return *kept->back();
}

}  // namespace cpns::conformance
