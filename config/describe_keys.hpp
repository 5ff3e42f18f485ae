#pragma once
// A part of config/describe.hpp, which includes it: the sources of Temporary Keys.

#include "config/describe.hpp"

namespace cpns::config {

template <class V>
void describe(V& v, key_service_cache& c) {
  v("keys", c.keys, "Keys that are kept in memory; of more, the one that was used least recently goes.",
    rules{.max = 1'000'000});
  v("keep", c.keep, "How long a key is kept.", rules{.min = bound::second, .max = 7 * bound::day});
  v("unknown", c.unknown, "Entity IDs that are remembered as unknown to the service.",
    rules{.max = 1'000'000});
  v("keep_unknown", c.keep_unknown, "How long they are remembered. At most `keep`.",
    rules{.min = bound::second, .max = bound::day});
}

template <class V>
void describe(V& v, key_service_breaker& c) {
  v("failures", c.failures, "Failed queries in a row after which the service is left alone.",
    rules{.min = 1, .max = 1000});
  v("pause", c.pause,
    "How long it is left alone. Then a single query tries it; the others are refused until that one "
    "succeeds.",
    rules{.min = 100, .max = bound::hour});
}

template <class V>
void describe(V& v, key_service_config& c) {
  v("name", c.name, "Name of the service in logs, metrics and `cpns status`.",
    rules{.required = true, .text = form::name});
  v("entities", c.entities,
    "The Entity IDs that this service answers for, as `PREFIX*` or `FROM..TO`, in the form of a batch. They "
    "may not overlap those of another service or of a batch of the store.",
    rules{.required = true, .min = 1, .max = 64, .text = form::range});
  v("url", c.url,
    "`https://host:port/path` in front of the paths of the contract (docs/openapi/key-service.yaml). The "
    "certificate of the service must have that host name or address.",
    rules{.required = true, .text = form::https});
  v("tls", c.tls,
    "Files of this connection (TLS 1.3): a certificate of this server with `clientAuth`, and the authorities "
    "that sign the certificate of the service. Read again once a minute and at SIGHUP.",
    rules{.required = true});
  v("timeout", c.timeout,
    "Time limit of a whole query, with its wait for a connection. A gateway whose request takes longer than "
    "1.5s is asked to repeat it, and then gets the answer that came meanwhile.",
    rules{.min = 50, .max = 30 * bound::second});
  v("connections", c.connections, "Connections to the service at most; they are kept open between queries.",
    rules{.min = 1, .max = 64});
  v("cache", c.cache, "Answers that stay in memory.", rules{});
  v("breaker", c.breaker, "When a service that fails is left alone.", rules{});
}

template <class V>
void describe(V& v, temporary_keys_config& c) {
  v("services", c.services,
    "HTTPS services of manufacturers (docs/operations/key-services.md). A device that was imported does not "
    "need its service; the key of every other device with a listed Entity ID comes from there alone. Needs "
    "`require_presence: true`.",
    rules{.max = 16});
}

}  // namespace cpns::config
