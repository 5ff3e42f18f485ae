// The tcp radio. See settings.hpp for its parameters and its wire format.

#include "plugins/sdk/extensions.hpp"
#include "transports/tcp/central.hpp"
#include "transports/tcp/peripheral.hpp"

namespace {

using namespace cpns;
using namespace cpns::tcp;

// Without max_links a process may present more PNEs than it has links; the others wait.
constexpr std::uint32_t endpoints_of_one = 1'000'000;

class tcp_radio final : public sdk::radio {
 public:
  tcp_radio(sdk::host out, cpns_role as, const settings& s, bool probe)
      : mtu_(s.mtu),
        endpoints_max_(s.max_links == 0 ? endpoints_of_one : static_cast<std::uint32_t>(s.max_links)) {
    if (as == CPNS_ROLE_CENTRAL)
      hub_ = central_ = new central{out, s, probe};
    else
      hub_ = peripheral_ = new peripheral{out, s, probe};
    owner_.reset(hub_);
    hub_->run();
  }

  void limits(cpns_limits& l) override {
    l.mtu = mtu_;
    l.max_links = static_cast<std::uint32_t>(hub_->links_declared());
    l.max_endpoints = peripheral_ != nullptr ? endpoints_max_ : 0;
    l.traits = CPNS_TRAIT_RELIABLE | CPNS_TRAIT_ORDERED | CPNS_TRAIT_MAY_SCAN_WHILE_CONNECTED;
  }
  cpns_status scan(bool on) override {
    if (central_ == nullptr) return CPNS_UNSUPPORTED;
    central_->scan(on);
    return CPNS_OK;
  }
  cpns_status add_endpoint(std::uint64_t endpoint, std::string_view) override {
    if (peripheral_ == nullptr) return CPNS_UNSUPPORTED;
    return peripheral_->add(endpoint) ? CPNS_OK : CPNS_LIMIT;
  }
  void remove_endpoint(std::uint64_t endpoint) override {
    if (peripheral_ != nullptr) peripheral_->remove(endpoint);
  }
  cpns_status send(std::uint64_t link, std::span<const std::uint8_t> frame) override {
    return hub_->send(link, frame);
  }
  void disconnect(std::uint64_t link) override { hub_->disconnect(link); }
  void stop() override { hub_->stop(); }
  const void* extension(std::string_view id) override { return sdk::extension_of<tcp_radio>(id); }

  void statistics(const sdk::counter_sink& tell) const {
    const auto& n = hub_->counted();
    tell("frames_sent", n.frames_sent);
    tell("frames_received", n.frames_received);
    tell("links_dead", n.links_dead);
    if (central_ == nullptr) {
      tell("beacons_heard", n.beacons_heard);
      tell("beacons_malformed", n.beacons_malformed);
      tell("beacons_other_network", n.beacons_other_network);
      tell("probes", n.probes);
      tell("connects_failed", n.connects_failed);
      return;
    }
    tell("strangers_bad_hello", n.strangers_bad_hello);
    tell("strangers_other_network", n.strangers_other_network);
    tell("strangers_oversized", n.strangers_oversized);
    tell("strangers_too_slow", n.strangers_too_slow);
    tell("strangers_silent", n.strangers_silent);
    tell("strangers_over_limit", n.strangers_over_limit);
    tell("beacons", n.beacons);
  }
  void set_power(cpns_power power) {
    if (central_ != nullptr) central_->save_power(power == CPNS_POWER_SAVING);
  }

 private:
  std::uint32_t mtu_, endpoints_max_;
  central* central_ = nullptr;
  peripheral* peripheral_ = nullptr;
  hub* hub_ = nullptr;
  std::unique_ptr<hub> owner_;
};

std::unique_ptr<sdk::radio> make(sdk::host out, cpns_role as, const sdk::parameters& p, bool probe) {
  return std::make_unique<tcp_radio>(out, as, read_settings(p, as), probe);
}

}  // namespace

CPNS_TRANSPORT("tcp", "1.0.0", "Frames over TCP, with discovery by UDP beacons", tcp::parameters, make)
