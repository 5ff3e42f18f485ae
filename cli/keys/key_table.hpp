#pragma once
// The keys of a purpose as a program knows them from a watch.
//
// A watch begins again after each loss of the connection, with all devices. A table that was emptied then would refuse
// every device for a moment, and one that only adds would keep keys that are gone. So the former keys stay until `synced`,
// and those of devices that did not come until then are removed.

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/keys/key_line.hpp"

namespace cpns::cli::keys {

/// What became of a key.
struct key_change {
  enum class what : std::uint8_t { began, changed, ended };  ///< changed: its state or use
  what kind;
  std::string entity;
  listed_key key;
  /// Of ended. `retired`: sessions go on; `replaced`: they end; or the reason of a `gone`.
  std::string reason{};
  bool device_gone = false;  ///< ended, as all keys of the device
};

/// Not thread-safe.
class key_table {
 public:
  using devices = std::map<std::string, std::vector<listed_key>>;  ///< by Entity ID; none without a key

  /// `only`: the device whose keys are kept; empty: all.
  explicit key_table(std::string only = {}) : only_(std::move(only)) {}

  /// Before the first line of a new connection.
  void begin_again();
  /// What the line changed. At `synced` the devices that did not come are `none`, or `unreadable` if the role left out some; after
  /// `resumed` they are as before.
  std::vector<key_change> apply(key_line line);

  [[nodiscard]] const devices& all() const { return devices_; }
  /// Empty: none.
  [[nodiscard]] const std::vector<listed_key>& of(const std::string& entity) const;
  /// Whether the keys of all devices are known since begin_again() or `resync`.
  [[nodiscard]] bool synced() const { return synced_; }
  /// Rises whenever a key begins, changes or ends.
  [[nodiscard]] std::uint64_t version() const { return version_; }

 private:
  void put(key_line& line, std::vector<key_change>& out);
  void remove(const std::string& entity, std::string_view reason, std::vector<key_change>& out);
  void sweep(std::uint64_t unreadable, std::vector<key_change>& out);

  const std::string only_;
  devices devices_;
  std::set<std::string> came_;  ///< until synced
  std::uint64_t version_ = 0;
  bool synced_ = false;
  bool resumed_ = false;  ///< the devices that do not come are as before
};

}  // namespace cpns::cli::keys
