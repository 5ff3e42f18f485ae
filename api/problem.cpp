#include "api/problem.hpp"

#include <algorithm>
#include <boost/json.hpp>

namespace cpns::api {
namespace {

unsigned status_of(errc e) {
  switch (e) {
  case errc::state_unknown: return 404;
  case errc::state_exists:
  case errc::state_conflict:
  case errc::store_conflict: return 409;
  case errc::state_exhausted:
  case errc::state_overloaded:
  case errc::state_stopping:
  case errc::store_unavailable:
  case errc::store_locked: return 503;
  case errc::store_full: return 507;
  case errc::peer_timeout: return 504;
  case errc::wire_oversized: return 413;
  case errc::config_file: return 422;
  default: break;
  }
  switch (fault_of(e)) {
  case fault::peer:
  case fault::wire:
  case fault::config: return 400;
  case fault::crypto: return 422;
  case fault::plugin: return 502;
  default: return 500;
  }
}

constexpr std::uint32_t retry_soon = 1;

std::string_view title_of(unsigned status) {
  switch (status) {
  case 400: return "The request is not valid";
  case 401: return "The client is not identified";
  case 403: return "Not allowed";
  case 404: return "Not found";
  case 405: return "The method is not allowed here";
  case 408: return "The request took too long";
  case 409: return "In conflict with the present state";
  case 410: return "Gone";
  case 413: return "The body is too large";
  case 415: return "The content type is not supported";
  case 421: return "The host is not this role";
  case 422: return "The request cannot be applied";
  case 429: return "Too many requests";
  case 431: return "The headers are too large";
  case 502: return "A radio failed";
  case 503: return "Not possible at present";
  case 504: return "No answer in time";
  case 507: return "The disk is full";
  default: return "The role failed";
  }
}

/// The sentences of this group speak of configurations and command lines, which a client of the API does not have.
std::string detail_of(const error& e) {
  return fault_of(e.code) == fault::config && !e.detail.empty() ? e.detail : e.message();
}

}  // namespace

problem::problem(const error& e) : status(status_of(e.code)), code(name_of(e.code)), detail(detail_of(e)) {
  std::replace(code.begin(), code.end(), '_', '-');
  if (status == 503) retry_after = retry_soon;
}

std::string document_of(const problem& p, std::string_view request_id) {
  boost::json::object o{{"type", "urn:cpns:problem:" + p.code},
                        {"title", title_of(p.status)},
                        {"status", p.status},
                        {"detail", p.detail},
                        {"code", p.code}};
  if (!p.field.empty()) o["field"] = p.field;
  if (!request_id.empty()) o["request"] = request_id;
  return boost::json::serialize(o) + "\n";
}

}  // namespace cpns::api
