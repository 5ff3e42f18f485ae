#pragma once
// The devices of one PNE process, on the virtual scheduler, with the test at the far end of the radio.

#include <gtest/gtest.h>

#include <caf/scheduler/test_coordinator.hpp>
#include <fstream>
#include <iterator>
#include <map>
#include <stdexcept>

#include "actors/pne/fleet.hpp"
#include "crypto/suite.hpp"
#include "protocol/codec.hpp"
#include "storage/secret_file.hpp"
#include "tests/support/seeded_entropy.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/unit/server/captured_log.hpp"

namespace cpns::pne_actor_tests {

using server_tests::captured_log;

inline const std::string first = "urn:dev:mac:0024befffe804ff0", second = "urn:dev:mac:0024befffe804ff1";

struct testing_config : caf::actor_system_config {
  testing_config() { set("scheduler.policy", caf::atom("testing")); }
};

class far_end final : public plugins::transport {
 public:
  std::vector<bytes> heard;
  std::vector<plugins::link_id> heard_on;  ///< the link of each of them
  std::vector<plugins::link_id> disconnected;
  std::map<plugins::endpoint_id, std::string> presented;
  int breaks = 0;  ///< number of sends that throw

  far_end() { info_.name = "air"; }
  [[nodiscard]] const plugins::transport_info& info() const override { return info_; }
  status scan(bool) override { return fail(errc::plugin_failed); }
  status connect(std::string_view) override { return fail(errc::plugin_failed); }
  status add_endpoint(plugins::endpoint_id e, std::string_view name) override {
    presented[e] = name;
    return {};
  }
  status remove_endpoint(plugins::endpoint_id e) override {
    presented.erase(e);
    return {};
  }
  status send(plugins::link_id link, byte_view message) override {
    if (breaks > 0) {
      --breaks;
      throw std::runtime_error("the radio of this test breaks");
    }
    heard.push_back(to_bytes(message));
    heard_on.push_back(link);
    return {};
  }
  void cancel(std::string_view) override {}
  void disconnect(plugins::link_id link) override { disconnected.push_back(link); }
  status set_power(plugins::power_level) override { return {}; }
  void forget_pairing(std::string_view) override {}
  [[nodiscard]] plugins::link_quality quality(plugins::link_id) const override { return {}; }
  [[nodiscard]] std::vector<plugins::named_counter> counters() const override { return {}; }
  void close() override {}

 private:
  plugins::transport_info info_;
};

/// Two devices, of which the first has a key.
struct fleet_harness {
  testing_config config;
  caf::actor_system system{config};
  caf::scheduler::test_coordinator& scheduler =
      dynamic_cast<caf::scheduler::test_coordinator&>(system.scheduler());
  captured_log log;
  test::temporary_folder folder;
  test::seeded_entropy random{7};
  time_point now{seconds{1'800'000'000}};
  const epoch held{3, 5};
  far_end radio;
  std::shared_ptr<actors::radio_inbox> inbox = std::make_shared<actors::radio_inbox>(0, [] {});
  std::vector<std::string> failures;
  actors::fleet_actor fleet;
  std::string whole;  ///< content of the file before spoil()

  /// Puts its keys in front of those of the first device.
  using in_front_fn =
      std::function<std::shared_ptr<actors::device_keys>(std::shared_ptr<actors::device_keys>)>;

  /// `damaged`: the first device's file is damaged from the start.
  explicit fleet_harness(config::pne_wake wake = {}, bool damaged = false, const in_front_fn& in_front = {}) {
    actors::fleet_parts parts;
    parts.wake = wake;
    const auto data_key = random.draw_secret<32>();
    for (int i = 0; i < 2; ++i) {
      const auto file = std::to_string(i);
      protocol::pne_settings s;
      s.entity = entity_id::parse("urn:dev:mac:0024befffe804ff" + file).value();
      s.temporary_key = random.draw_secret<32>();
      actors::fleet_parts::member m{std::move(s),
                                    std::make_shared<actors::key_file>(storage::sealed_file::with_data_key(
                                        folder / file, "pne keys", data_key, random)),
                                    protocol::pne_record{}};
      if (i == 0) {
        m.record->current = protocol::stored_key{held, random.draw_secret<32>(), {}, 3600};
        m.keys->save(*m.record, [](const status& saved) { EXPECT_TRUE(saved); });
        if (damaged) spoil();
        m.record = m.keys->load();
        if (in_front) m.keys = in_front(std::move(m.keys));
      }
      parts.members.push_back(std::move(m));
    }
    parts.radios.push_back({"air", inbox, &radio});
    parts.clock = [this] { return now; };
    parts.failed = [this](std::string why) { failures.push_back(std::move(why)); };
    fleet = spawn_fleet(system, std::move(parts));
    settle();
  }
  ~fleet_harness() {
    caf::anon_send(fleet, actors::fleet_stop{});
    settle();
    fleet = nullptr;
    scheduler.clock().cancel_all();
    settle();
  }

  void settle() {
    caf::anon_send(fleet, actors::fleet_radio_ready{});
    while (scheduler.try_run_once()) {
    }
  }
  void advance(seconds d) {
    now += d;
    scheduler.clock().advance_time(d);
    settle();
  }
  /// Overwrites the first device's file; restore() undoes it.
  void spoil() {
    whole = content();
    std::ofstream(folder / "0", std::ios::trunc) << "something else";
  }
  void restore() { std::ofstream(folder / "0", std::ios::trunc) << whole; }
  [[nodiscard]] std::string content() const {
    std::ifstream in(folder / "0", std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  /// While this exists, the key file `file` cannot be written.
  struct blocked {
    std::filesystem::path at;
    explicit blocked(const fleet_harness& p, std::string_view file)
        : at(p.folder / (std::string{file} + ".new")) {
      std::filesystem::create_directories(at / "in the way");
    }
    ~blocked() { std::filesystem::remove_all(at); }
    blocked(const blocked&) = delete;
    blocked& operator=(const blocked&) = delete;
  };
  std::string command(const std::string& entity, actors::pne_command what) {
    caf::scoped_actor self{system};
    std::string out = "(no answer)";
    auto handle = self->request(fleet, caf::infinite, actors::fleet_command{entity, what});
    settle();
    handle.receive([&out](std::string& answer) { out = std::move(answer); }, [](const caf::error&) {});
    return out;
  }
  void link_up(plugins::link_id link, plugins::endpoint_id endpoint) {
    inbox->link_up(link, endpoint, "gateway");
    settle();
  }
  void detect(plugins::link_id link) {
    protocol::discovery_request dreq;
    dreq.gw = gateway_id{random.draw<16>()};
    dreq.gw_nonce = random.draw<16>();
    dreq.suites = {protocol::suite_symmetric};
    inbox->message(link, protocol::encode(dreq));
    settle();
  }
  /// The last answer of the device.
  [[nodiscard]] std::optional<protocol::discovery_response> answer() const {
    for (auto it = radio.heard.rbegin(); it != radio.heard.rend(); ++it)
      if (const auto m = protocol::decode_radio(*it); m)
        if (const auto* r = std::get_if<protocol::discovery_response>(&*m)) return *r;
    return std::nullopt;
  }
};

}  // namespace cpns::pne_actor_tests
