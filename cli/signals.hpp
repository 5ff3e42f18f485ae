#pragma once
// Signals are asked for, not taken, so that whatever was begun is put down in order.

#include <string>

namespace cpns::cli {

/// Blocks SIGTERM, SIGINT and SIGHUP in this thread and in those that it starts later; ignores SIGPIPE.
/// Called before any thread is started, and before anything is made that would be left behind.
void block_signals();

/// The next of the signals that block_signals blocked, or 0 when none comes within `ms` milliseconds.
int next_signal(int ms);

/// Whether SIGINT or SIGTERM came since block_signals.
bool cancelled();

/// Says on standard error that the work was interrupted and `what` became of it; gives exit_interrupted.
int interrupted(const std::string& what);

}  // namespace cpns::cli
