#pragma once
// The PNE role of a process: one or many devices. Owns its actor system, radios and key files.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/ids.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "config/schema.hpp"
#include "storage/key_protector.hpp"

namespace cpns::actors {

/// A device as the manufacturer made it. The Temporary Key is TK', derived already.
struct manufactured_device {
  entity_id entity;
  secret32 temporary_key;
  std::string key_file;  ///< empty: in `keys_dir`, named after the entity
};

class pne_role {
 public:
  /// Opens key files and radios and powers the devices on. Errors name the file, radio or device. A key file
  /// that cannot be read keeps its own device off the radio; it is an error where no other can be read.
  /// `protector` is used during the call only.
  static result<std::unique_ptr<pne_role>> start(const config::pne_config& c,
                                                 const storage::key_protector& protector,
                                                 const std::vector<manufactured_device>& devices);
  ~pne_role();

  /// "wake", "sleep", "button" or "reset" for one entity, or for all when empty. Done and durable, or an
  /// error that says that it is not known to be done. [thread-safe]
  status command(const std::string& what, const std::string& entity);
  /// A JSON object a device. [thread-safe]
  std::vector<std::string> list();
  /// Sleeps all devices and puts everything down. May be called twice.
  void drain();
  /// A radio cannot go on. [thread-safe]
  [[nodiscard]] bool failed() const;
  [[nodiscard]] std::size_t devices() const;

 private:
  struct impl;
  explicit pne_role(std::unique_ptr<impl> i);
  std::unique_ptr<impl> impl_;
};

}  // namespace cpns::actors
