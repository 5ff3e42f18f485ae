// What can be a purpose, and texts that are not readable identities. tests/vectors has identities that are.

#include <gtest/gtest.h>

#include "protocol/application_identity.hpp"

namespace cpns::protocol {
namespace {

TEST(application_identity, a_purpose_has_the_characters_of_the_specification) {
  for (const auto* good : {"mqtt", "7", "a-b", "x-", "a234567890123456"})
    EXPECT_TRUE(is_purpose(good)) << good;
  for (const auto* bad : {"", "-a", "Mqtt", "mq_tt", "mqtt ", "m.q", "m/q", "a2345678901234567", "\xc3\xa4"})
    EXPECT_FALSE(is_purpose(bad)) << bad;
}

TEST(application_identity, is_read_only_as_it_is_written) {
  ASSERT_TRUE(read_readable_identity("dev.mac.0024befffe804ff1/3.8/mqtt").has_value());
  for (const auto* bad : {"",
                          "/",
                          "//",
                          "dev.mac.0024befffe804ff1",
                          "dev.mac.0024befffe804ff1/3.8",
                          "/3.8/mqtt",
                          "dev.mac.0024befffe804ff1//mqtt",
                          "dev.mac.0024befffe804ff1/3.8/",
                          "dev.mac.0024befffe804ff1/3.8/MQTT",
                          "dev.mac.0024befffe804ff1/3/mqtt",
                          "dev.mac.0024befffe804ff1/03.8/mqtt",
                          "dev.mac.0024befffe804ff1/3.08/mqtt",
                          "dev.mac.0024befffe804ff1/3.8.1/mqtt",
                          "dev.mac.0024befffe804ff1/+3.8/mqtt",
                          "dev.mac.0024befffe804ff1/3.-8/mqtt",
                          "dev.mac.0024befffe804ff1/3. 8/mqtt",
                          "dev.mac.0024befffe804ff1/3.65536/mqtt",
                          "dev.mac.0024befffe804ff1/4294967296.0/mqtt",
                          "dev.mac.0024BEFFFE804FF1/3.8/mqtt",
                          "urn:dev:mac:0024befffe804ff1/3.8/mqtt",
                          "dev:mac:0024befffe804ff1/3.8/mqtt",
                          "dev.mac.0024befffe804ff1/3.8/mqtt/mqtt",
                          "dev.abc.0024befffe804ff1/3.8/mqtt",
                          "dev.mac.0024befffe804ff1/3.8/mqtt\n",
                          "dev.os.32473-a/b/3.8/mqtt",
                          "uuid./3.8/mqtt"})
    EXPECT_FALSE(read_readable_identity(bad).has_value()) << bad;
}

TEST(application_identity, stays_below_its_bound) {
  const auto id = entity_id::parse("urn:dev:os:4294967295-" + std::string(42, 'x'));
  ASSERT_TRUE(id.has_value());
  ASSERT_EQ(id->text().size(), entity_id::max_size);
  EXPECT_EQ(readable_identity({*id, epoch::from_value(epoch::max_value), "a234567890123456"}).size(), 94u);
}

}  // namespace
}  // namespace cpns::protocol
