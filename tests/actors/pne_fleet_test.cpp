// The devices of one PNE process, on the virtual scheduler, with the test at the far end of the radio.

#include <gtest/gtest.h>

#include <caf/scheduler/test_coordinator.hpp>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "actors/deadline_heap.hpp"
#include "actors/pne/fleet.hpp"
#include "crypto/suite.hpp"
#include "protocol/codec.hpp"
#include "tests/support/seeded_entropy.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/unit/server/captured_log.hpp"

namespace cpns::pne_actor_tests {
namespace {

using server_tests::captured_log;

const std::string first = "urn:dev:mac:0024befffe804ff0", second = "urn:dev:mac:0024befffe804ff1";

struct testing_config : caf::actor_system_config {
  testing_config() { set("scheduler.policy", caf::atom("testing")); }
};

class far_end final : public plugins::transport {
 public:
  std::vector<bytes> heard;
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
  status send(plugins::link_id, byte_view message) override {
    if (breaks > 0) {
      --breaks;
      throw std::runtime_error("the radio of this test breaks");
    }
    heard.push_back(to_bytes(message));
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

  /// `damaged`: the first device's file is damaged from the start.
  explicit fleet_harness(config::pne_wake wake = {}, bool damaged = false) {
    actors::fleet_parts parts;
    parts.wake = wake;
    const auto data_key = random.draw_secret<32>();
    for (int i = 0; i < 2; ++i) {
      const auto file = std::to_string(i);
      protocol::pne_settings s;
      s.entity = entity_id::parse("urn:dev:mac:0024befffe804ff" + file).value();
      s.temporary_key = random.draw_secret<32>();
      actors::fleet_parts::member m{
          std::move(s), storage::sealed_file::with_data_key(folder / file, "pne keys", data_key, random),
          protocol::pne_record{}};
      if (i == 0) {
        m.record->current = protocol::stored_key{held, random.draw_secret<32>(), {}, 3600};
        EXPECT_TRUE(m.keys->save(encode(*m.record).expose()));
        if (damaged) spoil();
        m.record = actors::load_pne_record(*m.keys);
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

TEST(pne_fleet, a_device_answers_with_the_epoch_of_its_key_file) {
  fleet_harness p;
  EXPECT_EQ(p.radio.presented.size(), 2u);
  p.link_up(1, 1);
  p.detect(1);
  ASSERT_TRUE(p.answer().has_value());
  EXPECT_EQ(p.answer()->highest, p.held);
}

TEST(pne_fleet, a_device_whose_actor_died_restarts_from_its_key_file_and_others_are_not_affected) {
  fleet_harness p;
  p.link_up(1, 1);
  p.link_up(2, 2);
  p.radio.breaks = 1;
  p.detect(1);
  EXPECT_FALSE(p.answer().has_value());
  EXPECT_NE(p.log.text().find("the radio of this test breaks"), std::string::npos);
  EXPECT_NE(p.log.text().find("device-died"), std::string::npos);
  EXPECT_EQ(p.radio.disconnected, (std::vector<plugins::link_id>{1})) << "so that the gateway reconnects";
  EXPECT_EQ(p.radio.presented.size(), 2u);
  p.detect(2);
  ASSERT_TRUE(p.answer().has_value());
  EXPECT_EQ(p.answer()->highest, std::nullopt);
  p.link_up(3, 1);
  p.detect(3);
  EXPECT_EQ(p.answer()->highest, p.held);
  EXPECT_TRUE(p.failures.empty());
}

TEST(pne_fleet, a_nap_that_fell_due_in_suspend_begins_after_resume) {
  fleet_harness p{{std::chrono::hours{1}, std::chrono::hours{1}}};
  ASSERT_EQ(p.radio.presented.size(), 2u);
  p.now += std::chrono::hours{2};  // and no timer moves
  p.settle();
  p.scheduler.advance_time(actors::look_again + seconds{1});
  p.settle();
  EXPECT_TRUE(p.radio.presented.empty());
}

TEST(pne_fleet, a_device_whose_actor_died_falling_asleep_is_presented_again) {
  fleet_harness p;
  p.link_up(1, 1);
  p.radio.breaks = 1;
  caf::anon_send(p.fleet, actors::fleet_command{"urn:dev:mac:0024befffe804ff0", actors::pne_command::sleep});
  p.settle();
  EXPECT_NE(p.log.text().find("device-died"), std::string::npos);
  EXPECT_EQ(p.radio.presented.count(1), 1u);
}

TEST(pne_fleet, a_damaged_key_file_keeps_its_own_device_off_the_radio_until_it_is_restored) {
  fleet_harness p{{}, true};
  EXPECT_EQ(p.radio.presented.size(), 1u);
  EXPECT_EQ(p.radio.presented.count(2), 1u);
  EXPECT_NE(p.log.text().find("key-file-unreadable"), std::string::npos);
  EXPECT_NE(p.command(first, actors::pne_command::factory_reset).find("is not a sealed file"),
            std::string::npos);
  EXPECT_EQ(p.command(second, actors::pne_command::wake), "");
  EXPECT_NE(p.command("", actors::pne_command::button).find("failed for 1 devices: "), std::string::npos);
  const auto size = p.log.text().size();
  p.advance(seconds{31});
  EXPECT_EQ(p.log.text().find("key-file-unreadable", size), std::string::npos) << "logged once";
  p.restore();
  p.advance(seconds{31});
  EXPECT_EQ(p.radio.presented.size(), 2u);
  p.link_up(1, 1);
  p.detect(1);
  ASSERT_TRUE(p.answer().has_value());
  EXPECT_EQ(p.answer()->highest, p.held);
  EXPECT_TRUE(p.failures.empty());
}

TEST(pne_fleet, a_dead_device_with_a_damaged_key_file_does_not_affect_others) {
  fleet_harness p;
  p.link_up(1, 1);
  p.spoil();
  p.radio.breaks = 1;
  p.detect(1);
  EXPECT_EQ(p.radio.presented.size(), 1u);
  EXPECT_TRUE(p.failures.empty());
  p.link_up(2, 2);
  p.detect(2);
  ASSERT_TRUE(p.answer().has_value());
  p.restore();
  p.advance(seconds{31});
  EXPECT_EQ(p.radio.presented.size(), 2u);
}

TEST(pne_fleet, confirms_a_reset_only_when_it_is_durable) {
  fleet_harness p;
  p.link_up(1, 1);
  const auto before = p.content();
  {
    const fleet_harness::blocked disk(p, "0");
    const auto answer = p.command(first, actors::pne_command::factory_reset);
    EXPECT_NE(answer.find("not known to be done"), std::string::npos) << answer;
    EXPECT_EQ(p.content(), before);
    p.detect(1);
    EXPECT_FALSE(p.answer().has_value()) << "silent until its record is durable";
    EXPECT_NE(p.command(first, actors::pne_command::factory_reset).find("not done"), std::string::npos);
    EXPECT_EQ(p.command(second, actors::pne_command::factory_reset), "");
  }
  p.advance(seconds{2});
  p.detect(1);
  ASSERT_TRUE(p.answer().has_value());
  EXPECT_EQ(p.answer()->highest, p.held) << "as before the reset that failed";
  EXPECT_NE(p.log.text().find("key-file-written"), std::string::npos);
  EXPECT_NE(p.content(), before) << "written again, so that the outcome is certain";
  EXPECT_EQ(p.command(first, actors::pne_command::factory_reset), "");
  p.detect(1);
  EXPECT_EQ(p.answer()->highest, std::nullopt);
}

}  // namespace
}  // namespace cpns::pne_actor_tests
