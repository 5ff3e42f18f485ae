#pragma once
// Runs a radio plugin in its own process, so that a crash or hang of the plugin does not take the role with it:
// the radio's links go down and a new process is started.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "plugins/host/loader.hpp"
#include "plugins/isolation/backoff.hpp"

namespace cpns::plugins::isolation {

struct isolation_settings {
  std::string name;                    ///< of the transport, for the log and the process list
  milliseconds beat{500};              ///< interval of pings to the process
  unsigned missed_max = 6;             ///< intervals without an answer after which it is killed as hung
  unsigned missed_while_opening = 10;  ///< the same while it loads and opens the plugin
  milliseconds close_limit{3'000};     ///< for closing the plugin; then it is killed
  backoff::bounds pauses;              ///< before a restart
  std::function<std::uint64_t(std::uint64_t)> below;  ///< draws the jitter; empty: a generator of its own
};

/// Counted since the transport was opened. [thread-safe]
struct isolation_counters {
  std::uint64_t ends = 0;          ///< processes that ended, for any reason
  std::uint64_t restarts = 0;      ///< times that the plugin was open again after an end
  std::uint64_t hangs = 0;         ///< processes killed because they did not answer
  std::uint64_t broken_rules = 0;  ///< processes killed because of an invalid report
};

/// Starts the process and opens the plugin in it: the same errors as load_transport, plugin_crashed or
/// plugin_hung. `listener` is called from one thread. scan, add_endpoint and connect are carried out later by the
/// process and succeed once they are queued; later failures of scan and add_endpoint are logged. While no process
/// runs, connect fails, and scan and add_endpoint are kept for the next process. When a process ends, its links
/// and pending connects are reported down and failed. `failed` is never called: a radio that does not start is
/// retried forever, at most `pauses.most` apart, with log lines of level error.
open_result<std::unique_ptr<transport>> open_isolated(const transport_spec& spec, isolation_settings settings,
                                                      transport_listener& listener);

/// Counters of a transport made by open_isolated; all 0 for others.
isolation_counters isolation_counters_of(const transport& t);

}  // namespace cpns::plugins::isolation
