// A radio that is linked into the program, without a plugin file.
#include <gtest/gtest.h>

#include "plugins/host/loader.hpp"
#include "tests/unit/plugins/scripted_radio.hpp"

extern "C" const cpns_transport_entry_t cpns_transport_entry_loopback;
extern "C" const cpns_transport_entry_t* const cpns_static_transports[] = {&cpns_transport_entry_loopback,
                                                                           nullptr};

namespace cpns::plugins {
namespace {

const transport_spec spec{"loopback", transport_role::central, {{"mtu", "64"}}, {"/nonexistent"}};

TEST(linked, is_found_by_its_name_before_any_file) {
  EXPECT_EQ(find_plugin(spec).value(), "linked:loopback");
}

TEST(linked, is_described_probed_and_opened_like_a_file) {
  const auto described = describe_transport(spec);
  ASSERT_TRUE(described) << described.error().message();
  EXPECT_EQ(described->name, "loopback");
  const auto probed = probe_transport(spec);
  ASSERT_TRUE(probed) << probed.error().message();
  EXPECT_EQ(probed->mtu, 64u);
  recorder heard;
  const auto opened = load_transport(spec, heard);
  ASSERT_TRUE(opened) << opened.error().message();
  EXPECT_EQ((*opened)->info().mtu, 64u);
}

TEST(linked, reports_errors_like_a_file) {
  auto wrong = spec;
  wrong.params["mtu"] = "1";
  const auto probed = probe_transport(wrong);
  ASSERT_FALSE(probed);
  EXPECT_EQ(probed.error().parameter, "mtu");
  wrong.plugin = "tcp";
  EXPECT_EQ(probe_transport(wrong).error().code, errc::plugin_load);
}

}  // namespace
}  // namespace cpns::plugins
