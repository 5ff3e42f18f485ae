// A radio whose plugin instance is replaced while the role works.
#include "actors/reopenable_radio.hpp"

#include <gtest/gtest.h>

#include <future>
#include <utility>
#include <vector>

#include "actors/late_radio.hpp"
#include "actors/radio.hpp"
#include "actors/radio_metrics.hpp"

namespace cpns::actors {
namespace {

using plugins::link_id;
using plugins::transport;
using plugins::transport_listener;
using state_kind = plugins::transport_state::kind_t;

/// An instance of a plugin, driven by the test.
class instance final : public transport {
 public:
  explicit instance(std::string version) { info_.version = std::move(version); }
  transport_listener* events = nullptr;
  std::vector<link_id> sent, disconnected;
  bool scanning = false, closed = false, scans = true;

  [[nodiscard]] const plugins::transport_info& info() const override { return info_; }
  status scan(bool on) override {
    if (!scans) return fail(errc::plugin_failed, "no receiver");
    return scanning = on, status{};
  }
  status connect(std::string_view) override { return {}; }
  void cancel(std::string_view) override {}
  status add_endpoint(plugins::endpoint_id, std::string_view) override { return {}; }
  status remove_endpoint(plugins::endpoint_id) override { return {}; }
  status send(link_id link, byte_view) override { return sent.push_back(link), status{}; }
  void disconnect(link_id link) override { disconnected.push_back(link); }
  status set_power(plugins::power_level) override { return {}; }
  void forget_pairing(std::string_view) override {}
  [[nodiscard]] plugins::link_quality quality(link_id link) const override {
    return {-static_cast<std::int32_t>(link), {}};
  }
  [[nodiscard]] std::vector<plugins::named_counter> counters() const override { return {{info_.version, 1}}; }
  void close() override { closed = true; }

 private:
  plugins::transport_info info_;
};

/// Passes calls to an instance that the test owns.
class borrowed final : public transport {
 public:
  explicit borrowed(instance& of) : of_(of) {}
  ~borrowed() override { of_.close(); }
  [[nodiscard]] const plugins::transport_info& info() const override { return of_.info(); }
  status scan(bool on) override { return of_.scan(on); }
  status connect(std::string_view a) override { return of_.connect(a); }
  void cancel(std::string_view a) override { of_.cancel(a); }
  status add_endpoint(plugins::endpoint_id e, std::string_view n) override { return of_.add_endpoint(e, n); }
  status remove_endpoint(plugins::endpoint_id e) override { return of_.remove_endpoint(e); }
  status send(link_id l, byte_view m) override { return of_.send(l, m); }
  void disconnect(link_id l) override { of_.disconnect(l); }
  status set_power(plugins::power_level p) override { return of_.set_power(p); }
  void forget_pairing(std::string_view a) override { of_.forget_pairing(a); }
  [[nodiscard]] plugins::link_quality quality(link_id l) const override { return of_.quality(l); }
  [[nodiscard]] std::vector<plugins::named_counter> counters() const override { return of_.counters(); }
  void close() override { of_.close(); }

 private:
  instance& of_;
};

reopenable_radio::open_fn opens(instance& one) {
  return [&one](transport_listener& to) -> result<std::unique_ptr<transport>> {
    one.events = &to;
    return std::unique_ptr<transport>{std::make_unique<borrowed>(one)};
  };
}

reopenable_radio::open_fn fails() {
  return [](transport_listener&) -> result<std::unique_ptr<transport>> {
    return fail(errc::plugin_failed, "no such adapter");
  };
}

struct reopened : testing::Test {
  instance first{"1"}, second{"2"};
  radio_inbox inbox{0, [] {}};
  std::unique_ptr<reopenable_radio> radio = reopenable_radio::start(opens(first), inbox).value();

  /// Its metric cpns_radio_up.
  double radio_up() {
    metrics::registry counted;
    const std::shared_ptr<radio_inbox> borrowed_inbox{std::shared_ptr<void>{}, &inbox};
    counted.collect([&](metrics::sheet& to) { add_radio(to, {"home", borrowed_inbox, radio.get()}); });
    const auto text = counted.text();
    return text.find("cpns_radio_up{radio=\"home\"} 1") != std::string::npos ? 1 : 0;
  }
  /// The ids of the links of events of this kind since the last call.
  std::vector<link_id> links(radio_event::kind_t kind) {
    std::vector<link_id> out;
    for (const auto& e : inbox.take())
      if (e.kind == kind) out.push_back(e.link);
    return out;
  }
};

TEST_F(reopened, links_of_the_former_instance_go_down_and_new_ones_have_other_ids) {
  first.events->link_up(1, 0, "a");
  const auto before = links(radio_event::kind_t::link_up);
  ASSERT_EQ(before.size(), 1u);
  ASSERT_TRUE(radio->reopen(opens(second), opens(first)));
  EXPECT_TRUE(first.closed);
  EXPECT_EQ(links(radio_event::kind_t::link_down), before);
  second.events->link_up(1, 0, "a");
  const auto after = links(radio_event::kind_t::link_up);
  ASSERT_EQ(after.size(), 1u);
  EXPECT_NE(after, before);
  EXPECT_FALSE(radio->send(before[0], bytes{1}));
  EXPECT_TRUE(radio->send(after[0], bytes{1}));
  EXPECT_EQ(second.sent, (std::vector<link_id>{1}));
  EXPECT_EQ(radio->quality(after[0]).rssi_dbm, -1);
  EXPECT_EQ(radio->quality(before[0]).rssi_dbm, std::nullopt);
  EXPECT_EQ(radio->info().version, "2");
  EXPECT_EQ(radio->counters().front().name, "2");
}

TEST_F(reopened, messages_on_links_of_the_former_instance_are_dropped) {
  first.events->link_up(1, 0, "a");
  ASSERT_TRUE(radio->reopen(opens(second), opens(first)));
  (void)inbox.take();
  second.events->message(1, bytes{1});
  EXPECT_TRUE(inbox.take().empty());
}

TEST_F(reopened, the_new_instance_scans_if_the_former_did) {
  ASSERT_TRUE(radio->scan(true));
  ASSERT_TRUE(radio->reopen(opens(second), opens(first)));
  EXPECT_TRUE(second.scanning);
}

TEST_F(reopened, a_failure_opens_it_as_it_was_before) {
  instance again{"1"};
  const auto outcome = radio->reopen(fails(), opens(again));
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, errc::plugin_failed);
  EXPECT_NE(outcome.error().detail.find("no such adapter; the radio is open as it was before"),
            std::string::npos);
  again.events->link_up(7, 0, "a");
  const auto up = links(radio_event::kind_t::link_up);
  ASSERT_EQ(up.size(), 1u);
  EXPECT_TRUE(radio->send(up[0], bytes{1}));
}

TEST_F(reopened, a_failure_while_its_former_resource_is_missing_says_that_it_waits) {
  const auto waits = [](transport_listener&) -> result<std::unique_ptr<transport>> {
    return make_late_radio(
        "tcp", "no such address",
        []() -> plugins::open_result<std::unique_ptr<transport>> {
          return tl::unexpected{plugins::open_error{{errc::plugin_failed, "no such address"}, {}}};
        },
        {[](const plugins::transport_info&) {}, [](const error&) {}}, std::chrono::hours{1});
  };
  const auto outcome = radio->reopen(fails(), waits);
  ASSERT_FALSE(outcome);
  EXPECT_NE(outcome.error().detail.find("not open either, and waits: no such address"), std::string::npos)
      << outcome.error().detail;
  EXPECT_EQ(radio->state().kind, state_kind::waiting);
}

TEST_F(reopened, a_second_failure_leaves_it_closed_until_the_next_call) {
  const auto outcome = radio->reopen(fails(), fails());
  ASSERT_FALSE(outcome);
  EXPECT_NE(outcome.error().detail.find("it is closed"), std::string::npos);
  EXPECT_EQ(radio->scan(true).error().code, errc::plugin_link);
  EXPECT_TRUE(radio->counters().empty());
  EXPECT_EQ(radio->state().kind, state_kind::closed);
  EXPECT_NE(radio->state().why.find("no such adapter; with its former parameters"), std::string::npos);
  EXPECT_EQ(radio_up(), 0);
  ASSERT_TRUE(radio->reopen(opens(second), fails()));
  EXPECT_TRUE(second.scanning);
  EXPECT_EQ(radio->state().kind, state_kind::open);
  EXPECT_EQ(radio_up(), 1);
}

TEST_F(reopened, an_instance_that_opens_but_cannot_scan_leaves_it_closed) {
  ASSERT_TRUE(radio->scan(true));
  instance deaf{"1"};
  deaf.scans = false;
  ASSERT_FALSE(radio->reopen(fails(), opens(deaf)));
  EXPECT_TRUE(deaf.closed);
  EXPECT_EQ(radio->state().kind, state_kind::closed);
  EXPECT_EQ(radio_up(), 0);
}

TEST_F(reopened, is_not_up_while_it_is_being_opened) {
  ASSERT_TRUE(radio->reopen(
      [this](transport_listener& to) {
        EXPECT_EQ(radio->state().kind, state_kind::waiting);
        EXPECT_EQ(radio_up(), 0);
        return opens(second)(to);
      },
      fails()));
}

TEST_F(reopened, a_radio_that_could_not_be_opened_is_closed_until_the_next_call) {
  radio = reopenable_radio::start_closed("tcp", "no such adapter", inbox);
  EXPECT_EQ(radio->state().kind, state_kind::closed);
  EXPECT_EQ(radio->state().why, "no such adapter");
  EXPECT_EQ(radio->info().name, "tcp");
  EXPECT_EQ(radio_up(), 0);
  EXPECT_FALSE(radio->scan(true));
  ASSERT_TRUE(radio->reopen(opens(second), fails()));
  EXPECT_TRUE(second.scanning);
  EXPECT_EQ(radio_up(), 1);
}

TEST_F(reopened, it_is_not_opened_twice_at_once_or_after_its_end) {
  const auto outcome = radio->reopen(
      [this](transport_listener& to) {
        const auto meanwhile = std::async(std::launch::async, [this] {
                                 return radio->reopen(opens(second), opens(first));
                               }).get();
        EXPECT_FALSE(meanwhile);
        EXPECT_EQ(meanwhile.error().code, errc::state_conflict);
        return opens(second)(to);
      },
      fails());
  EXPECT_TRUE(outcome);
  radio->close();
  EXPECT_TRUE(second.closed);
  EXPECT_EQ(radio->reopen(opens(first), fails()).error().code, errc::state_stopping);
}

}  // namespace
}  // namespace cpns::actors
