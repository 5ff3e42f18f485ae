// A radio inside one process, for the demo, for tests, and for simulating bad radio conditions. Instances of one
// process reach each other if their network is the same.

#include <array>
#include <optional>

#include "plugins/sdk/extensions.hpp"
#include "transports/loopback/medium.hpp"

namespace {

using namespace cpns;

constexpr std::array specs{
    sdk::text("network", "A name; instances of one process with the same name reach each other.", "loopback",
              1, 64, CPNS_PARAMETER_OF_BOTH | CPNS_PARAMETER_IS_ADDRESS),
    sdk::number("mtu", "Bytes of a frame.", "512", 23, 1026),
    sdk::number("max_links", "Links at the same time.", "1000000", 1, 1'000'000),
    sdk::number("loss", "Frames lost, per thousand.", "0", 0, 1000),
    sdk::number("duplicate", "Frames that arrive twice, per thousand.", "0", 0, 1000),
    sdk::number("reorder", "Frames that later ones overtake, per thousand.", "0", 0, 1000),
    sdk::number("delay_ms", "Milliseconds from sending a frame to its arrival.", "0", 0, 60'000),
    sdk::number("jitter_ms", "Maximum random addition to delay_ms, in milliseconds.", "0", 0, 60'000),
    sdk::number("retry_ms",
                "Milliseconds before a link that one side closed is made again; doubles each time, up to 64 "
                "times this, with random jitter.",
                "200", 10, 600'000),
    sdk::number("seed", "Seed of the random generator; the same seed repeats loss, delay and order.", "1", 0,
                UINT64_MAX),
};

class loopback_radio final : public sdk::radio, public loopback::station {
 public:
  loopback_radio(sdk::host out, cpns_role as, std::uint32_t mtu, std::uint32_t max_links,
                 const std::string& network, const loopback::weather& w)
      : out_(out), role_(as), mtu_(mtu), max_links_(max_links),
        traits_(w.loss == 0 ? std::uint32_t{CPNS_TRAIT_RELIABLE} : 0u),
        medium_(loopback::medium::join(network, w)) {
    if (w.reorder == 0 && w.jitter_ms == 0) traits_ |= CPNS_TRAIT_ORDERED;
    if (sdk::is_time_simulated(out_)) simulated_.emplace(out_);
  }

  const sdk::host& out() const override { return out_; }
  std::size_t max_links() const override { return max_links_; }
  sdk::loop* simulated() override { return simulated_ ? &*simulated_ : nullptr; }

  void limits(cpns_limits& l) override {
    l.mtu = mtu_;
    l.max_links = max_links_;
    l.max_endpoints = role_ == CPNS_ROLE_PERIPHERAL ? 1'000'000 : 0;
    l.traits = traits_ | CPNS_TRAIT_MAY_SCAN_WHILE_CONNECTED;
  }
  cpns_status scan(bool on) override {
    if (role_ != CPNS_ROLE_CENTRAL) return CPNS_UNSUPPORTED;
    medium_->scan(*this, on);
    return CPNS_OK;
  }
  cpns_status add_endpoint(std::uint64_t endpoint, std::string_view) override {
    return role_ == CPNS_ROLE_PERIPHERAL ? medium_->add_endpoint(*this, endpoint) : CPNS_UNSUPPORTED;
  }
  void remove_endpoint(std::uint64_t endpoint) override { medium_->remove_endpoint(*this, endpoint); }
  cpns_status send(std::uint64_t link, std::span<const std::uint8_t> frame) override {
    return frame.empty() || frame.size() > mtu_ ? CPNS_LIMIT : medium_->send(*this, link, frame);
  }
  void disconnect(std::uint64_t link) override { medium_->disconnect(*this, link); }
  void stop() override {
    if (simulated_) simulated_->stop();
    medium_->leave(*this);
  }
  const void* extension(std::string_view id) override { return sdk::extension_of<loopback_radio>(id); }

  void statistics(const sdk::counter_sink& tell) const {
    tell("frames_sent", sent_);
    tell("frames_lost_on_air", lost_);
    tell("frames_received", received_);
  }

 private:
  sdk::host out_;
  cpns_role role_;
  std::uint32_t mtu_, max_links_;
  std::uint32_t traits_;
  std::shared_ptr<loopback::medium> medium_;
  std::optional<sdk::loop> simulated_;
};

std::unique_ptr<sdk::radio> make(sdk::host out, cpns_role as, const sdk::parameters& p, bool probe) {
  loopback::weather w;
  w.loss = p.number("loss");
  w.duplicate = p.number("duplicate");
  w.reorder = p.number("reorder");
  w.delay_ms = p.number("delay_ms");
  w.jitter_ms = p.number("jitter_ms");
  w.seed = p.number("seed");
  w.retry_ms = p.number("retry_ms");
  const auto network = p.text("network");
  return std::make_unique<loopback_radio>(out, as, static_cast<std::uint32_t>(p.number("mtu")),
                                          static_cast<std::uint32_t>(p.number("max_links")),
                                          probe ? "probe of " + network : network, w);
}

}  // namespace

CPNS_TRANSPORT("loopback", "1.0.0", "A radio inside one process, with bad weather on request", specs, make)
