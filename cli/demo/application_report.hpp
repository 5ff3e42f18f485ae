#pragma once
// The figures of an application as lines for people and as JSON.

#include <boost/json/object.hpp>
#include <chrono>
#include <cstddef>
#include <string>

#include "cli/demo/application.hpp"

namespace cpns::cli {

/// The columns of application_row().
std::string application_heads();
/// `renewed`: keys that were replaced since the clients began; `epoch`: of the first PNE.
std::string application_row(std::chrono::seconds since, std::size_t renewed, const std::string& epoch,
                            const application_figures& f);
/// The last line of a demo: handshakes, refused, messages, oldest key in use.
std::string application_line(const application_figures& f);
boost::json::object application_json(std::chrono::seconds since, std::size_t renewed,
                                     const application_figures& f);
/// Why the demo has failed, as a sentence; empty: it has not.
std::string application_failure(std::size_t renewed, const application_figures& f);

}  // namespace cpns::cli
