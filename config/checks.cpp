// Rules between the settings of one file, such as "keys.lifetime is at least keys.rekey".

#include <algorithm>
#include <set>
#include <type_traits>

#include "base/text.hpp"
#include "config/memory_budget.hpp"
#include "config/reading.hpp"
#include "config/store_checks.hpp"
#include "config/values.hpp"

namespace cpns::config {
namespace {

constexpr milliseconds exchange_min{2000};
constexpr std::size_t addresses_max = 32;  // of the message Nodes
/// Certificates of gateways never have a level of the API, whatever the server's gateway_uris are.
constexpr std::string_view gateway_uris_default = "urn:cpns:gw:*";

void check_transports(const std::vector<transport_config>& list, const report_fn& report) {
  std::set<std::string> names;
  for (std::size_t i = 0; i < list.size(); ++i)
    if (!list[i].name.empty() && !names.insert(list[i].name).second)
      report("transports[" + std::to_string(i) + "].name", errc::config_range,
             "two transports have the name " + shown(list[i].name) + "; names must be unique");
}

/// By its text alone: the file is checked without the machine that it is for.
bool is_loopback(std::string_view host) { return host == "::1" || host.starts_with("127."); }

void check_api(const api_config& c, const report_fn& report) {
  // sun_path of sockaddr_un has 108 bytes, the last one is zero.
  if (c.socket && !c.socket_is_default && c.socket->string().size() > 107)
    report("api.socket", errc::config_range,
           "'api.socket' is longer than 107 bytes, the limit for the path of a Unix socket; use a shorter "
           "path, or "
           "'none': " +
               c.socket->string());
  if (c.probes && !is_loopback(c.probes->host))
    report("api.probes", errc::config_range,
           "'api.probes' must be a loopback address such as 127.0.0.1:9100, because it is open to anybody: " +
               c.probes->text());
}

template <class Config>
void check_application_keys(const Config& c, const report_fn& report) {
  if (!c.application_keys) return;
  const auto& keys = *c.application_keys;
  if (keys.socket.string().size() > 107)
    report(
        "application_keys.socket", errc::config_range,
        "'application_keys.socket' is longer than 107 bytes, the limit for the path of a Unix socket; use a "
        "shorter path: " +
            keys.socket.string());
  if (keys.purposes.empty())
    report("application_keys.purposes", errc::config_missing,
           "'application_keys.purposes' names no purpose: give one, or remove 'application_keys'");
  for (const auto& [name, purpose] : keys.purposes)
    if (purpose.allow.users.empty() && purpose.allow.groups.empty())
      report("application_keys.purposes." + name + ".allow", errc::config_missing,
             "'application_keys.purposes." + name +
                 ".allow' names nobody: without 'users' or 'groups' no program gets these keys");
}

/// Whether some text fits both patterns; see fits() in base/text.hpp.
bool overlap(std::string_view a, std::string_view b) {
  const auto beginning = [](std::string_view p) { return p.ends_with('*') ? p.substr(0, p.size() - 1) : p; };
  return fits(a, beginning(b)) || fits(b, beginning(a));
}

void check_clients(const api_config& c, const std::vector<std::string>& gateways, const report_fn& report) {
  for (const auto& [pattern, level] : c.certificates)
    for (const auto& gateway : gateways) {
      const bool is_uri = pattern.find(':') != std::string::npos;  // anything else has a diagnostic
      if (!is_uri || !overlap(pattern, gateway)) continue;
      report("api.certificates." + pattern, errc::config_range,
             "'api.certificates': " + shown(pattern) + " also fits URIs of gateways (" + shown(gateway) +
                 "), which have no level; write a longer pattern");
      break;
    }
}

void check_listen(const api_config& c, const std::vector<std::string>& gateways, const report_fn& report) {
  check_clients(c, gateways, report);
  if (!c.listen) {
    if (c.tls)
      report("api.tls", errc::config_range, "'api.tls' has no meaning without 'api.listen'; remove it");
    if (!c.certificates.empty())
      report("api.certificates", errc::config_range,
             "'api.certificates' has no meaning without 'api.listen'; remove it");
    return;
  }
  if (!c.tls)
    report("api.tls", errc::config_missing,
           "'api.tls' is missing: 'api.listen' needs 'certificate', 'key' and 'ca' there");
  if (c.certificates.empty())
    report("api.certificates", errc::config_missing,
           "'api.certificates' is missing: without it 'api.listen' would let no client in; give each SAN URI "
           "its level, for example urn:cpns:admin:anna: admin");
}

using named_path = std::pair<std::string, path>;

/// A file that the role writes, and removes at its start, must not be another file of the configuration.
void check_written(const std::vector<named_path>& read, const std::vector<named_path>& written,
                   const report_fn& report) {
  std::vector<named_path> seen = read;
  for (const auto& [key, p] : written) {
    if (p.empty()) continue;
    for (const auto& [other, there] : seen)
      if (p == there) {
        report(key, errc::config_range,
               "'" + key + "' is the same path as '" + other + "'; choose another path");
        break;
      }
    seen.emplace_back(key, p);
  }
}

void check_log(const log_config& c, const report_fn& report) {
  const std::vector<std::string_view> known(log::component_names.begin(), log::component_names.end());
  for (const auto& [name, level] : c.components) {
    if (log::is_component(name)) continue;
    const auto meant = nearest(name, known);
    report("log.components." + name, errc::config_unknown_key,
           shown(name) + " is not a component of the log; " +
               (meant ? "did you mean '" + std::string{*meant} + "'?"
                      : "the components are " + log::component_list()));
  }
}

void add_tls(std::vector<named_path>& to, const std::string& key, const tls_files& c) {
  to.insert(to.end(), {{key + ".certificate", c.certificate},
                       {key + ".key", c.key},
                       {key + ".ca", c.ca},
                       {key + ".crl", c.crl}});
}

template <class Config>
std::vector<named_path> paths_of(const Config& c) {
  std::vector<named_path> out{{"protector.file", c.protector.file}};
  if constexpr (std::is_same_v<Config, server_config>) {
    add_tls(out, "tls", c.tls);
    for (std::size_t i = 0; i < c.temporary_keys.services.size(); ++i)
      add_tls(out, service_key(i) + "tls", c.temporary_keys.services[i].tls);
  }
  if constexpr (std::is_same_v<Config, gateway_config>) {
    if (c.tls) add_tls(out, "tls", *c.tls);
    if (c.psk) out.emplace_back("psk.key_file", c.psk->key_file);
  }
  if constexpr (requires { c.store; }) {
    out.emplace_back("store.path", c.store.path);
    if (c.store.postgresql) {
      out.emplace_back("store.postgresql.password_file", c.store.postgresql->password_file);
      out.emplace_back("store.postgresql.ca", c.store.postgresql->ca);
    }
  }
  if (c.api.tls) add_tls(out, "api.tls", *c.api.tls);
  if constexpr (requires { c.user_password_file; })
    out.emplace_back("user_password_file", c.user_password_file);
  if constexpr (requires { c.devices_file; }) {
    out.emplace_back("devices_file", c.devices_file);
    out.emplace_back("keys_dir", c.keys_dir);
    for (std::size_t i = 0; i < c.devices.size(); ++i) {
      const auto at = "devices[" + std::to_string(i) + "].";
      out.emplace_back(at + "temporary_key_file", c.devices[i].temporary_key_file);
      out.emplace_back(at + "key_file", c.devices[i].key_file);
    }
  }
  return out;
}

/// Step 0: by certificate or by pre-shared key.
void check_step0(const gateway_config& c, const report_fn& report) {
  if (!c.tls && !c.psk)
    report("tls", errc::config_missing,
           "'tls' is missing: a gateway has a certificate ('tls') or a pre-shared key ('psk')");
  if (c.tls && c.psk)
    report("psk", errc::config_range,
           "'psk' and 'tls' exclude each other: a gateway has a pre-shared key or a certificate; remove one");
  if (c.tls && c.server_uri.empty())
    report("server_uri", errc::config_missing,
           "'server_uri' is missing: with 'tls' the gateway accepts the certificate of this server alone");
  if (c.psk && !c.tls && !c.server_uri.empty())
    report(
        "server_uri", errc::config_range,
        "'server_uri' has no meaning with 'psk': the server shows that it has the key, and no certificate; "
        "remove it");
}

template <class Config>
void check_memory(const Config& c, const report_fn& report) {
  if (const auto missing = missing_memory(c))
    report("limits.memory", errc::config_range,
           "'limits.memory' is " + memory_text(*c.limits.memory) + ", but " + *missing);
}

/// A store refuses a folder with foreign files.
void check_outside_store(const path& file, const path& folder, const std::string& key,
                         const report_fn& report) {
  if (file.empty() || folder.empty()) return;
  const auto inside = file.lexically_normal().lexically_relative(folder.lexically_normal());
  if (!inside.empty() && *inside.begin() != "..")
    report("audit.file", errc::config_range,
           "'audit.file' lies in the folder of '" + key + "'; choose a path beside it");
}

template <class Config>
void check_written(const Config& c, const report_fn& report) {
  if constexpr (requires { c.store; }) check_outside_store(c.audit.file, c.store.path, "store.path", report);
  std::vector<named_path> written{
      {"log.file", c.log.file}, {"ready_file", c.ready_file}, {"audit.file", c.audit.file}};
  if (c.api.socket) written.emplace_back("api.socket", *c.api.socket);
  if constexpr (requires { c.application_keys; })
    if (c.application_keys) written.emplace_back("application_keys.socket", c.application_keys->socket);
  check_written(paths_of(c), written, report);
}

/// What the message Nodes can hold.
void check_cluster(const server_cluster& c, const report_fn& report) {
  const auto usable = [&report](const address& a, const std::string& key) {
    if (a.port == 0) report(key, errc::config_range, "'" + key + "' must have a port from 1 to 65535, not 0");
    if (a.host.find('%') != std::string::npos)
      report(key, errc::config_range,
             "'" + key +
                 "' has a zone (%), which means nothing to other machines; write an address without it");
  };
  if (c.advertise) usable(*c.advertise, "cluster.advertise");
  for (std::size_t i = 0; i < c.nodes.size(); ++i)
    usable(c.nodes[i], "cluster.nodes[" + std::to_string(i) + "]");
  const bool own_is_extra =
      c.advertise && std::find(c.nodes.begin(), c.nodes.end(), *c.advertise) == c.nodes.end();
  if (own_is_extra && c.nodes.size() >= addresses_max)
    report(
        "cluster.nodes", errc::config_range,
        "'cluster.nodes' has 32 addresses besides 'cluster.advertise': gateways learn 32 in all; remove one");
}

}  // namespace

void check(const server_config& c, const report_fn& report) {
  check_cluster(c.cluster, report);
  check_key_services(c, report);
  check_written(c, report);
  check_api(c.api, report);
  auto gateways = c.gateway_uris;
  gateways.emplace_back(gateway_uris_default);
  check_listen(c.api, gateways, report);
  check_log(c.log, report);
  check_server_store(c.store, report);
  check_memory(c, report);
  if (c.limits.jobs < c.limits.jobs_per_gateway)
    report("limits.jobs", errc::config_range,
           "'limits.jobs' (" + std::to_string(c.limits.jobs) +
               ") must be at least 'limits.jobs_per_gateway' (" + std::to_string(c.limits.jobs_per_gateway) +
               ")");
  if (c.keys.lifetime < c.keys.rekey)
    report("keys.lifetime", errc::config_range,
           "'keys.lifetime' (" + duration_text(c.keys.lifetime) + ") is shorter than 'keys.rekey' (" +
               duration_text(c.keys.rekey) + ")");
}

void check(const gateway_config& c, const report_fn& report) {
  check_step0(c, report);
  check_written(c, report);
  check_application_keys(c, report);
  check_log(c.log, report);
  check_gateway_store(c.store, report);
  check_memory(c, report);
  check_transports(c.transports, report);
  check_api(c.api, report);
  check_listen(c.api, {std::string{gateway_uris_default}}, report);
  if (c.healing_reserve >= c.rekey.low_water)
    report("healing_reserve", errc::config_range,
           "'healing_reserve' (" + std::to_string(c.healing_reserve) +
               ") must be less than 'rekey.low_water' (" + std::to_string(c.rekey.low_water) + ")");
  if (c.timers.backoff_max < c.timers.backoff_min)
    report("timers.backoff_max", errc::config_range,
           "'timers.backoff_max' is shorter than 'timers.backoff_min'");
  // A device that answers one DREQ per second needs this time before a stranger's claim is considered.
  const auto exchange = c.timers.answer_timeout * (std::int64_t{c.timers.retries} + 1);
  if (exchange < exchange_min)
    report("timers.answer_timeout", errc::config_range,
           "'timers.answer_timeout' (" + duration_text(c.timers.answer_timeout) +
               ") with 'timers.retries' (" + std::to_string(c.timers.retries) + ") makes an exchange of " +
               duration_text(exchange) + "; it must last at least 2s");
  if (c.timers.reconnect_max < c.timers.reconnect_min)
    report("timers.reconnect_max", errc::config_range,
           "'timers.reconnect_max' is shorter than 'timers.reconnect_min'");
  if (c.validation.policy == approval::list && c.validation.allow.empty())
    report("validation.allow", errc::config_missing,
           "'validation.allow' is missing: the policy 'list' would accept no device");
  for (std::size_t i = 0; i < c.servers.size(); ++i)
    if (c.servers[i].port == 0)
      report("servers[" + std::to_string(i) + "]", errc::config_range,
             "'servers[" + std::to_string(i) + "]' must have a port from 1 to 65535, not 0");
}

void check(const pne_config& c, const report_fn& report) {
  check_written(c, report);
  check_application_keys(c, report);
  check_log(c.log, report);
  check_transports(c.transports, report);
  check_api(c.api, report);
  check_listen(c.api, {std::string{gateway_uris_default}}, report);
  check_memory(c, report);
  if (c.devices.empty() && c.devices_file.empty())
    report("devices", errc::config_missing,
           "no device is configured: give 'devices', or 'devices_file' and 'keys_dir'");
  if (!c.devices.empty() && !c.devices_file.empty())
    report("devices_file", errc::config_range, "'devices' and 'devices_file' exclude each other; remove one");
  if (!c.devices_file.empty() && c.keys_dir.empty())
    report("keys_dir", errc::config_missing,
           "'keys_dir' is missing: it stores the keys of the devices in 'devices_file'");
  if (c.devices_file.empty() && !c.keys_dir.empty())
    report("keys_dir", errc::config_range, "'keys_dir' has no meaning without 'devices_file'; remove it");
  std::set<std::string> entities;
  std::set<path> key_files;
  for (std::size_t i = 0; i < c.devices.size(); ++i) {
    const auto at = "devices[" + std::to_string(i) + "]";
    if (!c.devices[i].entity.empty() && !entities.insert(c.devices[i].entity).second)
      report(at + ".entity", errc::config_range,
             "the device " + shown(c.devices[i].entity) + " is given twice");
    if (!c.devices[i].key_file.empty() && !key_files.insert(c.devices[i].key_file).second)
      report(at + ".key_file", errc::config_range, "two devices have the same 'key_file'");
  }
  for (std::size_t i = 0; i < c.suites.size(); ++i)
    if (c.suites[i] < 1 || c.suites[i] > 2 || (i > 0 && c.suites[i] == c.suites[0]))
      report("suites[" + std::to_string(i) + "]", errc::config_range,
             "'suites[" + std::to_string(i) + "]' must be 1 or 2, each once");
}

}  // namespace cpns::config
