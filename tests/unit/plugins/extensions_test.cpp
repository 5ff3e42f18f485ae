// Extensions of the plugin, valid or not, and of the host.

#include <algorithm>

#include <gtest/gtest.h>

#include "plugins/abi/ext/pairing.h"
#include "plugins/abi/ext/power.h"
#include "plugins/abi/ext/rssi.h"
#include "plugins/abi/ext/statistics.h"
#include "plugins/abi/ext/wake.h"
#include "scripted_radio.hpp"

namespace cpns::plugins {
namespace {

struct extensions : testing::Test {
  recorder heard;
  scripted_radio radio;
  std::unique_ptr<transport> host;

  void open(transport_role as = transport_role::central) {
    auto opened = radio.open(heard, as);
    ASSERT_TRUE(opened) << opened.error().detail;
    host = std::move(*opened);
  }
  std::optional<std::uint64_t> counter(std::string_view name) {
    for (const auto& c : host->counters())
      if (c.name == name) return c.value;
    return std::nullopt;
  }
};

TEST_F(extensions, leave_qualities_unknown_when_the_radio_has_none) {
  open();
  radio.link_up(1);
  EXPECT_EQ(host->quality(1), link_quality{});
  EXPECT_TRUE(host->set_power(power_level::saving));
  host->forget_pairing("far");
  EXPECT_EQ(counter("links"), 1u);
  EXPECT_EQ(counter("messages_sent"), 0u);
  EXPECT_TRUE(host->send(1, bytes{1, 2}));
  EXPECT_EQ(counter("messages_sent"), 1u);
}

TEST_F(extensions, report_strength_and_security_of_a_link) {
  static std::int32_t dbm = -60;
  static int secured = CPNS_PAIRING_ENCRYPTED;
  static std::string forgotten;
  static constexpr cpns_ext_rssi rssi{sizeof(cpns_ext_rssi), 0, [](void*, std::uint64_t) { return dbm; }};
  static constexpr cpns_ext_pairing pairing{
      sizeof(cpns_ext_pairing), 0, [](void*, std::uint64_t) { return static_cast<cpns_pairing>(secured); },
      [](void*, const char* address) { forgotten = address; }};
  radio.extensions = {{CPNS_EXT_RSSI, &rssi}, {CPNS_EXT_PAIRING, &pairing}};
  open();
  EXPECT_EQ(host->quality(1), link_quality{}) << "it is not up";
  radio.link_up(1);
  EXPECT_EQ(host->quality(1), (link_quality{-60, link_security::encrypted}));
  dbm = CPNS_RSSI_UNKNOWN;
  secured = 0;
  EXPECT_EQ(host->quality(1), link_quality{});
  dbm = -128;
  secured = 2;
  EXPECT_EQ(host->quality(1), (link_quality{{}, link_security::encrypted}))
      << "no radio receives so weak a signal";
  host->forget_pairing("far");
  EXPECT_EQ(forgotten, "far");
  host->close();
  forgotten.clear();
  host->forget_pairing("far");
  EXPECT_EQ(forgotten + "-", "-");
  EXPECT_EQ(host->quality(1), link_quality{});
}

TEST_F(extensions, append_counters_of_the_plugin_except_those_with_invalid_names) {
  static constexpr cpns_ext_statistics statistics{
      sizeof(cpns_ext_statistics), 0, [](void*, void (*each)(void*, const char*, std::uint64_t), void* user) {
        each(user, "retries", 7);
        each(user, nullptr, 1);
        each(user, "", 1);
        each(user, "With Space", 1);
        each(user, std::string(49, 'a').c_str(), 1);
        for (int i = 0; i < 100; ++i) each(user, "more", 1);
      }};
  radio.extensions = {{CPNS_EXT_STATISTICS, &statistics}};
  open();
  EXPECT_EQ(counter("radio_retries"), 7u);
  const auto all = host->counters();
  EXPECT_EQ(std::count_if(all.begin(), all.end(), [](const auto& c) { return c.name.starts_with("radio_"); }),
            64);
}

TEST_F(extensions, pass_on_the_power_level_and_report_a_refusal) {
  static std::uint32_t told = 0;
  static cpns_status answer = CPNS_OK;
  static constexpr cpns_ext_power power{sizeof(cpns_ext_power), 0, [](void*, std::uint32_t p) {
                                          told = p;
                                          return answer;
                                        }};
  radio.extensions = {{CPNS_EXT_POWER, &power}};
  open();
  EXPECT_TRUE(host->set_power(power_level::saving));
  EXPECT_EQ(told, CPNS_POWER_SAVING);
  EXPECT_TRUE(host->set_power(power_level::full));
  EXPECT_EQ(told, CPNS_POWER_FULL);
  answer = CPNS_ERROR;
  EXPECT_FALSE(host->set_power(power_level::full));
}

TEST_F(extensions, count_links_that_go_down_by_reason) {
  open();
  std::uint64_t link = 0;
  for (const auto why : {CPNS_DOWN_LOST, CPNS_DOWN_BAD_FRAME, CPNS_DOWN_BAD_FRAME, CPNS_DOWN_TOO_SLOW,
                         CPNS_DOWN_LIMIT, CPNS_DOWN_CLOSED}) {
    radio.link_up(++link);
    radio.host->link_down(radio.host->context, link, why, "");
  }
  EXPECT_EQ(counter("links_lost"), 1u);
  EXPECT_EQ(counter("links_bad_frame"), 2u);
  EXPECT_EQ(counter("links_too_slow"), 1u);
  EXPECT_EQ(counter("links_over_limit"), 1u);
}

TEST_F(extensions, are_not_used_when_they_are_too_small) {
  static constexpr cpns_ext_rssi rssi{sizeof(cpns_ext_rssi) - 1, 0, [](void*, std::uint64_t) { return -60; }};
  static constexpr cpns_ext_power power{sizeof(cpns_ext_power), 0, nullptr};
  radio.extensions = {{CPNS_EXT_RSSI, &rssi}, {CPNS_EXT_POWER, &power}};
  open();
  radio.link_up(1);
  EXPECT_EQ(host->quality(1), link_quality{});
  EXPECT_TRUE(host->set_power(power_level::saving));
}

TEST_F(extensions, report_a_wake_up_only_to_a_gateway) {
  open();
  const auto* wake =
      static_cast<const cpns_ext_wake*>(radio.host->get_extension(radio.host->context, CPNS_EXT_WAKE));
  ASSERT_NE(wake, nullptr);
  ASSERT_GE(wake->size, sizeof(cpns_ext_wake));
  wake->woke(radio.host->context, "far");
  EXPECT_EQ(heard.heard(), (std::vector<std::string>{"woke far"}));
  host->close();
  wake->woke(radio.host->context, "far");
  EXPECT_TRUE(heard.heard().empty());
  open(transport_role::peripheral);
  wake->woke(radio.host->context, "far");
  EXPECT_TRUE(heard.heard().empty());
  EXPECT_EQ(counter("misbehaviour"), 1u);
}

}  // namespace
}  // namespace cpns::plugins
