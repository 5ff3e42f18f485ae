#include <iostream>

#include "cli/commands.hpp"

namespace cpns::cli {

int report(const error& e) {
  // The lines of a configuration's problems say where they are; the sentence of the code would only repeat
  // them.
  const bool has_place = fault_of(e.code) == fault::config && !e.detail.empty();
  std::cerr << "cpns: " << (has_place ? e.detail : e.message()) << "\n";
  return e.code == errc::config_usage ? exit_usage : exit_failed;
}

}  // namespace cpns::cli
