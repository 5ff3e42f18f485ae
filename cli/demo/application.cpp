#include "cli/demo/application.hpp"

#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <thread>
#include <utility>

#include "api/access.hpp"
#include "base/sockets.hpp"
#include "cli/daemon.hpp"

namespace cpns::cli {
namespace {

namespace fs = std::filesystem;
using steady = std::chrono::steady_clock;

constexpr std::chrono::seconds broker_timeout{10};
constexpr std::chrono::milliseconds ready_interval{10};
constexpr std::uint32_t shortest_pause = 100;  ///< ms between two connections of a client
/// So the clients of all PNEs begin 250 connections a second at most, about half of what two processors carry.
constexpr std::uint32_t pause_for_each = 2;

/// /usr/sbin is in the PATH of root alone.
constexpr std::string_view other_folders = "/usr/local/sbin:/usr/sbin";

bool can_run(const fs::path& file) {
  std::error_code wrong;
  return fs::is_regular_file(file, wrong) && ::access(file.c_str(), X_OK) == 0;
}

std::optional<std::string> find_program(const std::string& name) {
  if (name.find('/') != std::string::npos)
    return can_run(name) ? std::optional{fs::absolute(name).string()} : std::nullopt;
  const char* path = std::getenv("PATH");
  auto folders = std::string{path == nullptr ? "" : path} + ":" + std::string{other_folders};
  for (std::size_t begin = 0; begin < folders.size();) {
    const auto end = std::min(folders.find(':', begin), folders.size());
    const auto folder = folders.substr(begin, end - begin);
    if (!folder.empty() && can_run(fs::path{folder} / name)) return (fs::path{folder} / name).string();
    begin = end + 1;
  }
  return std::nullopt;
}

status write_file(const fs::path& file, const std::string& text) {
  std::ofstream out{file};
  if (out << text && out.flush()) return {};
  return fail(errc::config_file, file.string() + ": " + std::strerror(errno));
}

/// For the group of the broker, whatever the umask is.
status share(const fs::path& what, ::mode_t mode, uid_t owner, const std::optional<account>& broker) {
  if (!broker) return {};
  if (::chown(what.c_str(), owner, broker->group) == 0 && ::chmod(what.c_str(), mode) == 0) return {};
  return fail(errc::config_file, what.string() + ": " + std::strerror(errno));
}

std::string text_of(const std::string& file) {
  std::ifstream in{file};
  return {std::istreambuf_iterator<char>{in}, {}};
}

/// The first error of the broker, or its last line, without the time before it.
std::string last_words(const std::string& log) {
  std::ifstream in{log};
  std::string found;
  for (std::string line; found.find("Error") == std::string::npos && std::getline(in, line);) {
    const auto time = line.find(": ");
    found = time == std::string::npos ? line : line.substr(time + 2);
  }
  return found;
}

std::string ended(const std::string& what, int code, const std::string& why) {
  return what + " ended with exit code " + std::to_string(code) + (why.empty() ? "" : ": " + why);
}

std::uint64_t number(const log_event& e, const std::string& field) {
  std::uint64_t out = 0;
  const auto& text = e.field(field);
  std::from_chars(text.data(), text.data() + text.size(), out);
  return out;
}

}  // namespace

result<mqtt_application::programs> mqtt_application::find(const demo_options& o) {
  const auto broker = find_program(o.broker);
  if (!broker)
    return fail(errc::config_missing,
                "--application mqtt needs a mosquitto broker, and cannot find " + o.broker +
                    (o.broker.find('/') == std::string::npos
                         ? " in PATH, /usr/local/sbin or /usr/sbin; install the package mosquitto"
                         : "; install the package mosquitto, or name another one with --broker"));
  std::error_code wrong;
  const auto folder = fs::read_symlink("/proc/self/exe", wrong).parent_path().parent_path() / "lib" / "cpns";
  programs out{*broker, (folder / "cpns_mosquitto.so").string(), (folder / "mqtt_crowd").string()};
  for (const auto& file : {out.plugin, out.clients})
    if (!fs::is_regular_file(file, wrong))
      return fail(errc::config_missing,
                  "--application mqtt needs " + file +
                      "; install the package cpns-mosquitto (in a tree of the sources: make demo-mqtt)");
  return out;
}

result<mqtt_application::broker_account> mqtt_application::account_of_broker(const std::string& own_name) {
  if (::geteuid() != 0) return broker_account{own_name, std::nullopt};
  if (const auto* who = ::getpwnam("mosquitto"); who != nullptr)
    return broker_account{who->pw_name, account{who->pw_uid, who->pw_gid}};
  return fail(
      errc::config_missing,
      "--application mqtt runs no broker as root, and this machine has no user mosquitto; install the "
      "package mosquitto");
}

result<std::unique_ptr<mqtt_application>> mqtt_application::make(const demo_options& o) {
  CPNS_TRY(auto found, find(o));
  const auto* own = ::getpwuid(::geteuid());
  if (own == nullptr)
    return fail(errc::config_missing, "--application mqtt: the user " + std::to_string(::geteuid()) +
                                          " has no name on this machine, so no role can allow it its keys");
  const std::string own_name = own->pw_name;
  if (const auto usable = api::own_user_named(own_name, "--application mqtt"); !usable)
    return fail(errc::config_missing, "--application mqtt: no role gives keys to the user " + own_name +
                                          ": " + usable.error().detail + "; run it as another user");
  CPNS_TRY(auto who, account_of_broker(own_name));
  CPNS_TRY(auto folder, temporary_folder::make("cpns-broker"));
  // The folder stays root's, because roles of root make their sockets in it: its user could put links in their place.
  CPNS_CHECK(share(folder.path(), 0750, 0, who.as));
  const auto hub = folder.path() + "/hub";
  if (::mkdir(hub.c_str(), 0700) != 0) return fail(errc::config_file, hub + ": " + std::strerror(errno));
  CPNS_CHECK(share(hub, 0700, who.as ? who.as->user : 0, who.as));
  return std::unique_ptr<mqtt_application>{
      new mqtt_application(std::move(found), std::move(who), own_name, std::move(folder))};
}

trial_key_sockets mqtt_application::sockets() const {
  return {private_.path() + "/gateway-keys.sock", private_.path() + "/pne-keys.sock", who_.name, own_name_};
}

status mqtt_application::write_files(const std::string& kept) {
  const auto& folder = private_.path();
  auto plugin = programs_.plugin;
  if (who_.as) {  // which may not reach a tree in a home folder
    std::error_code wrong;
    plugin = folder + "/cpns_mosquitto.so";
    if (!fs::copy_file(programs_.plugin, plugin, wrong))
      return fail(errc::config_file, plugin + ": " + wrong.message());
    CPNS_CHECK(share(plugin, 0640, 0, who_.as));
  }
  const std::string conf =
      "# The broker of a cpns demo. The settings for a hub: "
      "/usr/share/doc/cpns-mosquitto/examples/mosquitto.conf\n"
      "listener " +
      std::to_string(port_) +
      " 127.0.0.1\n"
      "psk_hint cpns\n"
      "use_identity_as_username true\n"
      "tls_version tlsv1.2\n"
      "ciphers ECDHE-PSK-CHACHA20-POLY1305\n"
      "set_tcp_nodelay true\n"
      "\n# The subscriber on the hub. It has no name; only the user of the broker reaches the socket.\n"
      "listener 0 " +
      hub_socket() +
      "\n"
      "allow_anonymous true\n"
      "acl_file " +
      folder +
      "/acl\n"
      "max_queued_messages 0\n"
      "\nplugin " +
      plugin +
      "\n"
      "plugin_opt_socket " +
      sockets().gateway.string() +
      "\n"
      "\nlog_dest stderr\n"
      "log_type error\nlog_type warning\nlog_type notice\nlog_type information\n"
      "log_timestamp_format %Y-%m-%dT%H:%M:%S\n"
      "connection_messages false\n";
  CPNS_CHECK(write_file(folder + "/acl", "topic read pn/#\npattern readwrite pn/%u/#\n"));
  CPNS_CHECK(write_file(folder + "/mosquitto.conf", conf));
  for (const auto* name : {"/acl", "/mosquitto.conf"}) CPNS_CHECK(share(folder + name, 0640, 0, who_.as));
  return kept.empty() ? status{} : write_file(kept + "/mosquitto.conf", conf);
}

status mqtt_application::start_broker(const std::string& folder) {
  log_of_broker_ = folder + "/broker.log";
  CPNS_TRY(broker_,
           child_process::start(programs_.broker, {"mosquitto", "-c", private_.path() + "/mosquitto.conf"},
                                log_of_broker_, who_.as));
  for (const auto end = steady::now() + broker_timeout; steady::now() < end;) {
    if (text_of(log_of_broker_).find(" running\n") != std::string::npos) return {};
    if (const auto why = broken(); !why.empty()) return fail(errc::config_missing, why);
    if (cancelled()) return fail(errc::state_stopping, "cancelled");
    std::this_thread::sleep_for(ready_interval);
  }
  return fail(errc::config_missing, "the broker was not ready within " +
                                        std::to_string(broker_timeout.count()) +
                                        " s: " + last_words(log_of_broker_));
}

status mqtt_application::start(const std::string& folder, const std::string& kept,
                               const std::vector<std::string>& entities) {
  port_ = free_port(SOCK_STREAM);
  CPNS_CHECK(write_files(kept));
  CPNS_CHECK(start_broker(folder));
  const auto least = std::max(shortest_pause, pause_for_each * static_cast<std::uint32_t>(entities.size()));
  std::vector<std::string> words{"mqtt_crowd",
                                 "--socket",
                                 sockets().pne.string(),
                                 "--broker",
                                 "127.0.0.1:" + std::to_string(port_),
                                 "--hub",
                                 hub_socket(),
                                 "--least",
                                 std::to_string(least),
                                 "--most",
                                 std::to_string(3 * least)};
  words.insert(words.end(), entities.begin(), entities.end());
  log_of_clients_ = folder + "/clients.log";
  CPNS_TRY(clients_, child_process::start(programs_.clients, std::move(words), log_of_clients_, {}));
  said_ = std::make_unique<log_follower>(std::vector{log_of_clients_});
  said_->only([](std::string_view line) {
    return line.find(R"("counts")") != std::string_view::npos ||
           line.find(R"("done")") != std::string_view::npos;
  });
  return {};
}

std::string mqtt_application::broken() {
  if (broker_)
    if (const auto code = broker_->poll())
      return ended("the broker", *code, *code < 128 ? last_words(log_of_broker_) : "");
  if (!clients_) return {};
  const auto code = clients_->poll();
  return code && (!ending_ || *code != 0) ? ended("the clients", *code, last_error(log_of_clients_)) : "";
}

const application_figures& mqtt_application::look() {
  for (const auto& e : said_->poll()) {
    figures_ = {.handshakes = number(e, "handshakes"),
                .refused = number(e, "refused"),
                .sent = number(e, "published"),
                .received = number(e, "received"),
                .lost = number(e, "lost"),
                .others = number(e, "broken") + number(e, "late") + number(e, "unreachable") +
                          number(e, "without_key"),
                .oldest_key = std::chrono::milliseconds{number(e, "oldest_key_ms")},
                .oldest_epoch = e.field("oldest_key_epoch")};
  }
  return figures_;
}

void mqtt_application::end_clients() {
  ending_ = true;
  clients_->ask_to_end();
}

bool mqtt_application::has_ended() { return clients_->poll().has_value(); }

void mqtt_application::stop() {
  clients_.reset();
  broker_.reset();
}

}  // namespace cpns::cli
