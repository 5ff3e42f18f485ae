#pragma once
// A part of config/describe.hpp, which includes it: the settings of the link between gateways and servers.

#include "config/describe.hpp"

namespace cpns::config {

template <class V>
void describe(V& v, server_cluster& c) {
  v("advertise", c.advertise,
    "Address `host:port` at which gateways reach this server; it may differ from `listen`. Gateways learn "
    "it.",
    rules{.reload = true});
  v("nodes", c.nodes,
    "Addresses `host:port` of the servers with the same users and devices, at most 32 together with "
    "`advertise`. "
    "Gateways learn them, beside those of their own file, and use them when this server is drained or does "
    "not answer.",
    rules{.max = 32, .reload = true});
}

template <class V>
void describe(V& v, gateway_timers& c) {
  v("answer_timeout", c.answer_timeout,
    "Time to wait for a PNE's answer before a message is sent again. Multiplied by (`timers.retries` + 1), "
    "it must be at least 2s.",
    rules{.min = 50, .max = bound::minute, .reload = true});
  v("retries", c.retries, "How often a message is sent again before the link backs off.",
    rules{.max = 100, .reload = true});
  v("backoff_min", c.backoff_min, "First pause of a link after a failure; it doubles each time.",
    rules{.min = 10, .max = bound::hour, .reload = true});
  v("backoff_max", c.backoff_max, "Longest pause of a link.",
    rules{.min = 10, .max = bound::day, .reload = true});
  v("request_timeout", c.request_timeout,
    "Time to wait for the server's answer to a request. Then the request is sent once more, and fails after "
    "the same time again. A connection with waiting requests that receives nothing for twice this time is "
    "dropped, and the next server is tried; with several servers `timers.node_timeout` is shorter.",
    rules{.min = 100, .max = 10 * bound::minute});
  v("reconnect_min", c.reconnect_min,
    "First pause before the gateway connects to a server again; it doubles each time.",
    rules{.min = 10, .max = bound::hour});
  v("reconnect_max", c.reconnect_max, "Longest pause before the gateway connects again.",
    rules{.min = 10, .max = bound::day});
  v("probe", c.probe,
    "A connection to a server that receives nothing for half of this time is probed (TCP keepalive). It is "
    "closed when nothing "
    "came from the server's machine, or data was not acknowledged, for all of this time (at least 2s).",
    rules{.min = bound::second, .max = bound::hour});
  v("node_timeout", c.node_timeout,
    "A server that sends nothing for this long, although a request waits for its answer, is left for another "
    "one, if the "
    "gateway knows one. After half of the time the gateway asks it for a sign of life, which needs no "
    "database.",
    rules{.min = 200, .max = bound::minute});
}

}  // namespace cpns::config
