#include "transports/loopback/medium.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <utility>

#include "plugins/sdk/extensions.hpp"

namespace cpns::loopback {
namespace {

constexpr std::size_t lane_frames_max =
    256;  // on the air per direction of a link; above it the sender must wait
constexpr unsigned doublings_max = 6;
constexpr std::chrono::seconds settled{5};  // a link that lived this long, with frames, resets the back-off

}  // namespace

std::uint64_t station::next_number() {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}

std::shared_ptr<medium> medium::join(const std::string& network, const weather& w) {
  static std::mutex guard;
  static std::map<std::string, std::weak_ptr<medium>> all;
  std::lock_guard lock{guard};
  auto& known = all[network];
  auto m = known.lock();
  if (!m) known = m = std::make_shared<medium>(w);
  return m;
}

medium::medium(const weather& w) : weather_(w), dice_(w.seed), retry_dice_(w.seed) {
  thread_ = std::thread{[this] {
    std::unique_lock lock{guard_};
    while (!ending_) deliver(lock);
  }};
}

medium::~medium() {
  {
    std::lock_guard lock{guard_};
    ending_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void medium::post(event e, std::uint64_t after_ms) {
  auto* const time = e.to->simulated();
  if (time == nullptr || after_ms == 0) return queue(std::move(e), after_ms);
  time->after(after_ms, [this, e = std::move(e)] {
    std::lock_guard lock{guard_};
    queue(e, 0);
  });
}

void medium::queue(event e, std::uint64_t after_ms) {
  e.at = clock::now() + std::chrono::milliseconds{after_ms};
  e.order = ++order_;
  if (e.to->simulated() != nullptr) e.held = sdk::hold_time(e.to->out());
  if (after_ms == 0) {
    ready_.push_back(std::move(e));
  } else {
    delayed_.push_back(std::move(e));
    std::push_heap(delayed_.begin(), delayed_.end(), std::greater<>{});
  }
  wake_.notify_one();
}

const medium::event* medium::next_event() const {
  if (ready_.empty()) return delayed_.empty() ? nullptr : &delayed_.front();
  return !delayed_.empty() && ready_.front() > delayed_.front() ? &delayed_.front() : &ready_.front();
}

medium::event medium::take_event() {
  if (next_event() != (ready_.empty() ? nullptr : &ready_.front())) {
    std::pop_heap(delayed_.begin(), delayed_.end(), std::greater<>{});
    event e = std::move(delayed_.back());
    delayed_.pop_back();
    return e;
  }
  event e = std::move(ready_.front());
  ready_.pop_front();
  return e;
}

void medium::deliver(std::unique_lock<std::mutex>& lock) {
  const auto* const next = next_event();
  if (next == nullptr) return wake_.wait(lock);
  if (const auto at = next->at; at > clock::now()) {
    wake_.wait_until(lock, at);
    return;
  }
  event e = take_event();
  if (e.kind == what::relink) return relink(e.of);
  if (e.kind == what::frame) {
    landed(e.sender);
    // A frame in flight is lost if its link went down meanwhile.
    if (lanes_.find({e.to, e.link}) == lanes_.end()) return;
  }
  delivering_to_ = e.to;
  lock.unlock();
  const auto& out = e.to->out();
  switch (e.kind) {
  case what::up: out.link_up(e.link, e.endpoint, e.text); break;
  case what::down: out.link_down(e.link, CPNS_DOWN_CLOSED, e.text); break;
  case what::frame:
    ++e.to->received_;
    out.frame(e.link, e.data);
    break;
  case what::writable: out.writable(e.link); break;
  case what::relink: break;
  }
  lock.lock();
  delivering_to_ = nullptr;
  idle_.notify_all();
}

void medium::landed(const side_key& sender) {
  const auto it = lanes_.find(sender);
  if (it == lanes_.end()) return;
  auto& l = it->second;
  if (--l.on_air > lane_frames_max / 2 || !std::exchange(l.blocked, false)) return;
  post({.kind = what::writable, .to = sender.first, .link = sender.second, .text = {}, .data = {}});
}

void medium::connect(const contact& of) {
  if (linked_.count(of) != 0) return;
  if (links_[of.central] >= of.central->max_links() || links_[of.peripheral] >= of.peripheral->max_links()) {
    waiting_.insert(of);
    return;
  }
  waiting_.erase(of);
  ++links_[of.central];
  ++links_[of.peripheral];
  const side c{of.central, ++last_link_, 0}, p{of.peripheral, ++last_link_, of.endpoint};
  linked_[of] = {{c.who, c.link}, clock::now()};
  lanes_[{c.who, c.link}] = {of, p};
  lanes_[{p.who, p.link}] = {of, c};
  // Like a radio address, the peer's name stays the same while its process lives.
  const auto name = "loopback:" + std::to_string(of.peripheral->number) + "/" + std::to_string(of.endpoint);
  post({.kind = what::up,
        .to = p.who,
        .link = p.link,
        .endpoint = of.endpoint,
        .text = "loopback:gateway",
        .data = {}});
  post({.kind = what::up, .to = c.who, .link = c.link, .endpoint = 0, .text = name, .data = {}});
}

void medium::connect_waiting() {
  const auto all = waiting_;
  for (const auto& c : all) connect(c);
}

/// `endpoint`: only contacts of that endpoint; null: all.
void medium::forget_waiting(const station* who, const std::uint64_t* endpoint) {
  const auto is_meant = [&](const contact& c) {
    return (c.central == who || c.peripheral == who) && (endpoint == nullptr || c.endpoint == *endpoint);
  };
  std::erase_if(waiting_, is_meant);
  std::erase_if(failures_, [&](const auto& f) { return is_meant(f.first); });
}

/// As a radio that finds its peer again: exponential back-off with jitter. Simulated time has no clock here, so there the
/// back-off is never reset.
void medium::relink_later(const contact& c) {
  auto& failures = failures_[c];
  const auto& link = linked_.at(c);
  if (c.peripheral->simulated() == nullptr && lanes_.at(link.central).used &&
      clock::now() - link.since >= settled)
    failures = 0;
  const auto longest = weather_.retry_ms << std::min(failures++, doublings_max);
  post({.kind = what::relink, .to = c.peripheral, .text = {}, .data = {}, .of = c},
       longest / 2 + retry_dice_() % (longest / 2 + 1));
}

void medium::relink(const contact& c) {
  if (centrals_.contains(c.central) && endpoints_.contains({c.peripheral, c.endpoint})) connect(c);
}

void medium::cut(const side& a, const side& b, const char* why) {
  if (const auto it = lanes_.find({a.who, a.link}); it != lanes_.end()) {
    linked_.erase(it->second.of);
    --links_[a.who];
    --links_[b.who];
  }
  lanes_.erase({a.who, a.link});
  lanes_.erase({b.who, b.link});
  for (const auto& s : {a, b})
    post({.kind = what::down, .to = s.who, .link = s.link, .text = why, .data = {}});
}

void medium::scan(station& central, bool on) {
  std::lock_guard lock{guard_};
  if (!on) {
    centrals_.erase(&central);
    forget_waiting(&central, nullptr);
    return;
  }
  if (!centrals_.insert(&central).second) return;
  for (const auto& [key, unused] : endpoints_) connect({&central, key.first, key.second});
}

cpns_status medium::add_endpoint(station& peripheral, std::uint64_t endpoint) {
  std::lock_guard lock{guard_};
  if (!endpoints_.emplace(std::pair{&peripheral, endpoint}, 0).second) return CPNS_LIMIT;
  for (auto* central : centrals_) connect({central, &peripheral, endpoint});
  return CPNS_OK;
}

void medium::remove_endpoint(station& peripheral, std::uint64_t endpoint) {
  std::lock_guard lock{guard_};
  endpoints_.erase({&peripheral, endpoint});
  forget_waiting(&peripheral, &endpoint);
  std::vector<side_key> gone;
  for (const auto& [central, count] : links_)
    if (const auto it = linked_.find({central, &peripheral, endpoint}); it != linked_.end())
      gone.push_back(it->second.central);
  for (const auto& near : gone)
    cut({near.first, near.second, 0}, side{lanes_.at(near).far}, "the PNE was removed");
  connect_waiting();
}

cpns_status medium::send(station& from, std::uint64_t link, std::span<const std::uint8_t> frame) {
  std::lock_guard lock{guard_};
  const auto it = lanes_.find({&from, link});
  if (it == lanes_.end()) return CPNS_NO_LINK;
  auto& l = it->second;
  if (l.on_air >= lane_frames_max) {
    l.blocked = true;
    return CPNS_WOULD_BLOCK;
  }
  l.used = true;
  ++from.sent_;
  if (happens(weather_.loss)) {
    ++from.lost_;
    return CPNS_OK;
  }
  const int copies = happens(weather_.duplicate) ? 2 : 1;
  for (int i = 0; i < copies; ++i) {
    auto after = weather_.delay_ms;
    if (weather_.jitter_ms != 0) after += dice_() % (weather_.jitter_ms + 1);
    if (happens(weather_.reorder)) after += weather_.delay_ms + 5;
    post({.kind = what::frame,
          .to = l.far.who,
          .link = l.far.link,
          .text = {},
          .data = {frame.begin(), frame.end()},
          .sender = it->first},
         after);
    ++l.on_air;
  }
  return CPNS_OK;
}

void medium::disconnect(station& who, std::uint64_t link) {
  std::lock_guard lock{guard_};
  const auto it = lanes_.find({&who, link});
  if (it == lanes_.end()) return;
  const side far = it->second.far;
  relink_later(it->second.of);
  cut({&who, link, 0}, far, "disconnected");
  connect_waiting();
}

void medium::leave(station& who) {
  std::unique_lock lock{guard_};
  centrals_.erase(&who);
  forget_waiting(&who, nullptr);
  for (auto it = endpoints_.begin(); it != endpoints_.end();)
    it = it->first.first == &who ? endpoints_.erase(it) : std::next(it);
  std::vector<std::pair<side, side>> gone;
  for (const auto& [key, l] : lanes_)
    if (key.first == &who) gone.push_back({{key.first, key.second, 0}, l.far});
  for (const auto& [near, far] : gone) cut(near, far, "the other side closed");
  links_.erase(&who);
  connect_waiting();
  // Drops events in flight to and from `who`, and waits for a call into it.
  const auto is_of_it = [&who](const event& e) { return e.to == &who || e.sender.first == &who; };
  std::erase_if(ready_, is_of_it);
  std::erase_if(delayed_, is_of_it);
  std::make_heap(delayed_.begin(), delayed_.end(), std::greater<>{});
  idle_.wait(lock, [&] { return delivering_to_ != &who; });
}

}  // namespace cpns::loopback
