#include "actors/pn_gw/operator_command.hpp"

namespace cpns::actors {

using protocol::device_standing;
using protocol::pn_gw_state;
using protocol::validation_policy;

std::string why_not_update(const command_subject& of) {
  switch (of.state) {
  case pn_gw_state::awaiting_approval: return "the PNE waits for approval: approve it first";
  case pn_gw_state::rejected: return "the PNE is rejected: approve it first";
  case pn_gw_state::quarantined:
    return "the PNE is in quarantine: reset it to factory state, and approve it after that";
  case pn_gw_state::revoked: return "the server revoked the PNE: it gets no keys";
  default: break;
  }
  if (of.in_reach) return {};
  if (of.state == pn_gw_state::asleep)
    return "the PNE is asleep or out of reach: it gets its next key by itself when it wakes up";
  return "the PNE is out of reach: ask again when it has a link";
}

std::string why_not_approve(const command_subject& of) {
  if (of.state != pn_gw_state::awaiting_approval && of.state != pn_gw_state::rejected &&
      of.state != pn_gw_state::quarantined)
    return "the PNE waits for no decision: its state is " + std::string{name_of(of.state)};
  if (of.settings.denied)
    return "validation.deny of the gateway names the PNE: remove it there, and reload the gateway";
  if (of.settings.policy == validation_policy::list && !of.settings.allowed)
    return "validation.allow of the gateway does not name the PNE: add it there, and reload the gateway";
  if (of.state == pn_gw_state::quarantined && !of.in_reach)
    return "the PNE is in quarantine and out of reach: the server decides by what the PNE answers; ask again "
           "when it has a link";
  return {};
}

std::string why_quarantined_again(const protocol::device_record& r) {
  return "the server refuses the PNE again, and it stays in quarantine (" + r.standing_reason +
         "): only a factory reset of the PNE helps; approve it after that";
}

std::string why_not_reject(const command_subject& of) {
  if (of.state == pn_gw_state::revoked) return "the server revoked the PNE already: it gets no keys";
  if (of.state == pn_gw_state::rejected && of.standing == device_standing::rejected)
    return "the PNE is rejected already";
  return {};
}

}  // namespace cpns::actors
