#pragma once
// The settings of a gateway; the end of config/describe.hpp, which includes this file.

#include "config/describe.hpp"

namespace cpns::config {

template <class V>
void describe(V& v, psk_config& c) {
  v("identity", c.identity,
    "Name of this gateway at the server: `urn:cpns:psk:` and 1 to 64 letters, digits, '.', '_' and '-'.",
    rules{.required = true, .text = form::identity});
  v("key_file", c.key_file,
    "File with the key, which `cpns gateways key` writes on the server: 64 to 128 lower-case hexadecimal "
    "digits in one line. Secret file: mode 0600, or 0440 or 0640 if root owns it. Read for each connection.",
    rules{.required = true});
}

template <class V>
void describe(V& v, gateway_config& c) {
  v("name", c.name, "Name of this gateway in logs.", rules{.required = true, .text = form::name});
  v("user", c.user, "CPNS User ID of the owner of the devices.", rules{.required = true, .text = form::user});
  v("user_password_file", c.user_password_file,
    "File with the user's password in its first line, UTF-8. Secret file, see `tls.key`. Read at enrolment; "
    "remove it afterwards. When it is written again, the gateway proves the new password to the server, and "
    "then uses it; looked at once a minute and at SIGHUP.",
    rules{.reload = true});
  v("servers", c.servers,
    "CPNS Servers, `host:port`, tried in turn, in an order that follows from the name of the gateway in step "
    "0, "
    "so that many gateways spread over all of them. Each address of a host name is tried. A server may name "
    "further ones (`cluster.nodes`), which never replace these.",
    rules{.required = true, .min = 1, .max = 16});
  v("server_uri", c.server_uri,
    "SAN URI that the server's certificate must have, for example `urn:cpns:server:main`. Required with "
    "`tls`, refused with `psk`.",
    rules{.text = form::uri});
  v("tls", c.tls, "Certificates of the server link (TLS 1.3, both sides). Either these or `psk`.", rules{});
  v("psk", c.psk, "Pre-shared key of the server link, for a gateway without a certificate.", rules{});
  v("store", c.store, "The gateway's key store.", rules{});
  v("protector", c.protector, "Protects the key that encrypts the key store.", rules{.required = true});
  v("plugin_dirs", c.plugin_dirs,
    "Folders in which plugins are looked up by name, in this order. Without it: those in the environment "
    "variable `CPNS_PLUGIN_PATH`, then the program's own folder of plugins.",
    rules{.max = 16});
  v("transports", c.transports, "The radios.", rules{.required = true, .min = 1, .max = 32});
  v("validation", c.validation, "Which new devices are accepted (step 3).", rules{});
  v("rekey", c.rekey, "When keys are renewed.", rules{});
  v("timers", c.timers, "Timeouts, retries and pauses.", rules{});
  v("limits", c.limits, "Limits on pending work.", rules{});
  v("lowest_suite", c.lowest_suite,
    "Weakest delivery suite that is accepted: 2 has forward secrecy (X25519), 1 has not.",
    rules{.min = 1, .max = 2, .reload = true});
  v("amnesia_budget", c.amnesia_budget,
    "Deliveries per day to a device that claims to have lost its key, before the server is asked to verify "
    "the device.",
    rules{.max = 1000, .reload = true});
  v("healing_reserve", c.healing_reserve,
    "Unused keys that are never spent on such deliveries. Less than `rekey.low_water`.",
    rules{.max = 254, .reload = true});
  v("application_keys", c.application_keys,
    "Keys for programs on both sides, such as a broker and its clients, which follow from the EUKeys "
    "(docs/application-keys.md). Without it no program gets a key.",
    rules{});
  v("api", c.api, "The HTTP API, which `cpns pnes` uses, too (docs/api.md).", rules{});
  v("audit", c.audit, "The audit trail of changes by people and programs.", rules{});
  v("log", c.log, "The log.", rules{});
  v("ready_file", c.ready_file,
    "Written when the transports are open: the path of the API's socket in one line, then `pid N`. Locked by "
    "the process while it runs. Removed when the process ends or, after a crash, at the very beginning of "
    "the next start.",
    rules{});
}

}  // namespace cpns::config
