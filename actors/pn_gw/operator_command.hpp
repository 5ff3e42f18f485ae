#pragma once
// Why a command of an operator for one device cannot be done.

#include <string>

#include "protocol/pn_gw/device_record.hpp"
#include "protocol/pn_gw/pn_gw_machine.hpp"

namespace cpns::actors {

/// The machine ignores a command that its state has no use for. An operator who was told "done" would wait for
/// nothing, so the device refuses such a command first. All texts are sentences that say what to do.
struct command_subject {
  protocol::pn_gw_state state;
  protocol::device_standing standing;
  bool in_reach;  ///< it has a link
  const protocol::pn_gw_settings& settings;
};

/// Empty: the next key is delivered, or the running exchange is finished first.
std::string why_not_update(const command_subject& of);
/// Empty: the device waits for a person, or was refused or quarantined, and an approval changes that. Whether a
/// quarantined one is released is then decided by the server.
std::string why_not_approve(const command_subject& of);
/// For an operator who approved this quarantined device in vain.
std::string why_quarantined_again(const protocol::device_record& r);
/// Empty: a refusal by a person changes something.
std::string why_not_reject(const command_subject& of);

}  // namespace cpns::actors
