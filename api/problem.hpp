#pragma once
// Errors of the HTTP API as problem documents (RFC 9457).

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.hpp"

namespace cpns::api {

/// A refusal. `code` is stable and means the same in all roles: the names of errc with '-' for '_', and those
/// that api/ adds ("forbidden", "bad-json", ...). docs/openapi/ lists them.
struct problem {
  unsigned status = 500;
  std::string code;
  std::string detail;  ///< a sentence: the fault and the remedy; never a secret
  std::string field;   ///< the member of the body, the parameter or the header at fault; empty: none
  std::optional<std::uint32_t> retry_after{};  ///< seconds
  std::string allow{};                         ///< of status 405: the verbs of the path

  problem(unsigned http_status, std::string_view stable_code, std::string sentence, std::string at_field = {})
      : status(http_status), code(stable_code), detail(std::move(sentence)), field(std::move(at_field)) {
    constexpr unsigned not_at_present = 503;
    if (status == not_at_present) retry_after = 1;
  }
  /// The HTTP status follows from the group and the code of the error.
  problem(const error& e);  // NOLINT(google-explicit-constructor): CPNS_TRY converts
};

/// `return refuse(404, "not-found", "...")` in a handler.
inline tl::unexpected<problem> refuse(unsigned status, std::string_view code, std::string sentence,
                                      std::string field = {}) {
  return tl::unexpected<problem>(problem{status, code, std::move(sentence), std::move(field)});
}

inline constexpr std::string_view problem_type = "application/problem+json";
/// The document: type, title, status, detail, code, and field and request where there are any.
std::string document_of(const problem& p, std::string_view request_id);

}  // namespace cpns::api

namespace cpns {
/// For CPNS_TRY and CPNS_CHECK in a handler.
inline tl::unexpected<api::problem> fail(api::problem p) {
  return tl::unexpected<api::problem>(std::move(p));
}
}  // namespace cpns
