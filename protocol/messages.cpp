#include "protocol/messages.hpp"

namespace cpns::protocol {

std::string_view name_of(link_status s) {
  switch (s) {
  case link_status::ok: return "ok";
  case link_status::unknown_user_or_bad_proof: return "unknown_user_or_bad_proof";
  case link_status::unknown_entity: return "unknown_entity";
  case link_status::presence_failed: return "presence_failed";
  case link_status::stale_nonce: return "stale_nonce";
  case link_status::stale_epoch: return "stale_epoch";
  case link_status::owned_by_other: return "owned_by_other";
  case link_status::held_by_other: return "held_by_other";
  case link_status::revoked: return "revoked";
  case link_status::gateway_blocked: return "gateway_blocked";
  case link_status::throttled: return "throttled";
  case link_status::overloaded: return "overloaded";
  case link_status::temporary_key_unavailable: return "temporary_key_unavailable";
  case link_status::bad_request: return "bad_request";
  case link_status::internal: return "internal";
  }
  return "unknown";
}

std::string_view name_of(assignment_reason r) {
  switch (r) {
  case assignment_reason::first: return "first";
  case assignment_reason::refill: return "refill";
  case assignment_reason::adopt: return "adopt";
  case assignment_reason::recover: return "recover";
  }
  return "unknown";
}

}  // namespace cpns::protocol
