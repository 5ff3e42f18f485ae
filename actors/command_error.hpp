#pragma once
// Answers of actors to commands, as errors.

#include <string>

#include "base/result.hpp"

namespace cpns::actors {

/// The error for the reason that an actor gives for a command that is not done: state_conflict, or store_write_failed if
/// the reason begins with "not known to be done", because a row whose write failed may turn up later.
inline error command_error(const std::string& why) {
  return {why.starts_with("not known to be done") ? errc::store_write_failed : errc::state_conflict, why};
}

}  // namespace cpns::actors
