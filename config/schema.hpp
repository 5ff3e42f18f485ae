#pragma once
// The settings of the three roles as plain structs with their defaults. config/describe.hpp holds the meaning,
// bounds and YAML key of each setting; the loader's checks, the JSON schema and docs/config.md follow from both.
// Paths are absolute after loading. A configuration holds no secrets, only the paths of files with secrets.

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/log.hpp"
#include "config/diagnostics.hpp"

namespace cpns::config {

using path = std::filesystem::path;

enum class role_kind : std::uint8_t { server, gateway, pne };
enum class store_kind : std::uint8_t { rocksdb, memory, postgresql };
enum class database_tls : std::uint8_t { disable, require, verify_ca, verify_full };
enum class database_statements : std::uint8_t { batch, portable };
enum class protector_kind : std::uint8_t { file, passphrase };
enum class key_release : std::uint8_t { derived, literal };
enum class approval : std::uint8_t { automatic, ask, list };  ///< "auto", "ask", "list"
enum class chain_rule : std::uint8_t { normal, strict };
enum class isolation_kind : std::uint8_t { none, process };
enum class power_kind : std::uint8_t { full, saving };
enum class api_level : std::uint8_t { viewer, operator_, admin };  ///< "viewer", "operator", "admin"

/// host:port. An IPv6 host has brackets in text(), but not in `host`.
struct address {
  std::string host;
  std::uint16_t port = 0;
  [[nodiscard]] std::string text() const;
  friend bool operator==(const address&, const address&) = default;
};

/// Whole MiB.
struct memory_size {
  std::uint64_t bytes = 0;
  friend bool operator==(const memory_size&, const memory_size&) = default;
};

struct tls_files {
  path certificate;  ///< PEM, the certificate chain of this role
  path key;          ///< PEM
  path ca;           ///< PEM, the authorities that may sign the other side's certificate
  path crl{};        ///< PEM, their revocation lists; empty: none
};

/// A gateway without a certificate.
struct psk_config {
  std::string identity;  ///< see base/psk_identity.hpp
  path key_file;
};

/// A database that the nodes of a cluster share.
struct postgresql_config {
  std::vector<address> hosts;  ///< either these, or `socket`
  path socket;                 ///< the file of a Unix socket
  std::string database = "cpns";
  std::string user = "cpns";
  path password_file;  ///< empty: the database asks for no password
  database_tls tls = database_tls::verify_full;
  path ca;
  database_statements statements = database_statements::batch;
};

struct store_config {
  store_kind kind = store_kind::rocksdb;
  config::path path;  ///< empty for memory; for postgresql the folder of this node's own files
  std::optional<postgresql_config> postgresql{};
  /// The role ends if the disk accepts no writes for so long.
  milliseconds give_up_after = std::chrono::minutes(5);
};

struct protector_config {
  protector_kind kind = protector_kind::file;
  path file;        ///< the key-encryption key, or the passphrase
  path new_keys{};  ///< where a client of the API may name another one; empty: beside `file`
};

struct log_config {
  log::format format = log::format::text;
  log::level level = log::level::info;
  std::map<std::string, log::level, std::less<>> components;
  path file;  ///< empty: standard error
  [[nodiscard]] log::settings settings() const { return {format, level, components, file.string()}; }
};

/// Groups of this machine by the level of the API that their members have.
struct api_levels {
  std::vector<std::string> viewer, operator_, admin;
};

/// The HTTP API of a role.
struct api_config {
  /// The Unix socket; nullopt: none. After loading it is not empty.
  std::optional<path> socket = path{};
  bool socket_is_default = false;  ///< not a setting: a role starts without it if the path cannot be used
  api_levels groups;               ///< groups of this machine whose processes may use the socket
  std::optional<address> probes;   ///< a loopback port for health and metrics alone, without TLS
  std::optional<address> listen;   ///< a port with TLS for clients with a certificate
  std::optional<tls_files> tls;    ///< of `listen`
  /// The level of a client by the SAN URI of its certificate; see fits() in base/text.hpp.
  std::map<std::string, api_level, std::less<>> certificates;
};

/// How a program names an application key: docs/protocol.md, Application keys.
enum class identity_form : std::uint8_t { readable, opaque };

/// Users and groups of this machine whose processes get keys.
struct key_readers {
  std::vector<std::string> users, groups;
};

/// What application keys are for.
struct key_purpose {
  std::uint32_t bytes = 32;
  identity_form identity = identity_form::readable;
  key_readers allow;
  std::vector<std::string> entities;  ///< Entity IDs, or prefixes that end in "*"; empty: all
};

/// Keys of programs, which follow from the EUKeys.
struct application_keys_config {
  path socket;
  milliseconds consumer_wait{2000};
  milliseconds overlap = seconds(60);  ///< for which a key that was replaced is still accepted; 0: not at all
  std::map<std::string, key_purpose, std::less<>> purposes;
};

struct audit_config {
  path file;  ///< after loading: empty only for a store in memory, for which nothing is recorded
};

/// Position of a key in its file, for an error that only the running role can detect.
struct key_origin {
  path file;
  mark at;
};

/// Not a setting: what the file says about limits.
struct limits_in_file {
  key_origin memory{};                        ///< of limits.memory, or of the nearest section around it
  std::set<std::string, std::less<>> keys{};  ///< that it sets, such as "limits.links"
};

struct server_limits {
  std::optional<memory_size>
      memory;  ///< of the process; none: the other limits alone (config/memory_budget.hpp)
  std::uint32_t connections = 4096;
  std::uint32_t requests_in_flight = 256;  ///< per connection
  std::uint32_t entities_live = 100000;    ///< assignment actors in memory
  std::uint32_t users_cached = 10000;
  std::uint32_t jobs = 262'144;  ///< pending requests and entries of reports
  std::uint32_t jobs_per_gateway = 1024;
  std::uint32_t jobs_per_user = 1024;  ///< with a right proof
  std::uint32_t jobs_per_entity = 16;
  std::uint32_t jobs_in_work = 512;       ///< further ones wait for their turn
  milliseconds wait = milliseconds(250);  ///< for the turn, as far as it can be foreseen
};

struct server_keys {
  std::uint32_t set_size = 32;
  milliseconds rekey = std::chrono::hours(24);
  /// not_after of a set = the time when the set was made + this.
  milliseconds lifetime = std::chrono::hours(24 * 90);
};

/// Several servers with the same users and devices.
struct server_cluster {
  std::optional<address> advertise;  ///< at which gateways reach this server
  std::vector<address> nodes;        ///< of all servers; this one may be among them
};

/// The answers of a manufacturer's service that stay in memory.
struct key_service_cache {
  std::uint32_t keys = 10'000;
  milliseconds keep = std::chrono::hours(1);
  std::uint32_t unknown = 10'000;
  milliseconds keep_unknown = std::chrono::minutes(1);
};

/// When a service that fails is left alone, and for how long.
struct key_service_breaker {
  std::uint32_t failures = 5;
  milliseconds pause = seconds(10);
};

/// A manufacturer's HTTPS service that answers with the Temporary Keys of its devices.
struct key_service_config {
  std::string name;
  std::vector<std::string> entities;  ///< as entity_range
  std::string url;                    ///< as https_url
  tls_files tls;
  milliseconds timeout = seconds(1);
  std::uint32_t connections = 4;
  key_service_cache cache;
  key_service_breaker breaker;
};

/// Where a file has the entry `i` of temporary_keys.services, with the '.' before its members.
inline std::string service_key(std::size_t i) {
  return "temporary_keys.services[" + std::to_string(i) + "].";
}

/// The sources of Temporary Keys besides the store.
struct temporary_keys_config {
  std::vector<key_service_config> services;
};

struct server_config {
  std::string name = "cpns-server";
  address listen{"127.0.0.1", 7443};
  tls_files tls;
  std::vector<std::string> gateway_uris{"urn:cpns:gw:*"};  ///< URIs, or prefixes that end in "*"
  store_config store;
  protector_config protector;
  server_limits limits;
  limits_in_file limits_origin{};
  server_keys keys;
  server_cluster cluster;
  key_release temporary_key_release = key_release::derived;
  bool require_presence = true;
  temporary_keys_config temporary_keys;
  milliseconds adopt_after = seconds(60);
  milliseconds idle_timeout = std::chrono::minutes(5);  ///< of a connection
  milliseconds probe = seconds(30);  ///< a connection that receives nothing for so long is probed
  milliseconds connection_lifetime = std::chrono::hours(24);
  milliseconds handshake_timeout = seconds(10);
  milliseconds entity_idle = seconds(30);  ///< an assignment actor without work ends after this time
  milliseconds drain = seconds(10);
  api_config api;
  audit_config audit;
  log_config log;
  path ready_file;  ///< empty: none
};

/// Position of a transport in its file, for errors that only its plugin can detect.
struct transport_origin {
  path file;
  mark at, plugin;
  std::map<std::string, mark> params;
};

/// One radio: a plugin, given by its name in the plugin folders or by its path, and its parameters.
struct transport_config {
  std::string name;
  std::string plugin;  ///< "tcp", or an absolute path ending in ".so"
  std::map<std::string, std::string> params;
  transport_origin origin{};  ///< not a setting
  isolation_kind isolation = isolation_kind::none;
  power_kind power = power_kind::full;
};

struct validation_config {
  approval policy = approval::automatic;
  std::vector<std::string> allow;  ///< Entity IDs, or prefixes that end in "*"
  std::vector<std::string> deny;
  std::optional<int> min_rssi;  ///< dBm
};

struct gateway_rekey {
  std::uint32_t jitter_percent = 10;
  std::uint32_t low_water = 8;
  std::optional<milliseconds> interval;  ///< overrides the server's rekey time
};

struct gateway_timers {
  milliseconds answer_timeout = milliseconds(1000);
  std::uint32_t retries = 5;
  milliseconds backoff_min = seconds(1);
  milliseconds backoff_max = seconds(300);
  milliseconds request_timeout = seconds(10);  ///< for an answer of the server
  milliseconds reconnect_min = milliseconds(200);
  milliseconds reconnect_max = seconds(30);
  milliseconds probe = seconds(30);  ///< a server connection that receives nothing for so long is probed
  /// A server that is silent for so long, with a request in hand, is left if another one is known.
  milliseconds node_timeout = milliseconds(1500);
};

struct gateway_limits {
  std::optional<memory_size> memory;  ///< as of server_limits
  std::uint32_t devices = 100000;
  std::uint32_t links = 8192;
  std::uint32_t requests_in_flight = 128;
};

struct gateway_config {
  std::string name;
  std::string user;  ///< CPNS User ID
  path
      user_password_file;  ///< read when it changes, to derive and store the ClientKey; may be left out afterwards
  std::vector<address> servers;
  std::string server_uri;  ///< the only SAN URI that the server's certificate may have; empty with `psk`
  std::optional<tls_files> tls;  ///< either this or `psk`
  std::optional<psk_config> psk;
  store_config store;
  protector_config protector;
  std::vector<path> plugin_dirs;
  std::vector<transport_config> transports;
  validation_config validation;
  gateway_rekey rekey;
  gateway_timers timers;
  gateway_limits limits;
  limits_in_file limits_origin{};
  std::optional<key_origin>
      links_origin{};  ///< not a setting: where the file sets limits.links; none: it does not
  std::uint32_t lowest_suite = 2;
  std::uint32_t amnesia_budget = 24;
  std::uint32_t healing_reserve = 4;
  std::optional<application_keys_config> application_keys;
  api_config api;
  audit_config audit;
  log_config log;
  path ready_file;
};

/// One device of the list `devices`.
struct pne_device {
  std::string entity;
  path temporary_key_file;
  path key_file;
};

struct pne_wake {
  std::optional<milliseconds> every;  ///< none: wakes only on command
  milliseconds sleep_for = seconds(5);
};

struct pne_limits {
  std::optional<memory_size> memory;  ///< as of server_limits
};

struct pne_config {
  std::vector<pne_device> devices;  ///< either these, or devices_file
  path devices_file;                ///< CSV or JSON Lines with many devices
  path keys_dir;                    ///< key files of the devices in devices_file
  std::vector<path> plugin_dirs;
  std::vector<transport_config> transports;
  chain_rule require_chain = chain_rule::normal;
  milliseconds unchained_window = std::chrono::minutes(10);
  std::optional<milliseconds> answer_window;  ///< none: always
  pne_wake wake;
  std::vector<std::uint32_t> suites{2, 1};  ///< in order of preference
  pne_limits limits;
  limits_in_file limits_origin{};
  protector_config protector;
  std::optional<application_keys_config> application_keys;
  api_config api;
  audit_config audit;
  log_config log;
  path ready_file;
};

/// NAME.check.yaml: the parameters with which the two roles of a radio plugin find each other when `cpns transport
/// check` tests it. docs/transport-check.md describes the values.
struct check_settings {
  std::map<std::string, std::string> both, central, peripheral;
  std::map<std::string, std::string> few_links;  ///< with these, the plugin declares a small max_links
  std::vector<std::string> refused;              ///< "name=value" that open must refuse
};

}  // namespace cpns::config
