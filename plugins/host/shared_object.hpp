#pragma once
// What dlopen says badly, or dies of, about a file that is no plugin for this machine.

#include <string>

#include "base/result.hpp"

namespace cpns::plugins {

/// Whether `file` can be a shared object of this program's machine, judged by its ELF headers alone.
/// plugin_load with the file and what is wrong with it: no ELF, for another machine, no shared object, cut
/// short.
status check_shared_object(const std::string& file);

}  // namespace cpns::plugins
