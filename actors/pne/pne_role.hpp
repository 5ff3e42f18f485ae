#pragma once
// The PNE role of a process: one or more devices. Owns its actor system, radios and the keys of its devices.

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <memory>
#include <string>
#include <vector>

#include "actors/application_keys/consumers.hpp"
#include "actors/application_keys/key_changes.hpp"
#include "actors/application_keys/offered_keys.hpp"
#include "actors/pne/opened_keys.hpp"
#include "base/result.hpp"
#include "config/schema.hpp"
#include "metrics/registry.hpp"
#include "storage/key_change.hpp"
#include "storage/key_protector.hpp"

namespace cpns::actors {

class pne_role {
 public:
  /// Opens keys and radios and powers the devices on. Errors name the file, radio or device. Unreadable keys
  /// keep their own device off the radio; an error if no device has readable ones. `protector` is used only
  /// during the call. `open_store` opens the store in `keys_dir`. `more_keys`: data keys of others that the same
  /// protector wraps, so keys() changes them, too.
  static result<std::unique_ptr<pne_role>> start(const config::pne_config& c,
                                                 const storage::key_protector& protector,
                                                 const std::vector<manufactured_device>& devices,
                                                 const open_store_fn& open_store,
                                                 std::vector<storage::key_place> more_keys = {});
  ~pne_role();

  /// "wake", "sleep", "button" or "reset" for one entity, or for all if `entity` is empty. Returns once it is
  /// done and durable; an error distinguishes "not done" from "not known to be done". [thread-safe]
  status command(const std::string& what, const std::string& entity);
  /// One JSON object per device: the first `count` in the order of their Entity IDs, whose Entity ID is greater than
  /// `after` and begins with `prefix`. peer_timeout. [thread-safe]
  result<boost::json::array> list(const std::string& after, const std::string& prefix, std::size_t count);
  /// describe_radios of radio_view.hpp. peer_timeout. [thread-safe]
  result<boost::json::object> radios();
  /// For /v1/status. Calls the plugins. [thread-safe]
  boost::json::object overview();
  /// Lives as long as the role; its text() not after drain(). [thread-safe]
  [[nodiscard]] metrics::registry& counted() const;
  /// Reasons, as sentences; empty: the role is ready. [thread-safe]
  std::vector<std::string> not_ready();
  /// Changes the key-encryption key of the key files while the devices use them. [thread-safe]
  storage::key_changer& keys();
  /// The keys of all devices, for programs; nullptr without application_keys in the configuration. [thread-safe]
  [[nodiscard]] const offered_keys* offered() const;
  /// Of these devices. Lives as long as the role. [thread-safe]
  [[nodiscard]] key_changes& offered_changes() const;
  /// The programs that acknowledge the keys: nothing waits for them. Lives as long as the role.
  [[nodiscard]] consumers& programs() const;
  /// Closes the radios and stops all actors. May be called twice.
  void drain();
  /// The role cannot continue: a radio failed, the store is lost, or no device has readable keys. [thread-safe]
  [[nodiscard]] bool failed() const;
  [[nodiscard]] std::size_t devices() const;

 private:
  void add_devices(metrics::sheet& to);
  struct impl;
  explicit pne_role(std::unique_ptr<impl> i);
  std::unique_ptr<impl> impl_;
};

}  // namespace cpns::actors
