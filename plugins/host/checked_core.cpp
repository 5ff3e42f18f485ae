#include "plugins/host/checked_core.hpp"

#include <chrono>
#include <cstring>
#include <thread>

#include "base/log.hpp"
#include "plugins/abi/ext/rssi.h"
#include "plugins/abi/ext/wake.h"

namespace cpns::plugins {
namespace {

constexpr std::string_view component = "radio";
constexpr std::size_t queued_frames_max = 256;  // per link, while the plugin returns CPNS_WOULD_BLOCK

checked_core& core_of(void* context) { return *static_cast<checked_core*>(context); }

event_loop& loop_of(void* context) { return core_of(context).loop(); }

std::string bounded(const char* text, std::size_t most = 200) {
  return text == nullptr ? std::string{} : std::string(text, strnlen(text, most));
}

/// Logs only the 1st, 2nd, 4th, 8th and so on, because a plugin may break a rule with every frame.
bool is_logged(std::uint64_t count) { return (count & (count - 1)) == 0; }

std::string_view text_of(std::uint32_t reason) {
  switch (reason) {
  case CPNS_DOWN_CLOSED: return "closed";
  case CPNS_DOWN_LOST: return "lost";
  case CPNS_DOWN_BAD_FRAME: return "the peer sent a malformed frame";
  case CPNS_DOWN_TOO_SLOW: return "the peer was too slow";
  case CPNS_DOWN_LIMIT: return "over a limit";
  default: return "unknown reason";
  }
}

}  // namespace

class checked_core::listener_guard {
 public:
  explicit listener_guard(checked_core& c) : core_(c) {
    core_.inside_.fetch_add(1);
    listener_ = core_.listener_.load();
    if (listener_ == nullptr) core_.misbehaved("a callback after close", 0);
  }
  ~listener_guard() { core_.inside_.fetch_sub(1); }
  listener_guard(const listener_guard&) = delete;
  listener_guard& operator=(const listener_guard&) = delete;
  explicit operator bool() const { return listener_ != nullptr; }
  transport_listener* operator->() const { return listener_; }

 private:
  checked_core& core_;
  transport_listener* listener_ = nullptr;
};

checked_core::checked_core(std::string name, simulated_clock* simulated)
    : name_(std::move(name)),
      loop_([this] { misbehaved("a timer or descriptor callback threw an exception", 0); }, simulated) {}

const cpns_host& checked_core::host() {
  table_ = {
      sizeof(cpns_host),
      0,
      this,
      [](void* c, std::uint64_t l, std::uint64_t e, const char* a) { core_of(c).on_link_up(l, e, a); },
      [](void* c, std::uint64_t l, std::uint32_t r, const char* d) { core_of(c).on_link_down(l, r, d); },
      [](void* c, std::uint64_t l, const std::uint8_t* d, std::size_t n) { core_of(c).on_frame(l, d, n); },
      [](void* c, std::uint64_t l) { core_of(c).on_writable(l); },
      [](void* c, const char* a, std::int32_t r) { core_of(c).on_peer_found(a, r); },
      [](void* c, const char* w) { core_of(c).on_failed(w); },
      [](void* c, std::uint32_t l, const char* t) { core_of(c).on_log(l, t); },
      [](void* context, const char* id) -> const void* {
        static constexpr cpns_ext_wake wake{sizeof(cpns_ext_wake), 0,
                                            [](void* c, const char* a) { core_of(c).on_woke(a); }};
        if (id != nullptr && std::strcmp(id, CPNS_EXT_WAKE) == 0) return &wake;
        return loop_extension<loop_of>(context, id);
      },
      [](void* c, const char* a, const char* w) { core_of(c).on_connect_failed(a, w); },
      [](void* c, const char* n, const char* w) { core_of(c).on_bad_parameter(n, w); }};
  return table_;
}

void checked_core::set_plugin(const cpns_transport* plugin, transport_role role, const transport_info& info) {
  role_ = role;
  mtu_ = info.mtu;
  max_links_ = info.max_links;
  max_endpoints_ = info.max_endpoints;
  plugin_ = plugin;
}

void checked_core::retire_plugin() {
  plugin_ = nullptr;
  while (calls_.load() != 0) std::this_thread::yield();
}

void checked_core::detach() {
  plugin_ = nullptr;
  listener_ = nullptr;
  while (inside_.load() != 0) std::this_thread::yield();
  std::lock_guard lock{guard_};
  links_.clear();
}

checked_core::link_ptr checked_core::find(link_id link) const {
  std::lock_guard lock{guard_};
  const auto it = links_.find(link);
  return it == links_.end() ? nullptr : it->second;
}

bool checked_core::forget(link_id link) {
  std::lock_guard lock{guard_};
  return links_.erase(link) != 0;
}

void checked_core::misbehaved(std::string_view rule, link_id link) {
  std::uint64_t count = 0;
  {
    std::lock_guard lock{guard_};
    count = ++counters_.misbehaviour;
  }
  if (!is_logged(count)) return;
  log::warn(component, "plugin-misbehaved", rule,
            {{"plugin", name_}, {"link", std::to_string(link)}, {"count", std::to_string(count)}});
}

void checked_core::drop(link_id link, std::string_view rule) {
  misbehaved(rule, link);
  if (const plugin_guard plugin{*this}; plugin) plugin->disconnect(plugin->context, link);
  if (!forget(link)) return;
  const listener_guard listener{*this};
  if (listener) listener->link_down(link, "the plugin misbehaved: " + std::string{rule});
}

void checked_core::count_down(std::uint32_t reason) {
  std::lock_guard lock{guard_};
  switch (reason) {
  case CPNS_DOWN_LOST: ++counters_.links_lost; break;
  case CPNS_DOWN_BAD_FRAME: ++counters_.links_bad_frame; break;
  case CPNS_DOWN_TOO_SLOW: ++counters_.links_too_slow; break;
  case CPNS_DOWN_LIMIT: ++counters_.links_over_limit; break;
  default: break;
  }
}

void checked_core::count_dropped(std::uint64_t messages) {
  if (messages == 0) return;
  std::lock_guard lock{guard_};
  counters_.dropped_messages += messages;
}

status checked_core::reserve_endpoint(endpoint_id endpoint) {
  std::lock_guard lock{guard_};
  if (endpoints_.count(endpoint) != 0)
    return fail(errc::state_exists, "endpoint " + std::to_string(endpoint) + " of " + name_);
  if (endpoints_.size() >= max_endpoints_)
    return fail(errc::state_exhausted,
                name_ + " can present at most " + std::to_string(max_endpoints_) + " PNEs");
  endpoints_.insert(endpoint);
  return {};
}

void checked_core::release_endpoint(endpoint_id endpoint) {
  std::lock_guard lock{guard_};
  endpoints_.erase(endpoint);
}

status checked_core::send(link_id link, byte_view message) {
  if (plugin_.load() == nullptr) return fail(errc::state_stopping, name_ + " is closed");
  const auto state = find(link);
  if (!state) return fail(errc::plugin_link, "link " + std::to_string(link));
  {
    std::lock_guard lock{state->guard};
    if (state->queue.size() >= queued_frames_max)
      return fail(errc::state_overloaded, "the link's queue is full");
    CPNS_TRY(auto frames, state->out.split(message));
    for (auto& f : frames) state->queue.push_back(std::move(f));
  }
  sent_.fetch_add(1, std::memory_order_relaxed);
  pump(link, state);
  return {};
}

/// Sends queued frames through the plugin, one thread at a time per link. Holds no lock during send, because the
/// plugin may call back from it.
void checked_core::pump(link_id link, const link_ptr& state) {
  const plugin_guard plugin{*this};
  if (!plugin) return;
  std::unique_lock lock{state->guard};
  if (state->pumping) {
    state->again = true;
    return;
  }
  state->pumping = true;
  while (!state->queue.empty()) {
    state->again = false;
    bytes frame = std::move(state->queue.front());
    state->queue.pop_front();
    lock.unlock();
    const auto sent = plugin->send(plugin->context, link, frame.data(), frame.size());
    lock.lock();
    if (sent == CPNS_WOULD_BLOCK) {
      state->queue.push_front(std::move(frame));
      // The plugin may have called writable after its send returned; that must not be lost.
      if (state->again) continue;
      break;
    }
    if (sent != CPNS_OK) {
      count_dropped(1);
      state->queue.clear();
      break;
    }
  }
  state->pumping = false;
}

void checked_core::disconnect(link_id link) {
  const plugin_guard plugin{*this};
  if (plugin && find(link)) plugin->disconnect(plugin->context, link);
}

host_counters checked_core::counters() const {
  std::lock_guard lock{guard_};
  auto out = counters_;
  out.messages_sent = sent_.load(std::memory_order_relaxed);
  out.messages_received = received_.load(std::memory_order_relaxed);
  return out;
}

std::string checked_core::refused_parameter() const {
  std::lock_guard lock{guard_};
  return refused_;
}

std::string checked_core::logged_warnings() const {
  std::lock_guard lock{guard_};
  return logged_;
}

void checked_core::on_link_up(std::uint64_t link, std::uint64_t endpoint, const char* address) {
  const listener_guard listener{*this};
  if (!listener) return;
  const plugin_guard plugin{*this};
  if (!plugin) return misbehaved("link_up before open returned or during close", link);
  std::string_view rule;
  bool removed = false;
  {
    std::lock_guard lock{guard_};
    if (link == 0 || link <= highest_link_)
      rule = "link_up with an id that is 0 or was used before";
    else if (links_.size() >= max_links_)
      rule = "more links than the plugin declares (max_links)";
    else if (role_ == transport_role::central && endpoint != 0)
      rule = "link_up with an endpoint in the central role";
    else if (role_ == transport_role::peripheral && endpoints_.count(endpoint) == 0)
      removed = true;  // no fault: the role may have removed the endpoint at the same moment
    else
      links_.emplace(link, std::make_shared<link_state>(mtu_)), ++counters_.links;
    if (link > highest_link_) highest_link_ = link;
  }
  if (!rule.empty()) return drop(link, rule);
  if (removed) return plugin->disconnect(plugin->context, link);
  listener->link_up(link, endpoint, bounded(address));
}

void checked_core::on_link_down(std::uint64_t link, std::uint32_t reason, const char* detail) {
  const listener_guard listener{*this};
  if (!listener || !forget(link)) return;  // refused and dropped links were reported before
  count_down(reason);
  std::string why{text_of(reason)};
  if (detail != nullptr && *detail != '\0') why += ": " + bounded(detail);
  listener->link_down(link, std::move(why));
}

void checked_core::on_frame(std::uint64_t link, const std::uint8_t* data, std::size_t size) {
  const listener_guard listener{*this};
  if (!listener) return;
  const auto state = find(link);
  if (!state) return misbehaved("a frame on a link that is not up", link);
  if (data == nullptr || size == 0 || size > mtu_)
    return drop(link, "a frame that is empty or larger than the declared MTU");
  std::optional<bytes> message;
  {
    std::lock_guard lock{state->guard};
    const auto given_up = state->in.given_up();
    auto taken = state->in.take({data, size});
    count_dropped(state->in.given_up() - given_up);
    if (!taken) {
      std::uint64_t count = 0;
      {
        std::lock_guard counting{guard_};
        count = ++counters_.bad_frames;
      }
      if (is_logged(count))
        log::debug(component, "bad-frame", taken.error().message(),
                   {{"plugin", name_}, {"link", std::to_string(link)}, {"count", std::to_string(count)}});
      return;
    }
    message = std::move(*taken);
  }
  if (!message) return;
  received_.fetch_add(1, std::memory_order_relaxed);
  listener->message(link, std::move(*message));
}

void checked_core::on_writable(std::uint64_t link) {
  if (const auto state = find(link)) pump(link, state);
}

void checked_core::on_peer_found(const char* address, std::int32_t rssi) {
  const listener_guard listener{*this};
  if (listener) listener->peer_found(bounded(address), rssi == CPNS_RSSI_UNKNOWN ? 0 : rssi);
}

void checked_core::on_connect_failed(const char* address, const char* why) {
  const listener_guard listener{*this};
  if (listener) listener->connect_failed(bounded(address), bounded(why));
}

void checked_core::on_woke(const char* address) {
  const listener_guard listener{*this};
  if (!listener) return;
  const plugin_guard plugin{*this};
  if (!plugin) return misbehaved("woke before open returned or during close", 0);
  if (role_ != transport_role::central) return misbehaved("woke in the peripheral role", 0);
  listener->woke(bounded(address));
}

void checked_core::on_bad_parameter(const char* name, const char*) {
  std::lock_guard lock{guard_};
  if (refused_.empty()) refused_ = bounded(name, 64);
}

void checked_core::on_failed(const char* why) {
  const listener_guard listener{*this};
  if (!listener) return;
  std::vector<link_id> up;
  {
    std::lock_guard lock{guard_};
    for (const auto& [link, state] : links_) up.push_back(link);
    links_.clear();
  }
  for (const auto link : up) listener->link_down(link, "the radio failed");
  listener->failed(error{errc::plugin_failed, name_ + ": " + bounded(why)});
}

void checked_core::on_log(std::uint32_t level, const char* text) {
  const auto l = level <= CPNS_LOG_ERROR ? static_cast<log::level>(level) : log::level::info;
  const auto line = bounded(text, 500);
  log::write(l, component, "plugin-log", line, {{"plugin", name_}});
  if (l < log::level::warn) return;
  std::lock_guard lock{guard_};
  if (logged_.size() < 1000) logged_ += (logged_.empty() ? "" : "; ") + line;
}

}  // namespace cpns::plugins
