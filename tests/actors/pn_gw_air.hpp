#pragma once
// A radio in memory whose far end are real PNE machines. One thread; nothing moves until step() is called.

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>

#include "actors/radio.hpp"
#include "protocol/codec.hpp"
#include "protocol/pne/pne_machine.hpp"

namespace cpns::gateway_actor_tests {

/// One PNE with its memory.
struct headset_end {
  headset_end(protocol::pne_settings s, entropy& random, time_point now)
      : entity(s.entity), machine(std::move(s), {}, crypto::openssl_suite(), random, now) {}

  entity_id entity;
  protocol::pne_record stored;  ///< survives a power cut
  protocol::pne_machine machine;
  plugins::link_id link = 0;  ///< 0: on no link
  std::string address;

  [[nodiscard]] std::optional<epoch> key() const { return machine.current_epoch(); }
};

class air final : public plugins::transport {
 public:
  enum class way : std::uint8_t { to_pne, to_gateway };

  air(entropy& random, const time_point& now, std::function<void()> wake)
      : inbox(std::make_shared<actors::radio_inbox>(0, std::move(wake))), random_(random), now_(now) {
    info_.name = "air";
  }

  std::shared_ptr<actors::radio_inbox> inbox;
  std::function<bool(way, byte_view)> loses;   ///< says which messages do not arrive
  std::function<bool(byte_view)> breaks;       ///< says at which message send() throws
  std::vector<std::string> connects;           ///< addresses that the gateway asked for
  std::vector<plugins::link_id> disconnected;  ///< links that the gateway closed
  /// What the gateway does on links that are no headset's; an empty message is their end.
  std::function<void(plugins::link_id, byte_view)> elsewhere;

  headset_end& add(entity_id entity, const secret32& temporary_key);
  void link_up(headset_end& h);
  void link_down(headset_end& h);
  /// It leaves its link, and the gateway is told nothing.
  void leave_half_open(headset_end& h);
  plugins::link_id new_link() { return ++last_link_; }
  /// Delivers one message, or runs what is due. False: nothing to do.
  bool step();
  [[nodiscard]] time_point next_deadline() const;

  [[nodiscard]] const plugins::transport_info& info() const override { return info_; }
  status scan(bool) override { return {}; }
  status connect(std::string_view address) override;
  status add_endpoint(plugins::endpoint_id, std::string_view) override { return fail(errc::plugin_failed); }
  status remove_endpoint(plugins::endpoint_id) override { return fail(errc::plugin_failed); }
  status send(plugins::link_id link, byte_view message) override;
  void cancel(std::string_view) override {}
  void disconnect(plugins::link_id link) override;
  status set_power(plugins::power_level) override { return {}; }
  void forget_pairing(std::string_view) override {}
  [[nodiscard]] plugins::link_quality quality(plugins::link_id) const override { return {-40, {}}; }
  [[nodiscard]] std::vector<plugins::named_counter> counters() const override {
    return {{"links", last_link_}};
  }
  void close() override {}

 private:
  bool apply(headset_end& h);

  plugins::transport_info info_;
  entropy& random_;
  const time_point& now_;
  std::vector<std::unique_ptr<headset_end>> all_;
  std::deque<std::pair<plugins::link_id, bytes>> under_way_;
  plugins::link_id last_link_ = 0;
};

/// Whether `message` is one of this kind.
template <class Kind>
bool is_a(byte_view message) {
  const auto m = protocol::decode_radio(message);
  return m && std::holds_alternative<Kind>(*m);
}

}  // namespace cpns::gateway_actor_tests
