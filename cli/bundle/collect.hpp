#pragma once
// What a support bundle says about one role, running or stopped.

#include <boost/json/object.hpp>
#include <string>

#include "cli/bundle/pseudonyms.hpp"
#include "cli/doctor/doctor.hpp"

namespace cpns::cli::bundle {

struct request_for_bundle {
  std::string config_file;
  std::string version;  ///< of the program
  doctor::tools with;
};

/// Asks the role if it runs, else its files; changes nothing. A part that cannot be had is an object with `missing`, a
/// sentence. Takes up to 60 s.
boost::json::object collect(const request_for_bundle& r, pseudonyms& names);

}  // namespace cpns::cli::bundle
