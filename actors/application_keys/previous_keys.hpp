#pragma once
// The application keys of the EUKeys that were replaced a moment ago.

#include <condition_variable>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "actors/application_keys/key_changes.hpp"
#include "actors/application_keys/offered_keys.hpp"
#include "actors/application_keys/purposes.hpp"
#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "base/ids.hpp"
#include "base/secret.hpp"
#include "config/schema.hpp"
#include "crypto/suite.hpp"

namespace cpns::actors {

/// What is left of an EUKey that was replaced: it is derived before the EUKey is erased, and leads to no other key.
struct previous_key {
  struct derived {
    std::string purpose;
    std::string identity;
    byte_array<8> fingerprint{};
    secret_bytes key;
  };
  epoch which;
  epoch successor;  ///< the key that replaced it
  std::vector<derived> all;

  /// `purpose` covers the device.
  [[nodiscard]] const derived& of(std::string_view purpose) const;
};

/// A program that has begun a handshake with a key would fail if the key were refused the moment its successor is confirmed. So
/// the key stays acceptable for a while, in memory alone: after a restart of the role there is none. A program learns of
/// its end as of any change. [thread-safe]
class previous_keys {
 public:
  struct bounds {
    std::size_t per_device = 4;  ///< EUKeys; the newest ones stay
    std::size_t derived =
        262'144;  ///< of all devices and purposes together, 600 bytes each; the oldest ones go
  };

  /// Without an overlap it keeps nothing, and derives nothing. `suite` and `changes` outlive it.
  previous_keys(const config::application_keys_config& c, const crypto::suite& suite, key_changes& changes,
                clock_fn clock, bounds most);
  previous_keys(const config::application_keys_config& c, const crypto::suite& suite, key_changes& changes)
      : previous_keys(c, suite, changes, now_anchored, bounds{}) {}
  ~previous_keys();
  previous_keys(const previous_keys&) = delete;
  previous_keys& operator=(const previous_keys&) = delete;

  /// Before the record in which `successor` takes its place can be read. A key that is kept already begins again.
  void keep(const entity_id& device, epoch which, const secret32& eukey, epoch successor);
  /// The device was reset or forgotten. Its watchers learn of that from the write of its record.
  void forget(const entity_id& device);
  /// Ends the keys that are due, and tells the watchers of their devices. A thread of its own does so, too.
  void end_due();
  /// Those that led to the key `current` without a gap, ascending.
  [[nodiscard]] std::vector<std::shared_ptr<const previous_key>> before(const entity_id& device,
                                                                        epoch current) const;

 private:
  struct kept {
    entity_id device;
    time_point ends;
    std::shared_ptr<const previous_key> key;
  };
  using order = std::list<kept>;
  using place = order::iterator;

  [[nodiscard]] std::shared_ptr<const previous_key> derive(const entity_id& device, epoch which,
                                                           const secret32& eukey, epoch successor) const;
  void erase(place at);  ///< call with the guard held
  void work();

  const milliseconds overlap_;
  std::vector<purpose> purposes_;  ///< constant
  const crypto::suite& suite_;
  key_changes& changes_;
  const clock_fn clock_;
  const bounds most_;
  mutable std::mutex guard_;
  std::condition_variable wake_;
  order by_end_;                                ///< the first one ends first
  std::map<entity_id, std::vector<place>> of_;  ///< in the order of by_end_; never empty vectors
  std::size_t derived_ = 0;
  bool ending_ = false;
  std::thread worker_;
};

/// The keys that a role offers, with those before them.
class offer_with_previous final : public offered_keys {
 public:
  /// `kept` outlives it.
  offer_with_previous(std::unique_ptr<const offered_keys> of_records, const previous_keys& kept)
      : of_records_(std::move(of_records)), kept_(kept) {}
  [[nodiscard]] result<std::optional<offered_device>> find(const entity_id& entity) const override;
  [[nodiscard]] result<page> read_page(const std::string& after, const visitor& each) const override;

 private:
  [[nodiscard]] offered_device with_previous(offered_device d) const;

  const std::unique_ptr<const offered_keys> of_records_;
  const previous_keys& kept_;
};

}  // namespace cpns::actors
