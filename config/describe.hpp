#pragma once
// What every setting is: its YAML key, its sentence and its bounds, said once. `describe(v, struct)` calls
// v(key, member, sentence, rules) for each member in the order in which people read them; the loader, the
// JSON schema, the reference page and the comparison of two configurations are visitors of it. Defaults are
// those of schema.hpp.

#include <array>
#include <cstdint>
#include <limits>
#include <string_view>
#include <utility>

#include "config/schema.hpp"

namespace cpns::config {

/// What a text must look like, beyond being a text.
enum class form : std::uint8_t {
  any,
  name,     ///< 1 to 64 letters, digits, '.', '_' and '-'
  user,     ///< a CPNS User ID
  entity,   ///< an Entity ID
  pattern,  ///< an Entity ID, or the beginning of some, ending in '*'
  uri,      ///< what a certificate's SAN URI may be
  uris,     ///< such a URI, or the beginning of some, ending in '*'
  plugin,   ///< a name, or a path that ends in ".so" and is relative to the file
};

struct rules {
  bool required = false;
  std::int64_t min = 0;  ///< of a number, of the milliseconds of a duration, of the entries of a list
  std::int64_t max = std::numeric_limits<std::int64_t>::max();
  form text = form::any;
  std::string_view none = {};  ///< the word for an optional that has no value
  bool reload = false;         ///< SIGHUP makes a running role take it over
};

namespace bound {
inline constexpr std::int64_t second = 1000, minute = 60 * second, hour = 60 * minute, day = 24 * hour;
}

template <class E>
struct enum_words;
template <>
struct enum_words<role_kind> {
  static constexpr std::array<std::pair<role_kind, std::string_view>, 3> all{
      {{role_kind::server, "server"}, {role_kind::gateway, "gateway"}, {role_kind::pne, "pne"}}};
};
template <>
struct enum_words<store_kind> {
  static constexpr std::array<std::pair<store_kind, std::string_view>, 2> all{
      {{store_kind::rocksdb, "rocksdb"}, {store_kind::memory, "memory"}}};
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
  v("key", c.key,
    "PEM file with the private key. A file of a secret: mode 0600, or 0440 or 0640 where root owns it.",
    rules{.required = true});
  v("ca", c.ca, "PEM file with the authorities that may have signed the other side's certificate.",
    rules{.required = true});
}

template <class V>
void describe(V& v, store_config& c) {
  v("kind", c.kind,
    "Where the role keeps what must last. `memory` forgets everything at exit and is for trials.", rules{});
  v("path", c.path, "Folder of the store, made if it is missing. Required for `rocksdb`.", rules{});
  v("give_up_after", c.give_up_after,
    "A role whose disk takes no writes for this long ends with exit code 1; a full disk is waited for.",
    rules{.min = bound::second, .max = 365 * bound::day});
}

template <class V>
void describe(V& v, protector_config& c) {
  v("kind", c.kind,
    "What wraps the store's data key: a key `file`, or a `passphrase` that is read from a file.", rules{});
  v("file", c.file,
    "The file with the key-encryption key, or with the passphrase in its first line. A file of a secret, as "
    "`tls.key`.",
    rules{.required = true});
}

template <class V>
void describe(V& v, log_config& c) {
  v("format", c.format, "One line for each event, for people or for machines.", rules{.reload = true});
  v("level", c.level,
    "The least severe level that is written. Of debug, 20000 lines are written at once and 100 a second.",
    rules{.reload = true});
  v("components", c.components, "Levels of single components, by name, for example `link: debug`.",
    rules{.max = 64, .reload = true});
  v("file", c.file, "Where the log goes. Without it: standard error.", rules{.reload = true});
}

template <class V>
void describe(V& v, server_limits& c) {
  v("connections", c.connections, "Gateway connections at once; further ones wait to be accepted.",
    rules{.min = 1, .max = 1'000'000, .reload = true});
  v("requests_in_flight", c.requests_in_flight,
    "Unanswered requests on one connection; over it the gateway is told to wait.",
    rules{.min = 1, .max = 65'536, .reload = true});
  v("entities_live", c.entities_live,
    "Entities with work in hand; over it requests are answered `overloaded`.",
    rules{.min = 1, .max = 10'000'000, .reload = true});
  v("jobs", c.jobs,
    "Requests, and entries of reports, that are in hand at once; over it they are answered `overloaded`. At "
    "least `limits.jobs_per_gateway`.",
    rules{.min = 256, .max = 100'000'000, .reload = true});
  v("jobs_per_gateway", c.jobs_per_gateway, "The same of one gateway, over all of its connections.",
    rules{.min = 256, .max = 1'000'000, .reload = true});
  v("users_cached", c.users_cached, "User records kept in memory.", rules{.max = 10'000'000, .reload = true});
}

template <class V>
void describe(V& v, server_keys& c) {
  v("set_size", c.set_size, "EUKeys in one set.", rules{.min = 1, .max = 256, .reload = true});
  v("rekey", c.rekey, "How often a PNE gets its next key.",
    rules{.min = bound::second, .max = 365 * bound::day, .reload = true});
  v("lifetime", c.lifetime, "How long a set may be used after it was made (`not_after`). At least `rekey`.",
    rules{.min = bound::minute, .max = 3650 * bound::day, .reload = true});
}

template <class V>
void describe(V& v, server_config& c) {
  v("name", c.name, "What this server is called in logs.", rules{.text = form::name});
  v("listen", c.listen, "Where gateways connect. Port 0 lets the system choose; see `ready_file`.", rules{});
  v("tls", c.tls, "Certificates of the server link (TLS 1.3, both sides).", rules{.required = true});
  v("gateway_uris", c.gateway_uris,
    "SAN URIs of the certificates that are let in as gateways; `*` at the end stands for any rest. What is "
    "given here takes the place of the default. The server's own URI is never let in.",
    rules{.min = 1, .max = 10'000, .text = form::uris, .reload = true});
  v("store", c.store, "The server's database.", rules{});
  v("protector", c.protector, "What the database is sealed under.", rules{.required = true});
  v("limits", c.limits, "Bounds of the work in hand.", rules{});
  v("keys", c.keys, "The EUKeys that the server makes.", rules{});
  v("temporary_key_release", c.temporary_key_release,
    "What a gateway receives in step 8: a key `derived` for it and one generation, or TK' itself (`literal`, "
    "as the change "
    "request has it).",
    rules{});
  v("require_presence", c.require_presence,
    "Keys are released only when the device itself answered the gateway just now. An import may switch it "
    "off for a batch of "
    "devices; off here switches it off for all.",
    rules{});
  v("adopt_after", c.adopt_after,
    "How long a gateway that lost a device has before another one of the same user may take it over.",
    rules{.min = bound::second, .max = bound::day, .reload = true});
  v("idle_timeout", c.idle_timeout, "A connection without traffic is closed after this.",
    rules{.min = bound::second, .max = bound::day, .reload = true});
  v("probe", c.probe,
    "A connection on which nothing came for this long is probed (TCP keepalive); it ends when the gateway's "
    "machine does not answer within half of this, or does not acknowledge data within this.",
    rules{.min = bound::second, .max = bound::hour, .reload = true});
  v("connection_lifetime", c.connection_lifetime, "A connection is renewed after this at the latest.",
    rules{.min = bound::minute, .max = bound::day, .reload = true});
  v("handshake_timeout", c.handshake_timeout, "How long a TLS handshake may take.",
    rules{.min = 100, .max = bound::minute, .reload = true});
  v("entity_idle", c.entity_idle, "How long an entity without work stays in memory.",
    rules{.min = bound::second, .max = bound::day, .reload = true});
  v("drain", c.drain, "How long a stopping server goes on answering.",
    rules{.max = 10 * bound::minute, .reload = true});
  v("log", c.log, "The log.", rules{});
  v("ready_file", c.ready_file,
    "Written when the server accepts connections: the real address in a line `host:port`, then `pid N`. "
    "Locked by "
    "the process while it runs, removed when it ends and, after a crash, before the next start does anything "
    "else.",
    rules{});
}

template <class V>
void describe(V& v, transport_config& c) {
  v("name", c.name, "What this transport is called in logs and commands.",
    rules{.required = true, .text = form::name});
  v("plugin", c.plugin, "A plugin's name, looked up in `plugin_dirs`, or the path of a `.so` file.",
    rules{.required = true, .text = form::plugin});
  v("params", c.params, "What the plugin is told; its own documentation lists the keys.", rules{.max = 64});
  v("isolation", c.isolation,
    "Where the plugin runs: in this process (`none`), or in a child `process` that is started again when it "
    "crashes or hangs, while all else goes on.",
    rules{});
  v("power", c.power,
    "`saving` lets a radio find and answer PNEs some seconds later, where that saves energy: `ble` looks for "
    "them "
    "a quarter of the time, `tcp` announces itself more rarely.",
    rules{});
}

template <class V>
void describe(V& v, validation_config& c) {
  v("policy", c.policy,
    "Who says yes to a new device (step 3): nobody need (`auto`), the user (`ask`), or only `allow` "
    "(`list`).",
    rules{.reload = true});
  v("allow", c.allow, "Entity IDs that are accepted without asking; `*` at the end stands for any rest.",
    rules{.max = 100'000, .text = form::pattern, .reload = true});
  v("deny", c.deny, "Entity IDs that are never accepted. Stronger than `allow`.",
    rules{.max = 100'000, .text = form::pattern, .reload = true});
  v("min_rssi", c.min_rssi,
    "New devices with a weaker signal (dBm) are left alone, on radios that report one.",
    rules{.min = -127, .max = 20, .none = "none", .reload = true});
}

template <class V>
void describe(V& v, gateway_rekey& c) {
  v("jitter_percent", c.jitter_percent, "How far the time of a key update is moved at random.",
    rules{.max = 50, .reload = true});
  v("low_water", c.low_water, "A set is refilled when so few unused keys are left.",
    rules{.min = 1, .max = 255, .reload = true});
  v("interval", c.interval, "How often a PNE gets its next key, instead of what the server says.",
    rules{.min = bound::second, .max = 365 * bound::day, .none = "server", .reload = true});
}

template <class V>
void describe(V& v, gateway_timers& c) {
  v("answer_timeout", c.answer_timeout,
    "How long a PNE's answer is waited for before a message is sent again; times `timers.retries` + 1 it "
    "is 2s at least.",
    rules{.min = 50, .max = bound::minute, .reload = true});
  v("retries", c.retries, "How often a message is sent again before the link backs off.",
    rules{.max = 100, .reload = true});
  v("backoff_min", c.backoff_min, "The first pause of a link that failed; it doubles each time.",
    rules{.min = 10, .max = bound::hour, .reload = true});
  v("backoff_max", c.backoff_max, "The longest pause of a link.",
    rules{.min = 10, .max = bound::day, .reload = true});
  v("request_timeout", c.request_timeout,
    "How long the server's answer to a request is waited for. Then the request is sent once more, and after "
    "the same time again it fails alone; a connection on which something waits and nothing at all came for "
    "twice this is given up for the next server.",
    rules{.min = 100, .max = 10 * bound::minute});
  v("reconnect_min", c.reconnect_min,
    "The first pause before connecting to a server again; it doubles each time.",
    rules{.min = 10, .max = bound::hour});
  v("reconnect_max", c.reconnect_max, "The longest pause before connecting again.",
    rules{.min = 10, .max = bound::day});
  v("probe", c.probe,
    "A connection to a server on which nothing came for this long is probed (TCP keepalive); it ends when "
    "the server's machine does not answer within half of this, or does not acknowledge data within this.",
    rules{.min = bound::second, .max = bound::hour});
}

template <class V>
void describe(V& v, gateway_limits& c) {
  v("devices", c.devices,
    "Devices in memory: those in reach, and those that owe the server something. Others make room; records "
    "stay.",
    rules{.min = 1, .max = 10'000'000, .reload = true});
  v("links", c.links,
    "Radio links at once, over all transports; those that proved nothing take half of them at most.",
    rules{.min = 1, .max = 1'000'000, .reload = true});
  v("requests_in_flight", c.requests_in_flight, "Unanswered requests to the server.",
    rules{.min = 1, .max = 65'536});
}

template <class V>
void describe(V& v, gateway_config& c) {
  v("name", c.name, "What this gateway is called in logs.", rules{.required = true, .text = form::name});
  v("user", c.user, "The CPNS User ID of whose devices these are.",
    rules{.required = true, .text = form::user});
  v("user_password_file", c.user_password_file,
    "File with the user's password in its first line, UTF-8. A file of a secret, as `tls.key`. Read once, at "
    "enrolment; remove it afterwards.",
    rules{});
  v("servers", c.servers,
    "CPNS Servers, `host:port`, tried in turn. The gateway's name decides where it begins, so that many "
    "gateways use all of them; each address of a host name is tried.",
    rules{.required = true, .min = 1, .max = 16});
  v("server_uri", c.server_uri,
    "The SAN URI that the server's certificate must have, for example `urn:cpns:server:main`.",
    rules{.required = true, .text = form::uri});
  v("tls", c.tls, "Certificates of the server link (TLS 1.3, both sides).", rules{.required = true});
  v("store", c.store, "The gateway's key store.", rules{});
  v("protector", c.protector, "What the key store is sealed under.", rules{.required = true});
  v("plugin_dirs", c.plugin_dirs,
    "Folders in which plugins are looked up by name, before those that come with the program.",
    rules{.max = 16});
  v("transports", c.transports, "The radios.", rules{.required = true, .min = 1, .max = 32});
  v("validation", c.validation, "Which new devices are accepted (step 3).", rules{});
  v("rekey", c.rekey, "When keys are renewed.", rules{});
  v("timers", c.timers, "How long is waited, and how often tried.", rules{});
  v("limits", c.limits, "Bounds of the work in hand.", rules{});
  v("lowest_suite", c.lowest_suite,
    "The weakest delivery suite that is accepted: 2 has forward secrecy (X25519), 1 has not.",
    rules{.min = 1, .max = 2, .reload = true});
  v("amnesia_budget", c.amnesia_budget,
    "Deliveries a day to a device that says it lost its key, before the server is asked to check the device.",
    rules{.max = 1000, .reload = true});
  v("healing_reserve", c.healing_reserve,
    "Unused keys that are never spent on such deliveries. Less than `rekey.low_water`.",
    rules{.max = 254, .reload = true});
  v("control_socket", c.control_socket, "Unix socket for `cpns pnes`. Without it there is none.", rules{});
  v("log", c.log, "The log.", rules{});
  v("ready_file", c.ready_file,
    "Written when the transports are open: what is ready in one line, then `pid N`. Locked by the process "
    "while it "
    "runs, removed when it ends and, after a crash, before the next start does anything else.",
    rules{});
}

template <class V>
void describe(V& v, pne_device& c) {
  v("entity", c.entity, "The Entity ID.", rules{.required = true, .text = form::entity});
  v("temporary_key_file", c.temporary_key_file,
    "File with the Temporary Key in one line, as `cpns device import` reads one. A file of a secret: mode "
    "0600, "
    "or 0440 or 0640 where root owns it.",
    rules{.required = true});
  v("key_file", c.key_file, "Where the device keeps its keys, sealed.", rules{.required = true});
}

template <class V>
void describe(V& v, pne_wake& c) {
  v("every", c.every, "The devices sleep and wake up again in this rhythm. `never`: by command alone.",
    rules{.min = bound::second, .max = 30 * bound::day, .none = "never"});
  v("sleep_for", c.sleep_for, "How long they sleep.", rules{.min = 1, .max = bound::day});
}

template <class V>
void describe(V& v, pne_config& c) {
  v("devices", c.devices, "The devices in this process, one by one. Either these or `devices_file`.",
    rules{.max = 10'000});
  v("devices_file", c.devices_file,
    "CSV or JSON Lines with many devices, as `cpns device import` reads them. A file of a secret: mode 0600, "
    "or "
    "0440 or 0640 where root owns it.",
    rules{});
  v("keys_dir", c.keys_dir, "Folder for the key files of the devices in `devices_file`.", rules{});
  v("plugin_dirs", c.plugin_dirs,
    "Folders in which plugins are looked up by name, before those that come with the program.",
    rules{.max = 16});
  v("transports", c.transports, "The radios.", rules{.required = true, .min = 1, .max = 32});
  v("require_chain", c.require_chain,
    "`strict`: a device that holds a key takes only a next one that needs the present one too. `normal`: "
    "within "
    "`unchained_window` also another of a newer generation.",
    rules{});
  v("unchained_window", c.unchained_window,
    "How long after power-on, wake-up or a button a device takes an unchained key.",
    rules{.max = bound::day});
  v("answer_window", c.answer_window,
    "How long after power-on, wake-up or a button a device without a key answers gateways.",
    rules{.min = bound::second, .max = 30 * bound::day, .none = "always"});
  v("suites", c.suites, "Delivery suites on offer, the preferred one first.", rules{.min = 1, .max = 2});
  v("wake", c.wake, "Sleep and wake-up.", rules{});
  v("protector", c.protector, "What the key files are sealed under.", rules{.required = true});
  v("control_socket", c.control_socket, "Unix socket for commands. Without it there is none.", rules{});
  v("log", c.log, "The log.", rules{});
  v("ready_file", c.ready_file,
    "Written when the transports are open: what is ready in one line, then `pid N`. Locked by the process "
    "while it "
    "runs, removed when it ends and, after a crash, before the next start does anything else.",
    rules{});
}

}  // namespace cpns::config
