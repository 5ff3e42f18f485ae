#include "transports/ble/peripheral.hpp"

#include <poll.h>

#include <algorithm>
#include <system_error>

namespace cpns::ble {
namespace {

constexpr const char* manager_interface = "org.bluez.LEAdvertisingManager1";
constexpr const char* advert_interface = "org.bluez.LEAdvertisement1";
constexpr std::chrono::milliseconds first_pause{500};
constexpr unsigned doublings_max = 5;
// A gateway that comes back before the loss of its old link shows has to get in; a third gateway does not
// starve the first.
constexpr std::size_t links_of_one = 2;

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
                 .changed = {},
                 .gone = {},
                 .bus_lost =
                     [this] {
                       for (auto& [name, p] : places_) p.advert.reset();
                     }});
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
      withdraw(name, p);
      const auto all = p.links;
      for (const auto link : all) links_.close(link, CPNS_DOWN_CLOSED, "the PNE left", links::end::host);
    }
  });
}

void peripheral::present(const std::string& name) {
  auto& p = places_.at(name);
  const auto* a = bluez_->find_adapter(name);
  if (a == nullptr || !a->powered) {
    p.advert.reset();  // bluetoothd forgot it
    return;
  }
  if (p.endpoint == 0) return;
  if (!p.listener || !(p.at == a->at)) {
    if (p.listener) loop_.unwatch(p.listener.get());
    p.listener.reset();
    try {
      p.listener = listen_at(a->at, settings_.psm, settings_);
    } catch (const std::system_error& e) {
      return again(name, "PSM " + std::to_string(settings_.psm) + ": " + e.what());
    }
    p.at = a->at;
    loop_.watch(p.listener.get(), POLLIN, [this, name](short) { accept(name); });
  }
  if (!p.advert) advertise(name, p);
}

void peripheral::advertise(const std::string& name, place& p) {
  const auto path = "/cpns/advert" + std::to_string(++adverts_);
  const std::map<std::uint16_t, sdbus::Variant> made{
      {company,
       sdbus::Variant{encode({.channel = true, .gatt = false, .psm = settings_.psm, .tag = p.tag})}}};
  p.advert = sdbus::createObject(bluez_->connection(), path);
  auto& o = *p.advert;
  o.registerProperty("Type").onInterface(advert_interface).withGetter([] {
    return std::string{"peripheral"};
  });
  o.registerProperty("ServiceUUIDs").onInterface(advert_interface).withGetter([] {
    return std::vector<std::string>{std::string{service_uuid}};
  });
  o.registerProperty("ManufacturerData").onInterface(advert_interface).withGetter([made] { return made; });
  o.registerProperty("Discoverable").onInterface(advert_interface).withGetter([] { return true; });
  o.registerMethod("Release").onInterface(advert_interface).implementedAs([this, name, path] {
    loop_.post([this, name, path] {
      auto& mine = places_.at(name);
      if (!mine.advert || mine.advert->getObjectPath() != path) return;
      mine.advert.reset();
      present(name);
    });
  });
  o.finishRegistration();
  bluez_->call(
      adapter_path(name), manager_interface, "RegisterAdvertisement",
      [this, name, path](sdbus::MethodReply&, const sdbus::Error* wrong) {
        auto& mine = places_.at(name);
        if (!mine.advert || mine.advert->getObjectPath() != path) return;
        if (wrong == nullptr) {
          mine.failures = 0;
          mine.complained = false;
          return out_.log(CPNS_LOG_DEBUG, "advertising on " + name);
        }
        again(name, "advertising: " + bluez::explain(*wrong));
      },
      sdbus::ObjectPath{path}, bluez::properties{});
}

void peripheral::again(const std::string& name, const std::string& why) {
  auto& p = places_.at(name);
  if (!std::exchange(p.complained, true))
    out_.log(CPNS_LOG_WARN, "adapter " + name + ": " + why + "; trying again and again");
  loop_.cancel(p.retry);
  p.retry = loop_.after(first_pause * (1 << std::min(p.failures++, doublings_max)), [this, name] {
    places_.at(name).advert.reset();
    present(name);
  });
}

void peripheral::withdraw(const std::string& name, place& p) {
  loop_.cancel(p.retry);
  if (p.listener) loop_.unwatch(p.listener.get());
  p.listener.reset();
  if (!p.advert) return;
  bluez_->call(adapter_path(name), manager_interface, "UnregisterAdvertisement", nullptr,
               sdbus::ObjectPath{p.advert->getObjectPath()});
  p.advert.reset();
}

void peripheral::accept(const std::string& name) {
  auto& p = places_.at(name);
  address peer;
  auto socket = accept_one(p.listener.get(), peer);
  if (!socket) return;
  const auto from = "ble:" + peer.text();
  if (const auto wrong = shortcoming(socket.get(), settings_))
    return out_.log(CPNS_LOG_WARN, from + ": " + *wrong);
  if (p.links.size() >= links_of_one) {
    const auto idle = *std::min_element(p.links.begin(), p.links.end(),
                                        [this](auto a, auto b) { return links_.busy(a) < links_.busy(b); });
    links_.close(idle, CPNS_DOWN_LIMIT, "a newer link takes its place", links::end::host);
  }
  // The id is known only after the host was told, and the end comes later still.
  const auto id = std::make_shared<std::uint64_t>(0);
  *id = links_.up(make_l2cap(std::move(socket), settings_.mtu), p.endpoint, from,
                  [this, name, id](links::end, channel&) { std::erase(places_.at(name).links, *id); });
  p.links.push_back(*id);
}

void peripheral::shut() {
  for (auto& [name, p] : places_) withdraw(name, p);
  links_.close_all("this side closes");
  bluez_.reset();
}

}  // namespace cpns::ble
