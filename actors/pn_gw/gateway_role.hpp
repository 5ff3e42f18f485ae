#pragma once
// The PN GW role of a process: radios, devices, secure store, server link.

#include <boost/json/object.hpp>
#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "actors/application_keys/consumers.hpp"
#include "actors/application_keys/key_changes.hpp"
#include "actors/application_keys/previous_keys.hpp"
#include "actors/pn_gw/listing.hpp"
#include "actors/pn_gw/password_change.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "config/schema.hpp"
#include "metrics/registry.hpp"
#include "storage/sealed_store.hpp"

namespace cpns::actors {

/// Owns the actors, threads and radios of the role.
class gateway_role {
 public:
  /// Starts scanning and connecting. `store` is opened by the caller and outlives the role. A transport that
  /// fails to open is logged and left out. The functions of `record` outlive the role. An error if no transport is left, or
  /// from the TLS files or the store.
  static result<std::unique_ptr<gateway_role>>
  start(const config::gateway_config& c, storage::sealed_store& store, password_record record = {});
  ~gateway_role();

  // For the API. [thread-safe], blocking; peer_timeout if the actors do not answer within 8 s.

  /// page_of_pnes of listing.hpp.
  result<boost::json::object> list(const pnes_wanted& wanted);
  /// One device, see describe_device in views.hpp, and describe_past in history.hpp if `in_full`. state_unknown if the
  /// gateway has no such device.
  result<boost::json::value> show(const entity_id& entity, bool in_full = false);
  /// "approve", "reject" or "update"; returns when a decision is durable. state_unknown, or state_conflict with the
  /// reason.
  status command(const std::string& what, const entity_id& entity);
  /// Erases the record and the keys of a device, durably; its links stay, and it is new when it is detected on them.
  /// Errors as of command().
  status forget(const entity_id& entity);
  /// The permit window: {"open", "seconds_left"}. Opening it again sets its time again. state_conflict if
  /// validation.policy is not `ask`.
  result<boost::json::object> permit();
  result<boost::json::object> open_permit(std::chrono::minutes length);
  result<boost::json::object> close_permit();
  /// describe_link of link_view.hpp.
  result<boost::json::value> server();
  /// Closes the radio of this name and opens it again, while the others work: with the parameters of the configuration,
  /// and `parameters` in place of those of the same name. They are checked first, and a bad one changes nothing. state_unknown;
  /// config_... and plugin_... as of open_radio; state_conflict while it is opened already. Blocks for some seconds.
  status reopen(const std::string& radio, const std::map<std::string, std::string, std::less<>>& parameters);
  /// The parameters with which the radio was opened last, by name; null: no radio has this name.
  boost::json::value parameters_of(const std::string& radio);
  /// describe_radios of radio_view.hpp, and describe_counts of views.hpp.
  result<boost::json::value> radios();
  result<boost::json::value> counts();
  /// For /v1/status: counts, and whether the role accepts writes.
  boost::json::object overview();
  /// Of the devices whose records are written, if the configuration has application_keys. Lives as long as the role.
  [[nodiscard]] key_changes& offered_changes() const;
  /// The programs that acknowledge the keys; lives as long as the role.
  [[nodiscard]] consumers& programs() const;
  /// Of its devices. Only if the configuration has application_keys. Lives as long as the role.
  [[nodiscard]] const previous_keys& previous() const;
  /// Lives as long as the role; its text() not after drain(). [thread-safe]
  [[nodiscard]] metrics::registry& counted() const;
  /// Reasons, as sentences; empty: the role is ready.
  std::vector<std::string> not_ready();

  /// Gives the gateway the new password of its user, and returns when the server has accepted a proof with it and its
  /// ClientKey is durable. Until then, and after an error, the former one is in use; errors as of password_change::set.
  /// Requests in flight go on: one that the server refuses because of the former password is signed and sent again.
  /// Blocks for at most 45 s. Not after drain(). [thread-safe]
  result<password_outcome> change_password(secret_bytes password);
  /// Stops detecting, lets writes finish, closes links. May be called twice.
  void drain();
  /// Whether reload() may be called with these settings: config_range if they change limits.links to more than the radios
  /// allow. Not concurrently with reload().
  [[nodiscard]] status check(const config::gateway_config& c) const;
  /// Applies the settings that may change while the role runs. Not concurrently with itself.
  void reload(const config::gateway_config& c);
  /// The role cannot continue: a radio or a central actor failed. [thread-safe]
  [[nodiscard]] bool failed() const;

 private:
  std::string not_enrolled();
  struct impl;
  explicit gateway_role(std::unique_ptr<impl> i);
  std::unique_ptr<impl> impl_;
};

}  // namespace cpns::actors
