#include "transports/ble/central.hpp"

#include <poll.h>

#include <algorithm>
#include <cstring>
#include <system_error>
#include <utility>

#include "plugins/sdk/extensions.hpp"

namespace cpns::ble {
namespace {

constexpr std::chrono::seconds scan_pause{1};
constexpr std::chrono::seconds one_scan{4};
constexpr std::chrono::milliseconds stop_again{100};
constexpr std::chrono::seconds rest{12};  // after each scan while power is saved
constexpr const char* in_progress = "org.bluez.Error.InProgress";
constexpr std::size_t sightings_max = 1024;
constexpr std::chrono::seconds sighting_kept{60};

}  // namespace

central::central(loop& in, sdk::host out, const settings& s, links& l)
    : loop_(in), out_(out), settings_(s), links_(l),
      slots_(s.max_links, std::chrono::milliseconds{s.idle_ms}, std::chrono::milliseconds{s.rest_ms}) {}

void central::open() { bluez_ = std::make_unique<bluez>(loop_, out_, settings_.adapters); }

void central::start() {
  bluez_->start(
      {.adapter_changed = [this](const std::string&) { adapter_changed(); },
       .heard = [this](const std::string& path, const bluez::device& d) { heard(path, d); },
       .remembered = [this](const std::string& path, const bluez::device& d) { clear_old(path, d); },
       .changed =
           [this](const std::string& path, const bluez::device& d) {
             for (auto& [peer, c] : contacts_)
               if (c.path == path && c.gatt) return c.gatt->changed(d);
             // A cancelled attempt connected nevertheless; its PNE may be silent until that connection ends.
             if (scanning_ && d.connected && (d.has_service || sightings_.count("ble:" + d.at.text()) != 0))
               clear_old(path, d);
           },
       .gone =
           [this](const std::string& path) {
             for (auto& [peer, c] : contacts_)
               if (c.gatt && path.starts_with(c.path)) return c.gatt->gone(path);
           },
       .notified =
           [this](const std::string& path, const std::vector<std::uint8_t>& chunk) {
             for (auto& [peer, c] : contacts_)
               if (c.gatt && path.starts_with(c.path)) return c.gatt->notified(path, chunk);
           },
       .bus_lost = {}});
}

void central::scan(bool on) {
  scanning_ = on;
  update_discovery();
}

void central::adapter_changed() {
  const auto* a = bluez_->find_adapter(settings_.adapters.front());
  const bool powered = a != nullptr && a->powered;
  if (powered != std::exchange(powered_, powered) && !powered) {
    // The links end on their own; the sightings are out of date.
    sightings_.clear();
    asked_ = asking_ = false;
  }
  update_discovery();
}

/// Starts or stops discovery as needed. One call at a time: a host that calls scan often must not flood
/// bluetoothd, and bluetoothd refuses to stop a discovery that has not begun yet. An attempt to connect begins
/// once discovery has stopped.
void central::update_discovery() {
  if (!powered_ || asking_) return;
  const bool wanted = scanning_ && !dialling_ && !resting_;
  if (wanted != asked_) return wanted ? start_discovery() : stop_discovery();
  if (!asked_ && !to_begin_.empty()) begin(std::exchange(to_begin_, {}));
}

void central::start_discovery() {
  asked_ = asking_ = true;
  ++counters_.scans;
  const auto path = adapter_path(settings_.adapters.front());
  // With duplicates: one report per PNE would not show the gateway which PNEs are still present.
  const bluez::properties filter{
      {"UUIDs", sdbus::Variant{std::vector<std::string>{std::string{service_uuid}}}},
      {"Transport", sdbus::Variant{std::string{"le"}}},
      {"DuplicateData", sdbus::Variant{true}}};
  bluez_->call(path, adapter_interface, "SetDiscoveryFilter", nullptr, filter);
  bluez_->call(path, adapter_interface, "StartDiscovery",
               [this](sdbus::MethodReply&, const sdbus::Error* wrong) {
                 asking_ = false;
                 loop_.cancel(scan_timer_);
                 // Controllers report an advertiser once per scan, even if its advertisement changes.
                 const auto again = wrong == nullptr ? one_scan : scan_pause;
                 scan_timer_ = loop_.after(again, [this] {
                   if (!asked_ || asking_) return;
                   if (saving_) rest_from_discovery();
                   stop_discovery();  // update_discovery() starts the next scan
                 });
                 // In progress: the kernel still runs the discovery of an earlier bluetoothd, which ends on its
                 // own. Our request is not queued, so it is repeated.
                 if (wrong != nullptr && wrong->getName() != in_progress)
                   out_.log(CPNS_LOG_WARN, "cannot scan for PNEs: " + bluez::explain(*wrong) +
                                               "; retrying in " + std::to_string(scan_pause.count()) + " s");
                 update_discovery();
               });
}

void central::rest_from_discovery() {
  resting_ = true;
  loop_.cancel(rest_timer_);
  rest_timer_ = loop_.after(rest, [this] {
    resting_ = false;
    update_discovery();
  });
}

void central::save_power(bool on) {
  saving_ = on;
  if (on || !std::exchange(resting_, false)) return;
  loop_.cancel(rest_timer_);
  update_discovery();
}

void central::stop_discovery() {
  asking_ = true;
  bluez_->call(adapter_path(settings_.adapters.front()), adapter_interface, "StopDiscovery",
               [this](sdbus::MethodReply&, const sdbus::Error* wrong) {
                 asking_ = false;
                 asked_ = wrong != nullptr && wrong->getName() == in_progress;
                 if (!asked_) return update_discovery();
                 loop_.cancel(scan_timer_);
                 scan_timer_ = loop_.after(stop_again, [this] {
                   if (asked_ && !asking_) stop_discovery();
                 });
               });
}

void central::heard(const std::string& path, const bluez::device& d) {
  if (!scanning_ || !powered_) return;
  const auto peer = "ble:" + d.at.text();
  const auto now = loop::clock::now();
  if (sightings_.size() >= sightings_max)
    std::erase_if(sightings_, [&](const auto& entry) { return now - entry.second.when > sighting_kept; });
  if (sightings_.size() >= sightings_max) return;
  const auto& seen = sightings_[peer] = {path, d.at, *d.advert, d.rssi, now};
  if (const auto c = contacts_.find(peer); c != contacts_.end()) {
    if (c->second.link == 0) return;
    links_.note_rssi(c->second.link, seen.rssi);
    // A linked peer advertises a new tag only after it restarted or woke up.
    if (std::exchange(c->second.tag, seen.what.tag) != seen.what.tag) sdk::tell_woke(out_, peer);
    return;
  }
  if (d.connected && !d.paired) return clear_old(path, d);
  report(peer, seen);
}

void central::report(const std::string& peer, const sighting& s) {
  if (slots_.heard(loop::clock::now(), peer, s.what.tag)) out_.peer_found(peer, s.rssi);
  schedule();
}

void central::want(const std::string& peer) {
  const auto c = contacts_.find(peer);
  if (c != contacts_.end() && c->second.timeout == 0)
    return out_.connect_failed(peer, c->second.link != 0 ? "it already has a link"
                                                         : "its last link is still closing");
  if (!slots_.want(peer)) return out_.connect_failed(peer, "no advertisement of it was received");
  schedule();
}

void central::unwant(const std::string& peer) {
  const auto c = contacts_.find(peer);
  if (c != contacts_.end() && c->second.timeout != 0) return failed(peer, "cancelled");
  if (slots_.unwant(peer)) out_.connect_failed(peer, "cancelled");
}

void central::forget(const std::string& peer) {
  const auto c = contacts_.find(peer);
  if (c == contacts_.end()) {
    const auto seen = sightings_.find(peer);
    if (seen != sightings_.end()) remove(seen->second.path, whom::paired_too, nullptr);
    return;
  }
  c->second.forgotten = true;
  if (c->second.link != 0)
    links_.close(c->second.link, CPNS_DOWN_CLOSED, "its pairing is deleted", links::end::host);
  else if (c->second.timeout != 0)
    failed(peer, "its pairing is deleted");
}

void central::schedule() {
  const auto now = loop::clock::now();
  for (const auto& [peer, c] : contacts_)
    if (c.link != 0) slots_.traffic(links_.busy(c.link), peer);
  if (const auto peer = slots_.give_up(now)) {
    out_.log(CPNS_LOG_DEBUG, "closing the link of " + *peer + ": other PNEs wait for a slot");
    ++counters_.given_up;
    const auto link = contacts_.at(*peer).link;
    links_.close(link, CPNS_DOWN_CLOSED, "other PNEs wait for its slot", links::end::peer);
  }
  if (powered_ && !dialling_)
    if (const auto peer = slots_.next(now)) dial(*peer);
  update_discovery();
  loop_.cancel(slot_timer_);
  slot_timer_ = 0;
  if (const auto at = slots_.next_deadline(now))
    slot_timer_ = loop_.after(
        std::max(std::chrono::milliseconds{1}, std::chrono::ceil<std::chrono::milliseconds>(*at - now)),
        [this] { schedule(); });
}

void central::set_timeout(const std::string& peer, contact& c) {
  loop_.cancel(c.timeout);
  c.timeout = loop_.after(std::chrono::milliseconds{settings_.connect_ms},
                          [this, peer] { failed(peer, "no connection within connect_ms"); });
}

/// The kernel connects when it receives an advertisement, but during discovery controllers report each advertiser
/// only once. So discovery pauses until the attempt has ended.
void central::dial(const std::string& peer) {
  dialling_ = true;
  ++counters_.attempts;
  to_begin_ = peer;
  set_timeout(peer, contacts_[peer]);
}

void central::begin(const std::string& peer) {
  const auto at = contacts_.find(peer);
  if (at == contacts_.end()) return;
  auto& c = at->second;
  const auto seen = sightings_.find(peer);
  const auto* a = bluez_->find_adapter(settings_.adapters.front());
  if (seen == sightings_.end() || a == nullptr || !can_be_dialled(seen->second))
    return failed(peer, "it is out of reach again");
  const auto& s = seen->second;
  const auto* d = bluez_->find_device(s.path);
  c.path = s.path;
  c.shared = d != nullptr && d->connected;
  if (s.what.channel && settings_.l2cap) return dial_l2cap(peer, s);
  if (s.what.gatt && settings_.gatt) return greet(peer, s);
  failed(peer, s.what.gatt ? "it supports only GATT, which the parameter ways excludes"
                           : "it supports only L2CAP, which the parameter ways excludes");
}

/// bluetoothd needs an object of the device to connect to it over GATT, and may have removed it since the
/// sighting.
bool central::can_be_dialled(const sighting& s) const {
  return (s.what.channel && settings_.l2cap) || bluez_->find_device(s.path) != nullptr;
}

void central::dial_l2cap(const std::string& peer, const sighting& s) {
  auto& c = contacts_.at(peer);
  try {
    c.dialling =
        begin_connect(bluez_->find_adapter(settings_.adapters.front())->at, s.at, s.what.psm, settings_);
  } catch (const std::system_error& e) {
    return failed(peer, e.what());
  }
  loop_.watch(c.dialling.get(), POLLOUT, [this, peer](short) { dialled(peer); });
}

void central::greet(const std::string& peer, const sighting& s) {
  auto& c = contacts_.at(peer);
  c.gatt = std::make_unique<gatt_client>(
      loop_, *bluez_, s.path, settings_, static_cast<std::uint32_t>(dice_()),
      gatt_client::events{
          .connected = [this, peer] { set_timeout(peer, contacts_.at(peer)); },
          .up = [this, peer](std::unique_ptr<channel> over) { linked(peer, std::move(over)); },
          .failed = [this, peer](const std::string& why) { failed(peer, why); }});
  c.gatt->begin();
}

void central::dialled(const std::string& peer) {
  auto& c = contacts_.at(peer);
  if (const int wrong = connect_outcome(c.dialling.get()); wrong != 0)
    return failed(peer, std::strerror(wrong));
  if (const auto wrong = shortcoming(c.dialling.get(), settings_)) {
    if (unfit_logged_.due()) out_.log(CPNS_LOG_WARN, peer + ": " + *wrong);
    return failed(peer, *wrong);
  }
  loop_.unwatch(c.dialling.get());
  linked(peer, make_l2cap(std::move(c.dialling), settings_.mtu));
}

void central::linked(const std::string& peer, std::unique_ptr<channel> over) {
  auto& c = contacts_.at(peer);
  loop_.cancel(std::exchange(c.timeout, 0));
  dialling_ = false;
  const auto now = loop::clock::now();
  slots_.up(now, peer);
  const auto seen = sightings_.find(peer);
  if (seen != sightings_.end()) c.tag = seen->second.what.tag;
  c.link = links_.up(std::move(over), 0, peer, [this, peer, now](links::end by, channel&) {
    // The host closed it, or it broke at once: back off before the next attempt.
    const bool back_off = by == links::end::host ||
                          (by == links::end::lost && loop::clock::now() - now < std::chrono::seconds{1});
    clear_away(peer, back_off);
  });
  if (seen != sightings_.end()) links_.note_rssi(c.link, seen->second.rssi);
  schedule();
}

void central::failed(const std::string& peer, const std::string& why) {
  ++counters_.failed;
  out_.log(CPNS_LOG_DEBUG, "connecting to " + peer + ": " + why);
  auto& c = contacts_.at(peer);
  loop_.cancel(std::exchange(c.timeout, 0));
  dialling_ = false;
  to_begin_.clear();
  if (c.dialling) loop_.unwatch(c.dialling.get());
  c.dialling.reset();
  c.gatt.reset();
  clear_away(peer, true);
  out_.connect_failed(peer, why);
}

/// After a channel is closed, bluetoothd keeps the connection below it, and the object of a device that was
/// connected shows the peer's services instead of its advertisement. So both are removed.
void central::clear_away(const std::string& peer, bool back_off) {
  auto c = std::move(contacts_.at(peer));
  const auto ended = loop::clock::now();
  slots_.ended(ended, peer, back_off);
  const auto done = [this, peer, ended] { cleared(peer, ended); };
  if (c.path.empty() || !powered_ || (c.shared && !c.forgotten)) return loop_.post(done);
  contacts_[peer].path = c.path;
  remove(c.path, c.forgotten ? whom::paired_too : whom::unpaired, done);
}

/// Removes a device left by an earlier process: its data may be out of date, and its connection has no link and
/// may end at any moment, together with a channel opened over it.
void central::clear_old(const std::string& path, const bluez::device& d) {
  const auto peer = "ble:" + d.at.text();
  if (d.paired || contacts_.count(peer) != 0) return;
  contacts_[peer].path = path;
  remove(path, whom::unpaired, [this, peer, begun = loop::clock::now()] { cleared(peer, begun); });
}

void central::cleared(const std::string& peer, loop::clock::time_point ended) {
  contacts_.erase(peer);
  slots_.freed(loop::clock::now(), peer);
  // Controllers report it again only in the next scan.
  const auto seen = sightings_.find(peer);
  if (seen != sightings_.end() && seen->second.when > ended && can_be_dialled(seen->second))
    return report(peer, seen->second);
  sightings_.erase(peer);
  schedule();
}

void central::remove(const std::string& path, whom of, std::function<void()> done) {
  auto ended = std::make_shared<bool>(false);
  const auto once = [ended, done = std::move(done)] {
    if (!std::exchange(*ended, true) && done) done();
  };
  // If bluetoothd ends and never replies, the slot must be freed nevertheless.
  loop_.after(std::chrono::seconds{6}, once);
  const auto forget = [this, path, of, once] {
    const auto* d = bluez_->find_device(path);
    if (d == nullptr || (d->paired && of == whom::unpaired)) return once();
    bluez_->call(
        adapter_path(settings_.adapters.front()), adapter_interface, "RemoveDevice",
        [once](sdbus::MethodReply&, const sdbus::Error*) { once(); }, sdbus::ObjectPath{path});
  };
  const auto* d = bluez_->find_device(path);
  if (d != nullptr && !d->connected) return forget();
  // If a connection was made a moment ago, bluetoothd may not have reported it yet, or not even have read it from
  // the kernel. It has read it by the time it replies to a second call.
  bluez_->call(path, device_interface, "Disconnect",
               [this, path, forget](sdbus::MethodReply&, const sdbus::Error*) {
                 if (bluez_->find_device(path) != nullptr) return forget();
                 bluez_->call(path, device_interface, "Disconnect",
                              [forget](sdbus::MethodReply&, const sdbus::Error*) { forget(); });
               });
}

/// Waits for bluetoothd's replies: a discovery whose client is gone before it began runs forever, and a device
/// that is not removed shows its services instead of its advertisement.
void central::shut() {
  scanning_ = dialling_ = false;
  to_begin_.clear();
  slots_.clear();
  links_.close_all("this side is closing");  // also requests the end of the Bluetooth connections
  for (auto& [peer, c] : contacts_) {
    c.gatt.reset();
    // An attempt that succeeds later would leave a connection, and its PNE would not be found again.
    const bool attempt =
        std::exchange(c.timeout, 0) != 0 && !c.path.empty();  // without a path it has not begun
    if (c.dialling) loop_.unwatch(c.dialling.get());
    c.dialling.reset();
    if (attempt && !c.shared && powered_) remove(c.path, whom::unpaired, nullptr);
  }
  update_discovery();
  bluez_->settle();
  bluez_.reset();
}

}  // namespace cpns::ble
