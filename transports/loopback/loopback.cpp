// A radio inside one process: for the demo, for tests, and for trying a gateway in bad weather. Parameters:
//   network     a name; instances of one process meet when it is the same (default "loopback")
//   mtu         bytes of one frame, 23 to 1026 (512)
//   max_links   at the same time, 1 to 100000 (100000)
//   loss, duplicate, reorder   per mille of frames (0)
//   delay_ms, jitter_ms        milliseconds (0)
//   seed        of the dice, so that bad weather can be repeated (1)

#include "plugins/sdk/transport.hpp"
#include "transports/loopback/medium.hpp"

namespace {

using namespace cpns;

class loopback_radio final : public sdk::radio, public loopback::station {
 public:
  loopback_radio(sdk::host out, cpns_role as, std::uint32_t mtu, std::uint32_t max_links,
                 const std::string& network, const loopback::weather& w)
      : out_(out), role_(as), mtu_(mtu), max_links_(max_links),
        traits_(w.loss == 0 ? std::uint32_t{CPNS_TRAIT_RELIABLE} : 0u),
        medium_(loopback::medium::join(network, w)) {
    if (w.reorder == 0 && w.jitter_ms == 0) traits_ |= CPNS_TRAIT_ORDERED;
  }

  const sdk::host& out() const override { return out_; }
  std::size_t max_links() const override { return max_links_; }

  void limits(cpns_limits& l) override {
    l.mtu = mtu_;
    l.max_links = max_links_;
    l.max_endpoints = role_ == CPNS_ROLE_PERIPHERAL ? 100'000 : 0;
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
  void stop() override { medium_->leave(*this); }

 private:
  sdk::host out_;
  cpns_role role_;
  std::uint32_t mtu_, max_links_;
  std::uint32_t traits_;
  std::shared_ptr<loopback::medium> medium_;
};

std::unique_ptr<sdk::radio> make(sdk::host out, cpns_role as, sdk::parameters& p, bool probe) {
  if (as != CPNS_ROLE_CENTRAL && as != CPNS_ROLE_PERIPHERAL)
    throw std::invalid_argument{"role " + std::to_string(as) + " is not known"};
  loopback::weather w;
  const auto network = p.text("network", "loopback");
  const auto mtu = static_cast<std::uint32_t>(p.number("mtu", 512, 23, 1026));
  const auto max_links = static_cast<std::uint32_t>(p.number("max_links", 100'000, 1, 100'000));
  w.loss = p.number("loss", 0, 0, 1000);
  w.duplicate = p.number("duplicate", 0, 0, 1000);
  w.reorder = p.number("reorder", 0, 0, 1000);
  w.delay_ms = p.number("delay_ms", 0, 0, 60'000);
  w.jitter_ms = p.number("jitter_ms", 0, 0, 60'000);
  w.seed = p.number("seed", 1, 0, UINT64_MAX);
  p.finish();
  return std::make_unique<loopback_radio>(out, as, mtu, max_links, probe ? "probe of " + network : network,
                                          w);
}

}  // namespace

CPNS_TRANSPORT("loopback", "1.0.0", "A radio inside one process, with bad weather on request", make)
