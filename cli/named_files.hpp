#pragma once
// The files that a configuration names: what the start of the role would find wrong with them, found before
// it, each with the place of its key.

#include "config/loader.hpp"

namespace cpns::cli {

/// Reads what the role would read, writes nothing. What may be right tomorrow is left alone: the dates of
/// certificates, a user_password_file that is gone after enrolment. Holds no secret.
config::diagnostics check_named_files(const config::checked_file& checked);

}  // namespace cpns::cli
