#include "transports/ble/peripheral.hpp"

#include <poll.h>

#include <algorithm>
#include <system_error>

namespace cpns::ble {
namespace {

constexpr const char* advertising_manager = "org.bluez.LEAdvertisingManager1";
constexpr const char* advert_interface = "org.bluez.LEAdvertisement1";
constexpr std::chrono::milliseconds first_retry{500};
constexpr unsigned retry_doublings_max = 5;
// Two, so that a gateway can return before the loss of its old link is detected, and a third gateway cannot starve
// the first.
constexpr std::size_t links_per_pne = 2;
// Limited, because some controllers accept one connection only and do not advertise meanwhile.
constexpr std::chrono::seconds visit_without_link{20};
constexpr const char* unknown_peer = "ble:";  // a peer whose address is unknown

}  // namespace

peripheral::peripheral(loop& in, sdk::host out, const settings& s, links& l)
    : loop_(in), out_(out), settings_(s), links_(l) {
  for (const auto& name : s.adapters) places_[name];
}

peripheral::~peripheral() = default;

void peripheral::open() { bluez_ = std::make_unique<bluez>(loop_, out_, settings_.adapters); }

void peripheral::start() {
  bluez_->start({.adapter_changed = [this](const std::string& name) { present(name); },
                 .heard = {},
                 .remembered = {},
                 .changed = [this](const std::string& path, const bluez::device& d) { visited(path, d); },
                 .gone = [this](const std::string& path) { visitors_.erase(path); },
                 .notified = {},
                 .bus_lost =
                     [this] {
                       for (auto& [name, p] : places_) {
                         p.advert.reset();
                         p.asking = false;
                         p.gatt.reset();
                       }
                     }});
}

/// bluetoothd keeps a connection without a link forever: of a gateway that crashed while connecting, or of a
/// stranger.
void peripheral::visited(const std::string& path, const bluez::device& d) {
  if (!d.connected) {
    visitors_.erase(path);
    return;
  }
  if (visitors_.count(path) != 0) return;
  const auto number = visitors_[path] = ++visits_;
  loop_.after(visit_without_link, [this, path, number] { check_visitor(path, number); });
}

void peripheral::check_visitor(const std::string& path, std::uint64_t number) {
  const auto visitor = visitors_.find(path);
  if (visitor == visitors_.end() || visitor->second != number) return;
  const auto* d = bluez_->find_device(path);
  if (d == nullptr || !d->connected) {
    visitors_.erase(visitor);
    return;
  }
  const auto& p = places_.at(d->adapter);
  const auto from = "ble:" + d->at.text();
  // A GATT link may have come up before bluetoothd reported the gateway's address.
  const bool has_link = std::any_of(p.links.begin(), p.links.end(), [&](const auto& entry) {
    return entry.second == from || entry.second == unknown_peer;
  });
  if (p.endpoint != 0 && !d->paired && !has_link) {
    if (idle_logged_.due())
      out_.log(CPNS_LOG_INFO, "disconnecting " + from + ": it is connected without a link");
    bluez_->call(path, device_interface, "Disconnect", nullptr);
  }
  loop_.after(visit_without_link, [this, path, number] { check_visitor(path, number); });
}

bool peripheral::add(std::uint64_t endpoint) {
  {
    std::lock_guard lock{names_guard_};
    if (names_.size() >= places_.size() || !names_.insert(endpoint).second) return false;
  }
  loop_.post([this, endpoint] {
    const auto free = std::find_if(places_.begin(), places_.end(),
                                   [](const auto& entry) { return entry.second.endpoint == 0; });
    if (free == places_.end()) return;
    free->second.endpoint = endpoint;
    free->second.tag = static_cast<std::uint16_t>(dice_());
    present(free->first);
  });
  return true;
}

void peripheral::remove(std::uint64_t endpoint) {
  {
    std::lock_guard lock{names_guard_};
    names_.erase(endpoint);
  }
  loop_.post([this, endpoint] {
    for (auto& [name, p] : places_) {
      if (p.endpoint != endpoint) continue;
      p.endpoint = 0;
      close_listener(p);
      present(name);
      const auto all = p.links;
      for (const auto& [link, from] : all)
        links_.close(link, CPNS_DOWN_CLOSED, "the PNE was removed", links::end::host);
    }
  });
}

void peripheral::present(const std::string& name) {
  auto& p = places_.at(name);
  const auto* a = bluez_->find_adapter(name);
  if (a == nullptr || !a->powered) {
    p.advert.reset();  // bluetoothd has dropped it
    p.asking = false;
    if (a == nullptr) p.gatt.reset();
    return;
  }
  if (p.advert && !p.asking && (p.endpoint == 0 || p.advert_tag != p.tag)) return withdraw(name, p);
  if (p.endpoint == 0) return;
  if (settings_.l2cap && !listen(name, p, a->at)) return;
  if (settings_.gatt && !serve(name, p)) return;
  if (!p.advert && !p.asking) advertise(name, p);
}

bool peripheral::listen(const std::string& name, place& p, const address& at) {
  if (p.listener && p.at == at) return true;
  if (p.listener) loop_.unwatch(p.listener.get());
  p.listener.reset();
  try {
    p.listener = listen_at(at, settings_.psm, settings_);
  } catch (const std::system_error& e) {
    retry_later(name, "cannot listen on PSM " + std::to_string(settings_.psm) + ": " + e.what());
    return false;
  }
  p.at = at;
  loop_.watch(p.listener.get(), POLLIN, [this, name](short) { accept(name); });
  return true;
}

/// Stays registered while the PNE sleeps: without advertisements no gateway connects.
bool peripheral::serve(const std::string& name, place& p) {
  if (!p.gatt)
    p.gatt = std::make_unique<gatt_server>(
        loop_, out_, *bluez_, name, "/cpns/gatt" + std::to_string(++objects_), settings_,
        gatt_server::events{
            .ready = [this, name] { present(name); },
            .up = [this, name](std::unique_ptr<gatt_channel> over,
                               const std::string& from) { greeted(name, std::move(over), from); },
            .failed =
                [this, name](const std::string& why) {
                  places_.at(name).gatt.reset();
                  retry_later(name, "cannot register the GATT service: " + why);
                }});
  return p.gatt->ready();
}

void peripheral::advertise(const std::string& name, place& p) {
  const auto path = "/cpns/advert" + std::to_string(++objects_);
  std::map<std::uint16_t, sdbus::Variant> made{
      {company,
       sdbus::Variant{encode(
           {.channel = settings_.l2cap, .gatt = settings_.gatt, .psm = settings_.psm, .tag = p.tag})}}};
  p.advert = std::make_unique<dbus::object>(bluez_->connection(), path);
  auto& o = *p.advert;
  o.property(advert_interface, "Type", [] { return std::string{"peripheral"}; });
  o.property(advert_interface, "ServiceUUIDs",
             [] { return std::vector<std::string>{std::string{service_uuid}}; });
  o.property(advert_interface, "ManufacturerData", [made] { return made; });
  o.property(advert_interface, "Discoverable", [] { return true; });
  o.method(advert_interface, "Release", [this, name, path] {
    loop_.post([this, name, path] {
      auto& mine = places_.at(name);
      if (!mine.advert || mine.advert->path() != path) return;
      mine.advert.reset();
      present(name);
    });
  });
  o.show();
  p.asking = true;
  p.advert_tag = p.tag;
  bluez_->call(
      adapter_path(name), advertising_manager, "RegisterAdvertisement",
      [this, name, path](sdbus::MethodReply&, const sdbus::Error* wrong) {
        auto& mine = places_.at(name);
        mine.asking = false;
        if (!mine.advert || mine.advert->path() != path) return present(name);
        if (wrong == nullptr) {
          mine.failures = 0;
          mine.warned = false;
          out_.log(CPNS_LOG_DEBUG, "advertising on " + name);
          return present(name);
        }
        retry_later(name, "cannot advertise: " + bluez::explain(*wrong));
      },
      sdbus::ObjectPath{path}, bluez::properties{});
}

void peripheral::retry_later(const std::string& name, const std::string& why) {
  auto& p = places_.at(name);
  if (!std::exchange(p.warned, true))
    out_.log(CPNS_LOG_WARN, "adapter " + name + ": " + why + "; backing off and retrying");
  loop_.cancel(p.retry);
  p.retry = loop_.after(first_retry * (1 << std::min(p.failures++, retry_doublings_max)), [this, name] {
    places_.at(name).advert.reset();
    present(name);
  });
}

void peripheral::close_listener(place& p) {
  if (p.listener) loop_.unwatch(p.listener.get());
  p.listener.reset();
}

/// Only after bluetoothd has replied to the last call: it may crash if an advertisement is removed that it is
/// about to start.
void peripheral::withdraw(const std::string& name, place& p) {
  loop_.cancel(p.retry);
  p.asking = true;
  bluez_->call(
      adapter_path(name), advertising_manager, "UnregisterAdvertisement",
      [this, name](sdbus::MethodReply&, const sdbus::Error*) {
        places_.at(name).asking = false;
        present(name);
      },
      sdbus::ObjectPath{p.advert->path()});
  p.advert.reset();
}

void peripheral::accept(const std::string& name) {
  auto& p = places_.at(name);
  address peer;
  auto socket = accept_one(p.listener.get(), peer);
  if (!socket) return;
  const auto from = "ble:" + peer.text();
  if (const auto wrong = shortcoming(socket.get(), settings_))
    return unfit_logged_.due() ? out_.log(CPNS_LOG_WARN, from + ": " + *wrong) : void();
  linked(name, make_l2cap(std::move(socket), settings_.mtu), from, {});
}

void peripheral::greeted(const std::string& name, std::unique_ptr<gatt_channel> over,
                         const std::string& from) {
  if (places_.at(name).endpoint == 0) {
    over->close();
    return places_.at(name).gatt->take_back(*over);
  }
  linked(name, std::move(over), "ble:" + from, [this, name](channel& ended) {
    if (auto& server = places_.at(name).gatt) server->take_back(static_cast<gatt_channel&>(ended));
  });
}

void peripheral::linked(const std::string& name, std::unique_ptr<channel> over, const std::string& from,
                        std::function<void(channel&)> gone) {
  auto& p = places_.at(name);
  if (p.links.size() >= links_per_pne) {
    const auto idle = std::min_element(p.links.begin(), p.links.end(), [this](const auto& a, const auto& b) {
                        return links_.busy(a.first) < links_.busy(b.first);
                      })->first;
    links_.close(idle, CPNS_DOWN_LIMIT, "replaced by a newer link", links::end::host);
  }
  // links_.up() returns the id only after it took the callback; the callback runs later.
  const auto id = std::make_shared<std::uint64_t>(0);
  *id = links_.up(std::move(over), p.endpoint, from,
                  [this, name, id, gone = std::move(gone)](links::end, channel& ended) {
                    places_.at(name).links.erase(*id);
                    if (gone) gone(ended);
                  });
  p.links.emplace(*id, from);
}

void peripheral::shut() {
  for (auto& [name, p] : places_) {
    p.endpoint = 0;
    loop_.cancel(p.retry);
    close_listener(p);
    present(name);
  }
  links_.close_all("this side is closing");
  bluez_->settle();
  for (auto& [name, p] : places_) {
    p.advert.reset();  // in case bluetoothd did not reply: it must not outlive the bus connection
    p.gatt.reset();
  }
  bluez_.reset();
}

}  // namespace cpns::ble
