// A radio for tests: that of tcp, of which each frame is lost with a given probability, in each direction. Parameters: those of tcp,
// `drop_percent` and `drop_seed`.

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plugins/sdk/extensions.hpp"
#include "plugins/sdk/transport.hpp"
#include "transports/tcp/settings.hpp"

/// The radio of transports/tcp, linked in.
extern "C" const cpns_transport_entry_t cpns_transport_entry_tcp;

namespace {

using namespace cpns;

constexpr std::array of_lossy{
    sdk::number("drop_percent", "The probability with which a frame is lost, in each direction.", "10", 0,
                100),
    sdk::number("drop_seed", "Draws the frames that are lost; 0: each time others.", "0", 0, UINT32_MAX)};

constexpr auto all_parameters = [] {
  std::array<cpns_parameter_spec, tcp::parameters.size() + of_lossy.size()> out{};
  std::copy(of_lossy.begin(), of_lossy.end(),
            std::copy(tcp::parameters.begin(), tcp::parameters.end(), out.begin()));
  return out;
}();

/// Decides which frames of one direction are lost. [thread-safe]
class losses {
 public:
  losses(std::uint64_t percent, std::uint64_t seed) : percent_(percent), draw_(seed) {}
  bool takes_next() {
    const std::lock_guard lock{guard_};
    const bool lost = draw_() % 100 < percent_;
    if (lost) ++count_;
    return lost;
  }
  [[nodiscard]] std::uint64_t count() const { return count_; }

 private:
  const std::uint64_t percent_;
  std::mutex guard_;
  std::mt19937_64 draw_;
  std::atomic<std::uint64_t> count_{0};
};

class lossy_radio final : public sdk::radio {
 public:
  lossy_radio(sdk::host out, cpns_role as, const sdk::parameters& p, bool probe) : lossy_radio(out, p) {
    const std::uint32_t mine =
        as == CPNS_ROLE_CENTRAL ? CPNS_PARAMETER_OF_CENTRAL : CPNS_PARAMETER_OF_PERIPHERAL;
    std::vector<std::pair<std::string, std::string>> texts;
    for (const auto& spec : tcp::parameters)
      if ((spec.flags & mine) != 0) texts.emplace_back(spec.name, p.text(spec.name));
    std::sort(texts.begin(), texts.end());
    std::vector<cpns_parameter> given;
    for (const auto& [name, value] : texts) given.push_back({name.c_str(), value.c_str()});
    const cpns_open_args args{sizeof args, static_cast<std::uint32_t>(as), given.data(), given.size(), probe};
    const auto opened = cpns_transport_entry_tcp.open(&host_, &args, &under_);
    if (opened == CPNS_BAD_PARAMETER) throw sdk::bad_parameter{refused_.first, refused_.second};
    if (opened == CPNS_UNAVAILABLE) throw sdk::unavailable{"the tcp radio cannot be opened"};
    if (opened != CPNS_OK) throw std::runtime_error{"the tcp radio does not open"};
  }

  void limits(cpns_limits& l) override {
    under_->get_limits(under_->context, &l);
    l.traits &= ~static_cast<std::uint32_t>(CPNS_TRAIT_RELIABLE);
  }
  cpns_status scan(bool on) override { return under_->scan(under_->context, on); }
  cpns_status add_endpoint(std::uint64_t endpoint, std::string_view name) override {
    return under_->add_endpoint(under_->context, endpoint, std::string{name}.c_str());
  }
  void remove_endpoint(std::uint64_t endpoint) override {
    under_->remove_endpoint(under_->context, endpoint);
  }
  cpns_status send(std::uint64_t link, std::span<const std::uint8_t> frame) override {
    if (is_up(link) && out_lost_.takes_next()) return CPNS_OK;
    return under_->send(under_->context, link, frame.data(), frame.size());
  }
  void disconnect(std::uint64_t link) override { under_->disconnect(under_->context, link); }
  void stop() override { under_->close(under_->context); }
  const void* extension(std::string_view id) override { return sdk::extension_of<lossy_radio>(id); }

  void statistics(const sdk::counter_sink& tell) const {
    const auto* of_tcp =
        static_cast<const cpns_ext_statistics*>(under_->get_extension(under_->context, CPNS_EXT_STATISTICS));
    auto sink = tell;
    of_tcp->read(
        under_->context,
        [](void* to, const char* name, std::uint64_t value) {
          (*static_cast<sdk::counter_sink*>(to))(name, value);
        },
        &sink);
    tell("frames_dropped_out", out_lost_.count());
    tell("frames_dropped_in", in_lost_.count());
  }

 private:
  lossy_radio(sdk::host out, const sdk::parameters& p)
      : lossy_radio(out, p.number("drop_percent"), seed_of(p)) {}
  lossy_radio(sdk::host out, std::uint64_t percent, std::uint64_t seed)
      : out_(out), in_lost_(percent, seed), out_lost_(percent, seed + 1) {}
  static std::uint64_t seed_of(const sdk::parameters& p) {
    const auto given = p.number("drop_seed");
    return given != 0 ? given : std::random_device{}();
  }
  static lossy_radio& of(void* c) { return *static_cast<lossy_radio*>(c); }

  bool is_up(std::uint64_t link) {
    const std::lock_guard lock{guard_};
    return up_.contains(link);
  }

  const sdk::host out_;
  losses in_lost_, out_lost_;
  std::mutex guard_;
  std::set<std::uint64_t> up_;
  std::pair<std::string, std::string> refused_;  ///< a parameter, and why
  /// What the tcp radio calls. It gets no extensions, because their functions take the context of the real host.
  const cpns_host host_{
      sizeof(cpns_host),
      0,
      this,
      [](void* c, std::uint64_t link, std::uint64_t endpoint, const char* address) {
        {
          const std::lock_guard lock{of(c).guard_};
          of(c).up_.insert(link);
        }
        of(c).out_.link_up(link, endpoint, address);
      },
      [](void* c, std::uint64_t link, std::uint32_t why, const char* detail) {
        {
          const std::lock_guard lock{of(c).guard_};
          of(c).up_.erase(link);
        }
        of(c).out_.link_down(link, static_cast<cpns_down_reason>(why), detail != nullptr ? detail : "");
      },
      [](void* c, std::uint64_t link, const std::uint8_t* data, std::size_t size) {
        if (!of(c).in_lost_.takes_next()) of(c).out_.frame(link, {data, size});
      },
      [](void* c, std::uint64_t link) { of(c).out_.writable(link); },
      [](void* c, const char* address, std::int32_t rssi) { of(c).out_.peer_found(address, rssi); },
      [](void* c, const char* why) { of(c).out_.failed(why); },
      [](void* c, std::uint32_t level, const char* text) {
        of(c).out_.log(static_cast<cpns_log_level>(level), text);
      },
      [](void*, const char*) -> const void* { return nullptr; },
      [](void* c, const char* address, const char* why) {
        of(c).out_.connect_failed(address, why != nullptr ? why : "");
      },
      [](void* c, const char* name, const char* why) {
        of(c).refused_ = {name, why};
      }};
  const cpns_transport* under_ = nullptr;
};

std::unique_ptr<sdk::radio> make(sdk::host out, cpns_role as, const sdk::parameters& p, bool probe) {
  return std::make_unique<lossy_radio>(out, as, p, probe);
}

}  // namespace

CPNS_TRANSPORT("lossy", "1.0.0", "The tcp radio with lost frames, for tests", all_parameters, make)
