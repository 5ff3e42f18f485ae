#pragma once
// A radio in memory with real PNE machines at the far end. One thread; nothing happens until step() is called.

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

/// One PNE with its durable record.
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
  std::function<bool(way, byte_view)> loses;   ///< true: the message is lost
  std::function<bool(byte_view)> breaks;       ///< true: send() throws
  std::vector<std::string> connects;           ///< addresses passed to connect()
  std::vector<plugins::link_id> disconnected;  ///< links passed to disconnect()
  /// Receives the gateway's messages on links without a headset; an empty message: the link was closed.
  std::function<void(plugins::link_id, byte_view)> elsewhere;

  headset_end& add(entity_id entity, const secret32& temporary_key);
  void link_up(headset_end& h);
  void link_down(headset_end& h);
  /// The headset leaves its link; the gateway is not notified.
  void leave_half_open(headset_end& h);
  plugins::link_id new_link() { return ++last_link_; }
  /// Runs due timeouts and delivers one message. False: there was no message.
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
  std::deque<std::pair<plugins::link_id, bytes>> in_flight_;
  plugins::link_id last_link_ = 0;
};

/// Whether `message` is of this kind.
template <class Kind>
bool is_a(byte_view message) {
  const auto m = protocol::decode_radio(message);
  return m && std::holds_alternative<Kind>(*m);
}

}  // namespace cpns::gateway_actor_tests
