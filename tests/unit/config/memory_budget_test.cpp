// limits.memory: how it is written, divided, and refused.
#include "config/memory_budget.hpp"

#include <gmock/gmock.h>

#include <functional>
#include <string>
#include <vector>

#include "config/effective.hpp"
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
std::string list_of_radios(std::size_t n) {
  std::string out;
  for (std::size_t i = 0; i < n; ++i)
    out += (i > 0 ? ", " : "") + ("{name: r" + std::to_string(i)) + ", plugin: tcp}";
  return "transports: [" + out + "]\n";
}
std::string gateway_with(const std::string& limits, std::size_t radios = 1) {
  return "role: gateway\nname: hall\nuser: a@b.example\nservers: ['s:1']\nserver_uri: urn:x:y\ntls: "
         "{certificate: a, key: b, "
         "ca: c}\nstore: {path: db}\nprotector: {file: k}\n" +
         list_of_radios(radios) + "limits: {" + limits + "}\n";
}
std::string pne_with(const std::string& limits, std::size_t radios = 1) {
  return "role: pne\ndevices_file: d\nkeys_dir: keys\n" + list_of_radios(radios) +
         "protector: {file: k}\nlimits: {" + limits + "}\n";
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
  EXPECT_EQ(limited_server("jobs_in_work: 16").limits.entities_live, 100'000u);
  EXPECT_EQ(memory_of(limited_gateway("devices: 1")).store.write_buffer, 8 * mib);
  EXPECT_EQ(memory_of(limited_gateway("devices: 1")).events, 65'536u);
  EXPECT_EQ(memory_of(limited_pne("memory: none")).event_bytes, 8 * mib);
  EXPECT_TRUE(parts_of(limited_server("memory: none")).empty());
}

/// How a role reads a file with `limits` and so much memory.
struct limited_role {
  std::string name;
  std::function<std::string(std::uint64_t bytes)> refused;  ///< the first line, or nothing
  std::function<memory_parts(std::uint64_t bytes)> parts;
  std::uint64_t least;
};
template <class Parse>
limited_role role_of(const std::string& name, std::uint64_t roomy, Parse parse) {
  return {name + " ",
          [parse](std::uint64_t bytes) {
            const auto c = parse("memory: " + memory_text({bytes}));
            return c ? std::string{} : c.error().lines().front();
          },
          [parse](std::uint64_t bytes) { return parts_of(parse("memory: " + memory_text({bytes})).value()); },
          least_memory(parse("memory: " + memory_text({roomy})).value())};
}
std::vector<limited_role> all_roles() {
  constexpr auto roomy = 2048 * mib;
  const auto server = [](const std::string& more, const std::string& store) {
    return [more, store](const std::string& memory) {
      return parse_server(server_with(memory + more, store), "/e/s.yaml", no_environment);
    };
  };
  const auto gateway = [](const std::string& more, std::size_t radios) {
    return [more, radios](const std::string& memory) {
      return parse_gateway(gateway_with(memory + more, radios), "/e/g.yaml", no_environment);
    };
  };
  const auto pne = [](std::size_t radios) {
    return [radios](const std::string& memory) {
      return parse_pne(pne_with(memory, radios), "/e/p.yaml", no_environment);
    };
  };
  return {role_of("server", roomy, server("", "{path: db}")),
          role_of("server in memory", roomy, server("", "{kind: memory}")),
          role_of("server with numbers", roomy,
                  server(", connections: 2000, entities_live: 60000", "{path: db}")),
          role_of("gateway", roomy, gateway("", 1)),
          role_of("gateway with numbers", roomy, gateway(", devices: 90000, links: 100", 1)),
          role_of("gateway with radios", roomy, gateway("", 32)),
          role_of("pne", roomy, pne(1)),
          role_of("pne with radios", roomy, pne(32))};
}

TEST(memory_budget, the_parts_are_together_no_more_than_the_whole) {
  constexpr auto most = 4096 * mib;
  for (const auto& role : all_roles())
    for (auto all = role.least; all <= most; all += all < role.least + 128 * mib ? mib : 61 * mib) {
      const auto parts = role.parts(all);
      ASSERT_LE(sum(parts), all) << role.name << memory_text({all});
      for (const auto& [name, bytes] : parts) {
        ASSERT_GT(bytes, 0u) << role.name << memory_text({all}) << " " << name;
        ASSERT_LE(bytes, all) << role.name << memory_text({all}) << " " << name;
      }
    }
}

TEST(memory_budget, the_least_is_accepted_and_a_mib_less_is_refused_with_it) {
  for (const auto& role : all_roles()) {
    EXPECT_EQ(role.refused(role.least), "") << role.name;
    for (const auto less : {role.least - mib, role.least / 4 * 3 / mib * mib}) {
      if (less < 32 * mib) continue;
      EXPECT_THAT(role.refused(less),
                  HasSubstr("'limits.memory' is " + memory_text({less}) + ", but the role takes at least " +
                            memory_text({role.least}) + " with "))
          << role.name;
    }
  }
}

TEST(memory_budget, with_the_least_the_cache_of_a_store_is_the_smallest) {
  const auto with = [](auto parse, const auto& roomy) {
    return parse("memory: " + memory_text({least_memory(roomy)}));
  };
  for (const auto& store : {memory_of(with(limited_pne, limited_pne("memory: 1GiB"))).store,
                            memory_of(with(limited_gateway, limited_gateway("memory: 1GiB"))).store,
                            memory_of(with(limited_server, limited_server("memory: 1GiB"))).store}) {
    EXPECT_GE(store.cache, 4 * mib);
    EXPECT_LE(store.cache, 5 * mib);
    EXPECT_GE(store.write_buffer, 2 * mib);
    EXPECT_LE(store.write_buffer, 3 * mib);
  }
}

/// What a role that runs with the first file does at SIGHUP with the second one.
TEST(memory_budget, at_sighup_the_memory_and_what_follows_from_it_stay) {
  for (const auto* fresh_memory : {"memory: 1GiB", "memory: 200MiB", "memory: none"}) {
    const auto runs = limited_gateway("memory: 256MiB");
    auto fresh = limited_gateway(fresh_memory);
    ASSERT_TRUE(keep_memory(fresh, runs)) << fresh_memory;
    EXPECT_TRUE(differences(runs, fresh).empty())
        << fresh_memory << " " << differences(runs, fresh).front().key;
    const auto server_runs = limited_server("memory: 256MiB");
    auto server_fresh = limited_server(fresh_memory);
    ASSERT_TRUE(keep_memory(server_fresh, server_runs)) << fresh_memory;
    EXPECT_TRUE(differences(server_runs, server_fresh).empty()) << fresh_memory;
    EXPECT_EQ(parts_of(server_fresh), parts_of(server_runs)) << fresh_memory;
  }
  auto limited = limited_gateway("memory: 256MiB");
  ASSERT_TRUE(keep_memory(limited, limited_gateway("devices: 100000")));
  EXPECT_EQ(limited.limits.links, 8192u);
  EXPECT_EQ(limited.limits.memory, std::nullopt);
}

TEST(memory_budget, at_sighup_numbers_of_the_file_are_applied_if_they_fit_into_the_memory_that_runs) {
  const auto runs = limited_gateway("memory: 256MiB");
  auto fits = limited_gateway("memory: 1GiB, links: 2000");
  ASSERT_TRUE(keep_memory(fits, runs));
  EXPECT_EQ(fits.limits.links, 2000u);
  EXPECT_EQ(fits.limits.devices, runs.limits.devices);
  auto server = limited_server("memory: 1GiB, connections: 500, entities_live: 15000");
  ASSERT_TRUE(keep_memory(server, limited_server("memory: 200MiB, connections: 500")));
  EXPECT_EQ(server.limits.entities_live, 15'000u);

  auto too_many = limited_gateway("memory: 1GiB, links: 20000");
  const auto refused = keep_memory(too_many, runs);
  ASSERT_FALSE(refused);
  EXPECT_THAT(
      refused.error().lines().front(),
      HasSubstr("/e/g.yaml:10:18: 'limits.memory' is 256MiB until a restart, but the role takes at least"));
  EXPECT_THAT(refused.error().lines().front(), HasSubstr("'limits.links' 20000"));
}

TEST(memory_budget, lowers_what_the_file_does_not_set_and_leaves_what_it_sets) {
  EXPECT_LT(limited_server("memory: 256MiB").limits.connections, 4096u);
  EXPECT_EQ(limited_server("memory: 256MiB, connections: 4096").limits.connections, 4096u);
  EXPECT_EQ(limited_server("memory: 4GiB").limits.connections, 4096u);
  EXPECT_LT(limited_gateway("memory: 256MiB").limits.devices, 100'000u);
  EXPECT_LT(limited_gateway("memory: 256MiB").limits.links, 8192u);
  EXPECT_EQ(limited_gateway("memory: 256MiB, devices: 90000").limits.devices, 90'000u);
  EXPECT_EQ(limited_gateway("memory: 4GiB").limits.devices, 100'000u);
  EXPECT_LT(limited_server("memory: 256MiB").limits.entities_live, 100'000u);
  EXPECT_EQ(limited_server("memory: 1GiB, entities_live: 90000").limits.entities_live, 90'000u);
  EXPECT_EQ(limited_server("memory: 16GiB").limits.entities_live, 100'000u);
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
