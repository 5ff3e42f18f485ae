#pragma once
// A radio in a process of its own. The role sees a transport like any other; when the process crashes or
// hangs, its links go down, and a new one is started.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "plugins/host/loader.hpp"
#include "plugins/isolation/backoff.hpp"

namespace cpns::plugins::isolation {

struct isolation_settings {
  std::string name;                    ///< of the transport, for the log and the list of processes
  milliseconds beat{500};              ///< how often the process is asked for a sign of life
  unsigned missed_max = 6;             ///< unanswered beats after which it hangs and is killed
  unsigned missed_while_opening = 10;  ///< the same while it loads and opens the plugin
  milliseconds close_limit{3'000};     ///< for closing the plugin; then it is killed
  backoff::bounds pauses;              ///< before a new start
  std::function<std::uint64_t(std::uint64_t)> below;  ///< draws the jitter; empty: a source of its own
};

/// Since it was opened. [thread-safe]
struct isolation_counters {
  std::uint64_t ends = 0;          ///< processes that ended, for whatever reason
  std::uint64_t restarts = 0;      ///< of them, those after which the plugin was open again
  std::uint64_t hangs = 0;         ///< processes that were killed because they did not answer
  std::uint64_t broken_rules = 0;  ///< processes that were killed because of what they said
};

/// Starts the process and opens the plugin in it: the same errors as load_transport, plugin_crashed or
/// plugin_hung. `listener` is called from one thread. Of the calls, those that the process carries out later
/// (scan, add_endpoint, connect) succeed when they were taken; of scan and add_endpoint what goes wrong then
/// is logged. While no process runs connect fails; scan and add_endpoint are kept for the next one. A process
/// that ends takes its links and the connects under way with it, and both are told. `failed` never comes: a
/// radio that does not start is tried for ever, at most `pauses.most` apart, which the log tells as errors.
open_result<std::unique_ptr<transport>> open_isolated(const transport_spec& spec, isolation_settings settings,
                                                      transport_listener& listener);

/// Counters of a transport made by open_isolated; all 0 for others.
isolation_counters isolation_counters_of(const transport& t);

}  // namespace cpns::plugins::isolation
