// The ble radio. See settings.hpp for its parameters, and docs/protocol.md for the bytes on the air.

#include <atomic>

#include "plugins/sdk/extensions.hpp"
#include "transports/ble/central.hpp"
#include "transports/ble/peripheral.hpp"

namespace {

using namespace cpns;
using namespace cpns::ble;

class ble_radio final : public sdk::radio {
 public:
  ble_radio(sdk::host out, cpns_role as, settings s, bool probe)
      : settings_(std::move(s)), loop_([out](const std::string& why) { out.log(CPNS_LOG_ERROR, why); }),
        links_(loop_, out, settings_.mtu) {
    if (as == CPNS_ROLE_CENTRAL) {
      central_ = std::make_unique<central>(loop_, out, settings_, links_);
      central_->open();
    } else {
      peripheral_ = std::make_unique<peripheral>(loop_, out, settings_, links_);
      peripheral_->open();
    }
    if (probe) return;  // open() has checked bluetoothd and the adapters; nothing else is started
    loop_.post([this] { central_ ? central_->start() : peripheral_->start(); });
    loop_.run();
  }

  void limits(cpns_limits& l) override {
    l.mtu = settings_.mtu;
    const auto adapters = static_cast<std::uint32_t>(settings_.adapters.size());
    l.max_links = central_ ? static_cast<std::uint32_t>(settings_.max_links) : 2 * adapters;
    l.max_endpoints = central_ ? 0 : adapters;
    l.traits = CPNS_TRAIT_RELIABLE | CPNS_TRAIT_ORDERED | CPNS_TRAIT_MAY_SCAN_WHILE_CONNECTED;
  }
  cpns_status scan(bool on) override {
    if (!central_) return CPNS_UNSUPPORTED;
    if (on) scanned_ = true;
    loop_.post([this, on] { central_->scan(on); });
    return CPNS_OK;
  }
  cpns_status connect(std::string_view address) override {
    if (!central_) return CPNS_UNSUPPORTED;
    if (!scanned_) return CPNS_NO_LINK;  // callbacks are not allowed yet, and no peer was found
    loop_.post([this, peer = std::string{address}] { central_->want(peer); });
    return CPNS_OK;
  }
  void cancel(std::string_view address) override {
    if (central_) loop_.post([this, peer = std::string{address}] { central_->unwant(peer); });
  }
  cpns_status add_endpoint(std::uint64_t endpoint, std::string_view) override {
    if (!peripheral_) return CPNS_UNSUPPORTED;
    return peripheral_->add(endpoint) ? CPNS_OK : CPNS_LIMIT;
  }
  void remove_endpoint(std::uint64_t endpoint) override {
    if (peripheral_) peripheral_->remove(endpoint);
  }
  cpns_status send(std::uint64_t link, std::span<const std::uint8_t> frame) override {
    return links_.send(link, frame);
  }
  void disconnect(std::uint64_t link) override { links_.disconnect(link); }
  const void* extension(std::string_view id) override { return sdk::extension_of<ble_radio>(id); }

  [[nodiscard]] std::int32_t rssi(std::uint64_t link) const { return links_.rssi(link); }
  [[nodiscard]] cpns_pairing pairing(std::uint64_t link) const { return links_.pairing(link); }
  void forget(std::string_view address) {
    if (central_) loop_.post([this, peer = std::string{address}] { central_->forget(peer); });
  }
  void set_power(cpns_power power) {
    if (central_) loop_.post([this, power] { central_->save_power(power == CPNS_POWER_SAVING); });
  }
  void statistics(const sdk::counter_sink& tell) const {
    tell("frames_sent", links_.sent());
    tell("frames_received", links_.received());
    if (!central_) return;
    const auto& n = central_->counted();
    tell("scans", n.scans);
    tell("attempts", n.attempts);
    tell("attempts_failed", n.failed);
    tell("links_given_up", n.given_up);
  }
  void stop() override {
    loop_.stop([this] { central_ ? central_->shut() : peripheral_->shut(); });
  }

 private:
  settings settings_;
  std::atomic<bool> scanned_{false};
  loop loop_;
  links links_;
  std::unique_ptr<central> central_;
  std::unique_ptr<peripheral> peripheral_;
};

std::unique_ptr<sdk::radio> make(sdk::host out, cpns_role as, const sdk::parameters& p, bool probe) {
  return std::make_unique<ble_radio>(out, as, read_settings(p, as), probe);
}

}  // namespace

CPNS_TRANSPORT("ble", "1.0.0", "Frames over Bluetooth Low Energy, through BlueZ", ble::parameters, make)
