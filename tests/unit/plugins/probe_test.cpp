// Each kind of bad plugin causes one clear error, and does not affect other plugins.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <regex>

#include "plugins/host/loader.hpp"
#include "tests/support/temporary_folder.hpp"

namespace cpns::plugins {
namespace {

using namespace std::chrono_literals;

transport_spec spec_of(const std::string& plugin, std::map<std::string, std::string> params = {},
                       transport_role role = transport_role::central) {
  return {plugin, role, std::move(params), {}};
}
transport_spec bad(const std::string& kind) {
  return spec_of(std::string{CPNS_BAD_PLUGINS "/"} + kind + ".so");
}

struct silent_listener final : transport_listener {
  void link_up(link_id, endpoint_id, std::string) override {}
  void link_down(link_id, std::string) override {}
  void message(link_id, bytes) override {}
  void peer_found(std::string, std::int32_t) override {}
  void connect_failed(std::string, std::string) override {}
  void woke(std::string) override {}
  void failed(error) override {}
};

struct refusal {
  const char* kind;
  errc code;
  const char* says;
};
std::ostream& operator<<(std::ostream& o, const refusal& r) { return o << r.kind; }

constexpr refusal refused_everywhere[] = {
    {"other_abi", errc::plugin_incompatible, "interface version 2.2, this program has 1.2"},
    {"missing_symbol", errc::plugin_incompatible, "exports no symbol cpns_transport_entry"},
    {"small_entry", errc::plugin_incompatible, "entry is too small"},
    {"no_open", errc::plugin_incompatible, "no open function"},
    {"no_reason", errc::plugin_failed, "gave no reason"},
    {"unavailable", errc::plugin_failed, "no adapter is plugged in"},
    {"no_table", errc::plugin_misbehaved, "returned no transport"},
    {"missing_function", errc::plugin_misbehaved, "is missing"},
    {"tiny_mtu", errc::plugin_misbehaved, "MTU of 5"},
    {"no_links", errc::plugin_misbehaved, "declares no links"},
};

class refused : public testing::TestWithParam<refusal> {};

TEST_P(refused, is_reported_in_one_line_by_the_probe_and_by_the_loader) {
  const auto& expected = GetParam();
  silent_listener listener;
  const auto probed = probe_transport(bad(expected.kind), 20s);
  const auto loaded = load_transport(bad(expected.kind), listener);
  ASSERT_FALSE(probed);
  ASSERT_FALSE(loaded);
  for (const auto& e : {probed.error(), loaded.error()}) {
    EXPECT_EQ(e.code, expected.code) << e.message();
    EXPECT_NE(e.detail.find(expected.says), std::string::npos) << e.message();
    EXPECT_EQ(e.message().find('\n'), std::string::npos) << e.message();
  }
}
INSTANTIATE_TEST_SUITE_P(plugin, refused, testing::ValuesIn(refused_everywhere),
                         [](const auto& p) { return std::string{p.param.kind}; });

class fatal : public testing::TestWithParam<const char*> {};

TEST_P(fatal, ends_only_its_own_probe) {
  const auto probed = probe_transport(bad(GetParam()), 20s);
  ASSERT_FALSE(probed);
  EXPECT_EQ(probed.error().code, errc::plugin_crashed) << probed.error().message();
  EXPECT_NE(probed.error().detail.find(GetParam()), std::string::npos) << probed.error().message();
  EXPECT_NE(probed.error().detail.find("it is not loaded"), std::string::npos);
  EXPECT_TRUE(probe_transport(spec_of("loopback"), 20s)) << "other plugins still work";
}
INSTANTIATE_TEST_SUITE_P(plugin, fatal,
                         testing::Values("crash_in_constructor", "crash_in_open", "abort_in_open",
                                         "exit_in_open"),
                         [](const auto& p) { return std::string{p.param}; });

class endless : public testing::TestWithParam<const char*> {};

TEST_P(endless, is_killed_when_its_time_is_over) {
  const auto begun = std::chrono::steady_clock::now();
  const auto probed = probe_transport(bad(GetParam()), 500ms);
  ASSERT_FALSE(probed);
  EXPECT_EQ(probed.error().code, errc::plugin_hung) << probed.error().message();
  EXPECT_NE(probed.error().detail.find("500 ms"), std::string::npos) << probed.error().message();
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 10s);
}
INSTANTIATE_TEST_SUITE_P(plugin, endless, testing::Values("loop_in_open", "hang_in_close"),
                         [](const auto& p) { return std::string{p.param}; });

TEST(probe, gives_the_plugin_no_descriptor_and_no_blocked_signal_of_the_role) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);  // without O_CLOEXEC, as a library may open one
  const int listening = ::socket(AF_INET, SOCK_STREAM, 0), file = ::open("/dev/zero", O_RDONLY);
  sigset_t alarm, before;
  sigemptyset(&alarm);
  sigaddset(&alarm, SIGALRM);
  ::pthread_sigmask(SIG_BLOCK, &alarm, &before);
  const auto probed = probe_transport(bad("shows_what_it_has"), 20s);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  for (const int fd : {ends[0], ends[1], listening, file}) ::close(fd);
  ASSERT_FALSE(probed);
  const std::regex wanted{"0=/dev/null 1=/dev/null 2=/dev/null [0-9]+=pipe:\\[[0-9]+\\] alarm_blocked=0"};
  EXPECT_TRUE(std::regex_search(probed.error().detail, wanted)) << probed.error().detail;
}

TEST(probe, works_without_standard_streams) {
  const auto pid = ::fork();
  ASSERT_GE(pid, 0);
  if (pid == 0) {
    for (const int fd : {0, 1, 2}) ::close(fd);
    ::_exit(probe_transport(spec_of("loopback"), 20s) ? 0 : 1);
  }
  int status = -1;
  ::waitpid(pid, &status, 0);
  EXPECT_EQ(status, 0);
}

TEST(probe, refuses_a_file_that_is_not_an_elf_file) {
  const auto file =
      std::filesystem::path{testing::TempDir()} / ("not-elf-" + std::to_string(getpid()) + ".so");
  std::ofstream{file} << "#!/bin/sh\necho hello\n";
  const auto probed = probe_transport(spec_of(file.string()), 20s);
  std::filesystem::remove(file);
  ASSERT_FALSE(probed);
  EXPECT_EQ(probed.error().code, errc::plugin_load) << probed.error().message();
  EXPECT_NE(probed.error().detail.find("not-elf"), std::string::npos);
}

TEST(probe, kills_a_plugin_that_uses_too_much_memory) {
  const auto probed = probe_transport(bad("eats_memory"), 20s);
  ASSERT_FALSE(probed);
  EXPECT_EQ(probed.error().code, errc::plugin_misbehaved) << probed.error().message();
  EXPECT_NE(probed.error().detail.find(
                "eats_memory.so used more than 512 MiB of memory while it was probed; it is not loaded"),
            std::string::npos)
      << probed.error().message();
}

TEST(probe, refuses_a_file_for_another_machine_and_a_truncated_file) {
  std::ifstream in{*find_plugin(spec_of("loopback")), std::ios::binary};
  const std::string good{std::istreambuf_iterator<char>{in}, {}};
  const auto with = [&good](std::size_t at, std::string_view bytes) {
    return std::string{good}.replace(at, bytes.size(), bytes);
  };
  using namespace std::string_view_literals;
  const std::pair<std::string, const char*> cases[] = {
      {with(18, "\xb7\0"sv),
       "it is built for another machine: AArch64 (64 bit, little-endian), and this program"},
      {with(4, "\1"sv), "it is built for another machine: "},
      {with(5, "\2"sv), ", big-endian), and this program"},
      {with(16, "\1\0"sv), "it is not a shared object, but another kind of ELF file"},
      {good.substr(0, 5000), "it is truncated: only 5000 bytes are left"},
      {good.substr(0, 80), "it is truncated: only 80 bytes are left"},
      {good.substr(0, 10), "it is not a shared object"},
      {"", "it is not a shared object"},
  };
  const test::temporary_folder folder;
  const auto file = folder.path() / "radio.so";
  for (const auto& [content, says] : cases) {
    std::ofstream{file, std::ios::binary | std::ios::trunc} << content;
    const auto probed = probe_transport(spec_of(file.string()), 20s);
    ASSERT_FALSE(probed) << says;
    EXPECT_EQ(probed.error().code, errc::plugin_load) << probed.error().message();
    EXPECT_NE(probed.error().detail.find(says), std::string::npos) << probed.error().message();
  }
}

TEST(probe, names_the_searched_folders_when_a_plugin_is_not_found) {
  auto spec = spec_of("smoke-signals");
  spec.plugin_dirs = {"/nonexistent/first", "/nonexistent/second"};
  const auto probed = probe_transport(spec, 20s);
  ASSERT_FALSE(probed);
  EXPECT_EQ(probed.error().code, errc::plugin_load);
  EXPECT_NE(probed.error().detail.find("smoke-signals.so in /nonexistent/first, /nonexistent/second"),
            std::string::npos)
      << probed.error().message();
  EXPECT_EQ(probe_transport(spec_of("/nonexistent/x.so"), 20s).error().code, errc::plugin_load);
  EXPECT_EQ(probe_transport(spec_of(""), 20s).error().code, errc::plugin_load);
}

TEST(probe, ignores_the_output_of_a_plugin) {
  const auto probed = probe_transport(bad("prints"), 20s);
  ASSERT_TRUE(probed) << probed.error().message();
  EXPECT_EQ(probed->name, "bad");
  EXPECT_EQ(probed->mtu, 100u);
}

TEST(probe, reads_the_limits_of_good_plugins) {
  const auto loopback =
      probe_transport(spec_of("loopback", {{"mtu", "64"}}, transport_role::peripheral), 20s);
  ASSERT_TRUE(loopback) << loopback.error().message();
  EXPECT_EQ(loopback->name, "loopback");
  EXPECT_EQ(loopback->mtu, 64u);
  EXPECT_TRUE(loopback->reliable);
  EXPECT_TRUE(loopback->ordered);
  EXPECT_GE(loopback->max_endpoints, 1000u);
  const auto tcp = probe_transport(spec_of("tcp"), 20s);
  ASSERT_TRUE(tcp) << tcp.error().message();
  EXPECT_EQ(tcp->name, "tcp");
  EXPECT_EQ(tcp->max_endpoints, 0u);
}

struct bad_parameter {
  const char* plugin;
  transport_role role;
  std::map<std::string, std::string> params;
  const char* says;
};

TEST(probe, reports_wrong_parameters) {
  using enum transport_role;
  const bad_parameter cases[] = {
      {"loopback", central, {{"wavelength", "1"}}, "parameter 'wavelength' is not known to loopback"},
      {"loopback", central, {{"mtu", "22"}}, "from 23 to 1026"},
      {"loopback",
       central,
       {{"loss", "half"}},
       "parameter loss of loopback: it must be a number from 0 to 1000, not 'half'"},
      {"tcp", central, {{"listen", "127.0.0.1"}}, "must be address:port"},
      {"tcp", central, {{"listen", "localhost:1"}}, "'localhost' is not an IP address of this machine"},
      {"tcp", central, {{"listen", "[127.0.0.1]:1"}}, "is not an IPv6 address"},
      {"tcp", central, {{"listen", "::1:7000"}}, "needs brackets: [::1]:7000"},
      {"tcp", central, {{"listen", "[fe80::1]:7000"}}, "needs the name of an interface"},
      {"tcp", central, {{"announce", "127.0.0.1:70000"}}, "'70000' in '127.0.0.1:70000' is not a port"},
      {"tcp", central, {{"announce", "127.0.0.1:0"}}, "0 is not one"},
      {"tcp", central, {{"announce", "127.255.255.255:1, 10.0.0:1"}}, "'10.0.0' is not an IP address"},
      {"tcp", central, {{"announce", "0.0.0.0:1"}}, "is not the address of a peer"},
      {"tcp", central, {{"announce", "10.0.0.255:1"}}, "which only this machine can reach"},
      {"tcp", central, {{"announce", "[::1]:1"}}, "[::]:port accepts IPv4 and IPv6"},
      {"tcp", central, {{"announce", "239.1.2.3:1"}}, "PNEs join none"},
      {"tcp", central, {{"announce", "224.0.0.1:1"}}, "PNEs join none"},
      {"tcp", central, {{"announce", "[ff05::1]:1"}}, "PNEs join none"},
      {"tcp", central, {{"announce", "[ff02::1]:1"}}, "needs the name of an interface"},
      {"tcp", central, {{"announce", "two words:1"}}, "'two words' is not an IP address"},
      {"tcp", peripheral, {{"connect", "[gateway]:1"}}, "'gateway' is not an IP address"},
      {"tcp", peripheral, {{"connect", "224.0.0.1:1"}}, "is a multicast group"},
      {"tcp", peripheral, {{"connect", "255.255.255.255:1"}}, "is the broadcast address"},
      {"tcp", central, {{"network", ""}}, "1 to 64 bytes"},
      {"tcp", peripheral, {}, "discover"},
      {"tcp",
       peripheral,
       {{"discover", "0x10"}},
       "parameter discover of tcp: it must be a number from 0 to 65535, not '0x10'"},
  };
  for (const auto& c : cases) {
    const auto probed = probe_transport(spec_of(c.plugin, c.params, c.role), 20s);
    ASSERT_FALSE(probed) << c.says;
    EXPECT_EQ(probed.error().code,
              c.params.count("wavelength") != 0 ? errc::config_unknown_key : errc::config_range)
        << probed.error().message();
    EXPECT_EQ(probed.error().parameter, c.params.empty() ? "connect" : c.params.begin()->first);
    EXPECT_NE(probed.error().detail.find(c.says), std::string::npos) << probed.error().message();
  }
}

}  // namespace
}  // namespace cpns::plugins
