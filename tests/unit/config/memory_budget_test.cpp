// limits.memory: how it is written, divided, and refused.
#include "config/memory_budget.hpp"

#include <gmock/gmock.h>

#include "config/loader.hpp"
#include "config/values.hpp"
#include "no_environment.hpp"

namespace cpns::config {
namespace {

using testing::HasSubstr;

std::string server_with(const std::string& limits, const std::string& store = "{path: db}") {
  return "role: server\ntls: {certificate: a, key: b, ca: c}\nstore: " + store +
         "\nprotector: {file: k}\nlimits: {" + limits + "}\n";
}
std::string gateway_with(const std::string& limits) {
  return "role: gateway\nname: hall\nuser: a@b.example\nservers: ['s:1']\nserver_uri: urn:x:y\ntls: "
         "{certificate: a, key: b, "
         "ca: c}\nstore: {path: db}\nprotector: {file: k}\ntransports: [{name: r, plugin: tcp}]\nlimits: {" +
         limits + "}\n";
}
std::string pne_with(const std::string& limits) {
  return "role: pne\ndevices_file: d\nkeys_dir: keys\ntransports: [{name: r, plugin: tcp}]\nprotector: "
         "{file: k}\nlimits: {" +
         limits + "}\n";
}
server_config limited_server(const std::string& limits) {
  return parse_server(server_with(limits), "/e/s.yaml", no_environment).value();
}
gateway_config limited_gateway(const std::string& limits) {
  return parse_gateway(gateway_with(limits), "/e/g.yaml", no_environment).value();
}
pne_config limited_pne(const std::string& limits) {
  return parse_pne(pne_with(limits), "/e/p.yaml", no_environment).value();
}

std::uint64_t sum(const memory_parts& parts) {
  std::uint64_t out = 0;
  for (const auto& [name, bytes] : parts) out += bytes;
  return out;
}

TEST(memory_size, is_written_in_mib_and_gib) {
  EXPECT_EQ(parse_memory_size("256MiB")->bytes, 256 * mib);
  EXPECT_EQ(parse_memory_size("2GiB")->bytes, 2048 * mib);
  EXPECT_EQ(memory_text({256 * mib}), "256MiB");
  EXPECT_EQ(memory_text({2048 * mib}), "2GiB");
  EXPECT_EQ(memory_text({2049 * mib}), "2049MiB");
  for (const auto* wrong : {"", "256", "MiB", "256MB", "256 MiB", "-1MiB", "1.5GiB", "256mib"})
    EXPECT_EQ(parse_memory_size(wrong).error().code, errc::config_type) << wrong;
  EXPECT_EQ(parse_memory_size("18446744073709551615GiB").error().code, errc::config_range);
}

TEST(memory_budget, without_it_the_roles_take_what_they_took) {
  EXPECT_EQ(memory_of(limited_server("jobs_in_work: 16")).store.write_buffer, 32 * mib);
  EXPECT_EQ(memory_of(limited_server("jobs_in_work: 16")).store.cache, 0u);
  EXPECT_EQ(memory_of(limited_server("jobs_in_work: 16")).entities_live, 100'000u);
  EXPECT_EQ(memory_of(limited_gateway("devices: 1")).store.write_buffer, 8 * mib);
  EXPECT_EQ(memory_of(limited_gateway("devices: 1")).events, 65'536u);
  EXPECT_EQ(memory_of(limited_pne("memory: none")).event_bytes, 8 * mib);
  EXPECT_TRUE(parts_of(limited_server("memory: none")).empty());
}

TEST(memory_budget, the_parts_are_together_no_more_than_the_whole) {
  for (const auto* size : {"160MiB", "256MiB", "300MiB", "1GiB", "64GiB"}) {
    const auto text = std::string{"memory: "} + size;
    const auto all = parse_memory_size(size)->bytes;
    const auto s = limited_server(text);
    const auto g = limited_gateway(text);
    const auto p = limited_pne(text);
    EXPECT_LE(sum(parts_of(s)), all) << size;
    EXPECT_LE(sum(parts_of(g)), all) << size;
    EXPECT_LE(sum(parts_of(p)), all) << size;
    for (const auto& parts : {parts_of(s), parts_of(g), parts_of(p)})
      for (const auto& [name, bytes] : parts) EXPECT_GT(bytes, 0u) << size << " " << name;
  }
}

TEST(memory_budget, lowers_what_the_file_does_not_set_and_leaves_what_it_sets) {
  EXPECT_LT(limited_server("memory: 256MiB").limits.connections, 4096u);
  EXPECT_EQ(limited_server("memory: 256MiB, connections: 4096").limits.connections, 4096u);
  EXPECT_EQ(limited_server("memory: 4GiB").limits.connections, 4096u);
  EXPECT_LT(limited_gateway("memory: 256MiB").limits.devices, 100'000u);
  EXPECT_LT(limited_gateway("memory: 256MiB").limits.links, 8192u);
  EXPECT_EQ(limited_gateway("memory: 256MiB, devices: 90000").limits.devices, 90'000u);
  EXPECT_EQ(limited_gateway("memory: 4GiB").limits.devices, 100'000u);
  EXPECT_LT(memory_of(limited_server("memory: 256MiB")).entities_live, 100'000u);
  EXPECT_GT(memory_of(limited_server("memory: 1GiB")).held, memory_of(limited_server("memory: 256MiB")).held);
}

TEST(memory_budget, with_exactly_the_least_a_role_is_accepted) {
  const auto c = limited_server("memory: 1GiB, connections: 2000");
  const auto least = memory_text({least_memory(c)});
  EXPECT_TRUE(
      parse_server(server_with("memory: " + least + ", connections: 2000"), "/e/s.yaml", no_environment));
  const auto less = memory_text({least_memory(c) - mib});
  const auto refused =
      parse_server(server_with("memory: " + less + ", connections: 2000"), "/e/s.yaml", no_environment);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().lines().front(),
            "/e/s.yaml:5:18: 'limits.memory' is " + less + ", but the role takes at least " + least +
                " with 'limits.connections' 2000 and 'limits.users_cached' 10000");
}

TEST(memory_budget, refuses_too_little_with_the_place_and_the_least) {
  const auto g = parse_gateway(gateway_with("memory: 64MiB, devices: 100000"), "/e/g.yaml", no_environment);
  ASSERT_FALSE(g);
  EXPECT_THAT(g.error().lines().front(),
              HasSubstr("/e/g.yaml:10:18: 'limits.memory' is 64MiB, but the role takes at least"));
  EXPECT_THAT(g.error().lines().front(), HasSubstr("'limits.devices' 100000"));
  const auto p = parse_pne(pne_with("memory: 32MiB"), "/e/p.yaml", no_environment);
  ASSERT_FALSE(p);
  EXPECT_THAT(p.error().lines().front(), HasSubstr("'limits.memory' is 32MiB, but the role takes at least"));
  const auto unit = parse_server(server_with("memory: 256"), "/e/s.yaml", no_environment);
  ASSERT_FALSE(unit);
  EXPECT_THAT(unit.error().lines().front(), HasSubstr("write a whole number and MiB or GiB"));
  const auto low = parse_server(server_with("memory: 31MiB"), "/e/s.yaml", no_environment);
  ASSERT_FALSE(low);
  EXPECT_THAT(low.error().lines().front(),
              HasSubstr("'limits.memory' must be from 32MiB to 1024GiB, not '31MiB'"));
}

}  // namespace
}  // namespace cpns::config
