#pragma once
// The YAML key, description and bounds of every setting, in one place. `describe(v, struct)` calls
// v(key, member, sentence, rules) for each member in reading order. The loader, the JSON schema, the reference
// page and the comparison of two configurations are such visitors. schema.hpp holds the defaults.

#include <array>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include "config/schema.hpp"

namespace cpns::config {

/// Syntax of a text setting.
enum class form : std::uint8_t {
  any,
  name,      ///< 1 to 64 letters, digits, '.', '_' and '-'
  group,     ///< the name of a group of the machine, of the same characters
  account,   ///< the name of a user of the machine, of the same characters
  purpose,   ///< the name of a purpose of application keys
  user,      ///< a CPNS User ID
  entity,    ///< an Entity ID
  pattern,   ///< an Entity ID, or a prefix of Entity IDs and '*'
  uri,       ///< a SAN URI of a certificate
  uris,      ///< a SAN URI, or a prefix of SAN URIs and '*'
  identity,  ///< the name of a gateway with a pre-shared key
  range,     ///< a prefix of Entity IDs and '*', or FROM..TO (base/entity_range.hpp)
  https,     ///< the URL of a service
  database,  ///< where a database is, or a name in it; a path or an address, too
  plugin,    ///< a name, or a path that ends in ".so" and is relative to the file
};

struct rules {
  bool required = false;
  std::int64_t min = 0;  ///< of a number, of the milliseconds of a duration, of the entries of a list
  std::int64_t max = std::numeric_limits<std::int64_t>::max();
  form text = form::any;       ///< of a map: that of its keys
  std::string_view none = {};  ///< the word for an optional that has no value
  bool reload = false;         ///< a running role applies it at SIGHUP
};

namespace bound {
inline constexpr std::int64_t mebibyte = 1 << 20, gibibyte = 1 << 30;
inline constexpr std::int64_t second = 1000, minute = 60 * second, hour = 60 * minute, day = 24 * hour;
}  // namespace bound

template <class E>
struct enum_words;
template <>
struct enum_words<role_kind> {
  static constexpr std::array<std::pair<role_kind, std::string_view>, 3> all{
      {{role_kind::server, "server"}, {role_kind::gateway, "gateway"}, {role_kind::pne, "pne"}}};
};
template <>
struct enum_words<store_kind> {
  static constexpr std::array<std::pair<store_kind, std::string_view>, 3> all{
      {{store_kind::rocksdb, "rocksdb"},
       {store_kind::memory, "memory"},
       {store_kind::postgresql, "postgresql"}}};
};
template <>
struct enum_words<database_tls> {
  static constexpr std::array<std::pair<database_tls, std::string_view>, 4> all{
      {{database_tls::disable, "disable"},
       {database_tls::require, "require"},
       {database_tls::verify_ca, "verify-ca"},
       {database_tls::verify_full, "verify-full"}}};
};
template <>
struct enum_words<database_statements> {
  static constexpr std::array<std::pair<database_statements, std::string_view>, 2> all{
      {{database_statements::batch, "batch"}, {database_statements::portable, "portable"}}};
};
template <>
struct enum_words<protector_kind> {
  static constexpr std::array<std::pair<protector_kind, std::string_view>, 2> all{
      {{protector_kind::file, "file"}, {protector_kind::passphrase, "passphrase"}}};
};
template <>
struct enum_words<key_release> {
  static constexpr std::array<std::pair<key_release, std::string_view>, 2> all{
      {{key_release::derived, "derived"}, {key_release::literal, "literal"}}};
};
template <>
struct enum_words<approval> {
  static constexpr std::array<std::pair<approval, std::string_view>, 3> all{
      {{approval::automatic, "auto"}, {approval::ask, "ask"}, {approval::list, "list"}}};
};
template <>
struct enum_words<chain_rule> {
  static constexpr std::array<std::pair<chain_rule, std::string_view>, 2> all{
      {{chain_rule::normal, "normal"}, {chain_rule::strict, "strict"}}};
};
template <>
struct enum_words<isolation_kind> {
  static constexpr std::array<std::pair<isolation_kind, std::string_view>, 2> all{
      {{isolation_kind::none, "none"}, {isolation_kind::process, "process"}}};
};
template <>
struct enum_words<power_kind> {
  static constexpr std::array<std::pair<power_kind, std::string_view>, 2> all{
      {{power_kind::full, "full"}, {power_kind::saving, "saving"}}};
};
template <>
struct enum_words<api_level> {
  static constexpr std::array<std::pair<api_level, std::string_view>, 3> all{
      {{api_level::viewer, "viewer"}, {api_level::operator_, "operator"}, {api_level::admin, "admin"}}};
};
template <>
struct enum_words<log::format> {
  static constexpr std::array<std::pair<log::format, std::string_view>, 2> all{
      {{log::format::text, "text"}, {log::format::json, "json"}}};
};
template <>
struct enum_words<log::level> {
  static constexpr std::array<std::pair<log::level, std::string_view>, 5> all{{{log::level::debug, "debug"},
                                                                               {log::level::info, "info"},
                                                                               {log::level::warn, "warn"},
                                                                               {log::level::error, "error"},
                                                                               {log::level::off, "off"}}};
};

/// The YAML word of an enumerator.
template <class E>
constexpr std::string_view word_of(E value) {
  for (const auto& [e, word] : enum_words<E>::all)
    if (e == value) return word;
  return "?";
}

template <class V>
void describe(V& v, tls_files& c) {
  v("certificate", c.certificate, "PEM file with the certificate of this role, then its intermediates.",
    rules{.required = true});
  v("key", c.key, "PEM file with the private key. Secret file: mode 0600, or 0440 or 0640 if root owns it.",
    rules{.required = true});
  v("ca", c.ca, "PEM file with the authorities that may sign the other side's certificate.",
    rules{.required = true});
  v("crl", c.crl,
    "PEM file with the revocation lists (CRLs) of these authorities. A certificate in a list is refused, and "
    "so is one whose authority has no list in the file. Without this key no certificate counts as revoked. "
    "Read again once a minute and at SIGHUP.",
    rules{});
}

template <class V>
void describe(V& v, protector_config& c) {
  v("kind", c.kind,
    "Source of the key that wraps the store's data key: a key `file`, or a `passphrase` that is read from a "
    "file.",
    rules{});
  v("file", c.file,
    "File with the key-encryption key, or with the passphrase in its first line. Secret file, see `tls.key`.",
    rules{.required = true});
  v("new_keys", c.new_keys,
    "Folder in which an administrator may name a new key over the API, for `cpns store rewrap` of a running "
    "role; keep nothing else in it. Without it: the folder of `protector.file`.",
    rules{});
}

template <class V>
void describe(V& v, log_config& c) {
  v("format", c.format, "Format of the log: one line per event, as `text` for people or `json` for programs.",
    rules{.reload = true});
  v("level", c.level,
    "Least severe level that is written. Debug lines are limited to a burst of 20000, then 100 per second.",
    rules{.reload = true});
  static const std::string of_components =
      "Levels of single components, for example `store: debug`. Components: " + log::component_list() + ".";
  v("components", c.components, of_components, rules{.max = 64, .reload = true});
  v("file", c.file,
    "File to which the log is written, created with its folders. If its name is moved to another file or "
    "removed (logrotate), the role opens the path again within a second of its next line. Without it: "
    "standard error; under systemd each line then begins with the priority of its level, which the journal "
    "takes for "
    "`journalctl -p` and does not show.",
    rules{.reload = true});
}

template <class V>
void describe(V& v, api_levels& c) {
  const rules list{.max = 100, .text = form::group, .reload = true};
  v("viewer", c.viewer, "May read everything but secrets, which nobody reads.", list);
  v("operator", c.operator_,
    "May also work with devices (approve, update, put to sleep, wake), and change log levels.", list);
  v("admin", c.admin, "May do everything.", list);
}

template <class V>
void describe(V& v, api_config& c) {
  v("socket", c.socket,
    "Unix socket of the API. Default: the path of this file, with `.sock` in place of its extension. Without "
    "`groups` only root and the user of the role can connect; with them every user can, and is refused with "
    "a reason.",
    rules{.none = "none"});
  v("groups", c.groups,
    "Groups of this machine whose processes may use the socket. Root and the user of the role are admins.",
    rules{});
  v("probes", c.probes,
    "Loopback address of a plain port that answers `/health/live`, `/health/ready` and `/metrics` alone, to "
    "anybody on this machine.",
    rules{.none = "none"});
  v("listen", c.listen,
    "Address of a TCP port for clients on other machines (TLS 1.3, with client certificates). It needs "
    "`api.tls` and `api.certificates`. With port 0 the system chooses; `/v1/status` shows it.",
    rules{.none = "none"});
  v("tls", c.tls,
    "Files of that port: a certificate with `serverAuth`, whose host names and addresses clients check, and "
    "the authorities that sign the certificates of the clients. Read again once a minute and at SIGHUP.",
    rules{});
  v("certificates", c.certificates,
    "SAN URIs of client certificates with their levels, for example `urn:cpns:admin:anna: admin`; `*` at the "
    "end matches any rest. If several match, the longest one counts. A gateway's certificate has no level.",
    rules{.max = 1000, .text = form::uris, .reload = true});
}

template <class V>
void describe(V& v, audit_config& c) {
  v("file", c.file,
    "File of the audit trail: who changed what, one JSON object per line (docs/audit.md). Created with mode "
    "0600 in a folder that exists; each role needs a file of its own. Without it: beside the store, as "
    "`store.path` (for a PNE `keys_dir`, or the first `key_file`) with `.audit.jsonl` at the end. For a "
    "store in memory: none, and nothing is recorded.",
    rules{});
}

/// The same for each role.
inline constexpr rules memory_rules{
    .min = 32 * bound::mebibyte, .max = 1024 * bound::gibibyte, .none = "none"};

template <class V>
void describe(V& v, server_limits& c) {
  v("memory", c.memory,
    "Memory of the process. It sets the caches and buffers of the store, and the bytes that connections may "
    "hold together; and `limits.connections` and `limits.entities_live`, if they are not set. "
    "Over them gateways are answered `overloaded`, or not read. The log says the parts at the start. `none`: "
    "the other limits alone.",
    memory_rules);
  v("connections", c.connections, "Concurrent gateway connections; further ones wait to be accepted.",
    rules{.min = 1, .max = 1'000'000, .reload = true});
  v("requests_in_flight", c.requests_in_flight,
    "Unanswered requests per connection; the server reads further ones when it has answered some.",
    rules{.min = 1, .max = 65'536, .reload = true});
  v("entities_live", c.entities_live,
    "Entities with pending work; requests for further ones are answered `overloaded`.",
    rules{.min = 1, .max = 10'000'000, .reload = true});
  v("jobs", c.jobs,
    "Pending requests and report entries; further ones are answered `overloaded`. At least "
    "`limits.jobs_per_gateway`.",
    rules{.min = 256, .max = 100'000'000, .reload = true});
  v("jobs_per_gateway", c.jobs_per_gateway, "The same per gateway, over all of its connections.",
    rules{.min = 256, .max = 1'000'000, .reload = true});
  v("jobs_per_user", c.jobs_per_user, "Pending requests with a right proof per user, over all gateways.",
    rules{.min = 16, .max = 1'000'000, .reload = true});
  v("jobs_per_entity", c.jobs_per_entity,
    "Pending requests and report entries per Entity ID. A gateway has one; repetitions and other gateways "
    "add some.",
    rules{.min = 9, .max = 1024, .reload = true});
  v("jobs_in_work", c.jobs_in_work,
    "Requests that are worked on at a time. Others wait, and are taken from each gateway in turn.",
    rules{.min = 16, .max = 100'000, .reload = true});
  v("wait", c.wait,
    "A request that would wait for its turn for longer, at the rate at which requests are answered, is "
    "answered "
    "`overloaded` at once.",
    rules{.min = 10, .max = 1000, .reload = true});
  v("users_cached", c.users_cached, "User records kept in memory.", rules{.max = 10'000'000, .reload = true});
}

template <class V>
void describe(V& v, server_keys& c) {
  v("set_size", c.set_size, "EUKeys per set.", rules{.min = 1, .max = 256, .reload = true});
  v("rekey", c.rekey, "Interval at which a PNE receives its next key.",
    rules{.min = bound::second, .max = 365 * bound::day, .reload = true});
  v("lifetime", c.lifetime, "Validity of a set after its generation (`not_after`). At least `rekey`.",
    rules{.min = bound::minute, .max = 3650 * bound::day, .reload = true});
}

template <class V>
void describe(V& v, server_config& c) {
  v("name", c.name, "Name of this server in logs.", rules{.text = form::name});
  v("listen", c.listen,
    "Address at which gateways connect. With port 0 the system chooses; see `ready_file`.", rules{});
  v("tls", c.tls, "Certificates of the server link (TLS 1.3, both sides).", rules{.required = true});
  v("gateway_uris", c.gateway_uris,
    "SAN URIs of the certificates that are accepted as gateways; `*` at the end matches any rest. Replaces "
    "the default. The server's own URI is never accepted.",
    rules{.min = 1, .max = 10'000, .text = form::uris, .reload = true});
  v("store", c.store, "The server's database.", rules{});
  v("protector", c.protector, "Protects the key that encrypts the database.", rules{.required = true});
  v("limits", c.limits, "Limits on pending work.", rules{});
  v("keys", c.keys, "The EUKeys that the server generates.", rules{});
  v("cluster", c.cluster, "The servers that gateways may use in place of this one.", rules{});
  v("temporary_key_release", c.temporary_key_release,
    "The key that a gateway receives in step 8: `derived` for one gateway and one generation, or TK' itself "
    "(`literal`, as in the change request).",
    rules{});
  v("require_presence", c.require_presence,
    "Release keys only if the device itself has just answered the gateway. An import may switch this off for "
    "a batch of devices; `false` here switches it off for all imported devices. Devices that only a batch "
    "with "
    "a master key names always have to answer.",
    rules{});
  v("temporary_keys", c.temporary_keys,
    "Sources of Temporary Keys besides the imported devices and the batches of the store.", rules{});
  v("adopt_after", c.adopt_after,
    "Waiting time reported to a gateway that asks for a device held by another gateway of the same user.",
    rules{.min = bound::second, .max = bound::day, .reload = true});
  v("idle_timeout", c.idle_timeout, "A connection without traffic is closed after this time.",
    rules{.min = bound::second, .max = bound::day, .reload = true});
  v("probe", c.probe,
    "A connection that receives nothing for half of this time is probed (TCP keepalive). It is closed when "
    "nothing came from "
    "the gateway's machine, or data was not acknowledged, for all of this time (at least 2s).",
    rules{.min = bound::second, .max = bound::hour, .reload = true});
  v("connection_lifetime", c.connection_lifetime, "A connection is renewed after this at the latest.",
    rules{.min = bound::minute, .max = bound::day, .reload = true});
  v("handshake_timeout", c.handshake_timeout, "Time limit for a TLS handshake.",
    rules{.min = 100, .max = bound::minute, .reload = true});
  v("entity_idle", c.entity_idle, "An entity without work is removed from memory after this time.",
    rules{.min = bound::second, .max = bound::day, .reload = true});
  v("drain", c.drain,
    "How long a server that is stopping, or that `cpns server drain` takes out of service, still answers "
    "requests. Its "
    "gateways are asked to go to other servers within three quarters of this time.",
    rules{.max = 10 * bound::minute, .reload = true});
  v("api", c.api, "The HTTP API: status, health, events, log levels (docs/api.md).", rules{});
  v("audit", c.audit, "The audit trail of changes by people and programs.", rules{});
  v("log", c.log, "The log.", rules{});
  v("ready_file", c.ready_file,
    "Written when the server accepts connections: the real address in one line `host:port`, then `pid N`. "
    "Locked by the process while it runs. Removed when the process ends or, after a crash, at the very "
    "beginning of the next start.",
    rules{});
}

template <class V>
void describe(V& v, transport_config& c) {
  v("name", c.name, "Name of this transport in logs and commands.",
    rules{.required = true, .text = form::name});
  v("plugin", c.plugin, "Name of a plugin, which is looked up in `plugin_dirs`, or path of a `.so` file.",
    rules{.required = true, .text = form::plugin});
  v("params", c.params, "Parameters of the plugin; its own documentation lists the keys.", rules{.max = 64});
  v("isolation", c.isolation,
    "Where the plugin runs: in this process (`none`), or in a child `process` that is restarted when it "
    "crashes or hangs, without effect on the rest of the role.",
    rules{});
  v("power", c.power,
    "`saving` lets a radio find and answer PNEs some seconds later where that saves energy: `ble` scans a "
    "quarter of the time, `tcp` announces itself less often.",
    rules{});
}

template <class V>
void describe(V& v, validation_config& c) {
  v("policy", c.policy,
    "Approval of new devices (step 3): all are accepted (`auto`), the user is asked (`ask`), or only `allow` "
    "is accepted (`list`).",
    rules{.reload = true});
  v("allow", c.allow, "Entity IDs that are accepted without asking; `*` at the end matches any rest.",
    rules{.max = 100'000, .text = form::pattern, .reload = true});
  v("deny", c.deny, "Entity IDs that are never accepted. Takes precedence over `allow`.",
    rules{.max = 100'000, .text = form::pattern, .reload = true});
  v("min_rssi", c.min_rssi,
    "New devices with a weaker signal (dBm) are ignored, on radios that report the signal.",
    rules{.min = -127, .max = 20, .none = "none", .reload = true});
}

template <class V>
void describe(V& v, gateway_rekey& c) {
  v("jitter_percent", c.jitter_percent,
    "A key update is moved earlier at random by up to this percentage of its interval.",
    rules{.max = 50, .reload = true});
  v("low_water", c.low_water, "A set is refilled when it has no more than this number of unused keys.",
    rules{.min = 1, .max = 255, .reload = true});
  v("interval", c.interval, "Interval at which a PNE receives its next key; overrides the server's.",
    rules{.min = bound::second, .max = 365 * bound::day, .none = "server", .reload = true});
}

template <class V>
void describe(V& v, gateway_limits& c) {
  v("memory", c.memory,
    "Memory of the process. It sets the caches and buffers of the store and the queues of radios and "
    "devices; "
    "and `limits.devices` and `limits.links`, if they are not set. Messages over them are dropped and "
    "counted. "
    "The log says the parts at the start. `none`: the other limits alone.",
    memory_rules);
  v("devices", c.devices,
    "Devices in memory: those in reach, and those with pending reports to the server. Others are evicted; "
    "their records stay.",
    rules{.min = 1, .max = 10'000'000, .reload = true});
  v("links", c.links,
    "Concurrent radio links over all transports; unverified ones may take at most half of them. If it is "
    "set, the radios "
    "must hold so many together.",
    rules{.min = 1, .max = 1'000'000, .reload = true});
  v("requests_in_flight", c.requests_in_flight, "Unanswered requests to the server.",
    rules{.min = 1, .max = 65'536});
}

template <class V>
void describe(V& v, pne_device& c) {
  v("entity", c.entity, "The Entity ID.", rules{.required = true, .text = form::entity});
  v("temporary_key_file", c.temporary_key_file,
    "File with the Temporary Key in one line, in the form that `cpns device import` reads. Secret file: mode "
    "0600, or 0440 or 0640 if root owns it.",
    rules{.required = true});
  v("key_file", c.key_file, "File in which the device stores its keys, sealed.", rules{.required = true});
}

template <class V>
void describe(V& v, pne_wake& c) {
  v("every", c.every,
    "Interval at which the devices go to sleep and wake up again. `never`: only on command.",
    rules{.min = bound::second, .max = 30 * bound::day, .none = "never"});
  v("sleep_for", c.sleep_for, "How long they sleep.", rules{.min = 1, .max = bound::day});
}

template <class V>
void describe(V& v, pne_limits& c) {
  v("memory", c.memory,
    "Memory of the process. It sets the caches and buffers of the store and the queues of radios and "
    "devices; "
    "half of what it has beside the program is for the devices. Messages over them are dropped and counted. "
    "The log says the parts at the start. `none`: fixed queues.",
    memory_rules);
}

template <class V>
void describe(V& v, pne_config& c) {
  v("devices", c.devices, "The devices in this process, one by one. Either these or `devices_file`.",
    rules{.max = 10'000});
  v("devices_file", c.devices_file,
    "CSV or JSON Lines with many devices, in the form that `cpns device import` reads. Secret file: mode "
    "0600, or 0440 or 0640 if root owns it.",
    rules{});
  v("keys_dir", c.keys_dir,
    "Folder for the keys of the devices in `devices_file`, in one store with a row for each of them.",
    rules{});
  v("plugin_dirs", c.plugin_dirs,
    "Folders in which plugins are looked up by name, in this order. Without it: those in the environment "
    "variable `CPNS_PLUGIN_PATH`, then the program's own folder of plugins.",
    rules{.max = 16});
  v("transports", c.transports, "The radios.", rules{.required = true, .min = 1, .max = 32});
  v("require_chain", c.require_chain,
    "`strict`: a device that holds a key accepts a new one only if the delivery also needs the current key. "
    "`normal`: within `unchained_window` it also accepts an unchained key of a newer generation.",
    rules{});
  v("unchained_window", c.unchained_window,
    "How long after power-on, wake-up or a button press a device accepts an unchained key.",
    rules{.max = bound::day});
  v("answer_window", c.answer_window,
    "How long after power-on, wake-up or a button press a device without a key answers gateways.",
    rules{.min = bound::second, .max = 30 * bound::day, .none = "always"});
  v("suites", c.suites, "Delivery suites on offer, in order of preference.", rules{.min = 1, .max = 2});
  v("limits", c.limits, "Limits of the process.", rules{});
  v("wake", c.wake, "Sleep and wake-up.", rules{});
  v("protector", c.protector, "Protects the key that encrypts the keys of the devices.",
    rules{.required = true});
  v("application_keys", c.application_keys,
    "Keys for programs on both sides, such as a broker and its clients, which follow from the EUKeys "
    "(docs/application-keys.md). Without it no program gets a key.",
    rules{});
  v("api", c.api, "The HTTP API, which the commands of `cpns pne` use, too (docs/api.md).", rules{});
  v("audit", c.audit, "The audit trail of changes by people and programs.", rules{});
  v("log", c.log, "The log.", rules{});
  v("ready_file", c.ready_file,
    "Written when the transports are open: the number of devices in one line, then `pid N`. Locked by the "
    "process while it runs. Removed when the process ends or, after a crash, at the very beginning of the "
    "next start.",
    rules{});
}

template <class V>
void describe(V& v, check_settings& c) {
  v("both", c.both, "Parameters of both roles.", rules{});
  v("central", c.central, "Parameters of the central alone.", rules{});
  v("peripheral", c.peripheral, "Parameters of the peripheral alone.", rules{});
  v("few_links", c.few_links, "Parameters with which the plugin declares few links.", rules{});
  v("refused", c.refused, "Parameters, as name=value, that open must refuse.", rules{});
}

/// JSON Schema (draft 2020-12) of one role's file, indented, with a newline at the end.
std::string json_schema(role_kind role);
std::string reference_markdown();  ///< the whole of docs/config.md

}  // namespace cpns::config

#include "config/describe_application_keys.hpp"  // needs the above
#include "config/describe_gateway.hpp"
#include "config/describe_keys.hpp"
#include "config/describe_link.hpp"
#include "config/describe_store.hpp"
