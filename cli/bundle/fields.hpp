#pragma once
// The fields that a support bundle may have. Everything that is not in a list here stays out: a field that is added to
// an answer of the API or to a log line later has to be added here, too, by somebody who asked whether it is a secret.

#include <boost/json/value.hpp>
#include <cstdint>
#include <span>
#include <string_view>

#include "cli/bundle/pseudonyms.hpp"

namespace cpns::cli::bundle {

enum class shown_as : std::uint8_t { number, word, text, user, entity, gateway, address };

/// "counts.*": all members of `counts`; "radios[].name": of each entry of a list.
struct allowed {
  std::string_view path;
  shown_as how;
};

/// Of GET /v1/status, /v1/log, /v1/radios, /v1/audit/verify, and of a log line.
std::span<const allowed> status_fields();
std::span<const allowed> log_fields();
std::span<const allowed> radio_fields();
std::span<const allowed> audit_fields();
std::span<const allowed> line_fields();

/// The allowed parts of `v`; a member of another type than the list says is left out.
boost::json::value pick(const boost::json::value& v, std::span<const allowed> list, pseudonyms& names);

}  // namespace cpns::cli::bundle
