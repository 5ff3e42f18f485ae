#pragma once
// The EUKeys of a role from which programs get keys at present, read from what is durable.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.hpp"
#include "base/named_enum.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "protocol/pn_gw/device_record.hpp"
#include "protocol/pne/pne_record.hpp"

namespace cpns::actors {

// clang-format off
/// Why a device has no keys: the code of a `gone`, and its sentence.
#define CPNS_GONE_REASONS(X)                                                                                 \
  X(none,        "the device has no key at present")                                                         \
  X(forgotten,   "the device was forgotten")                                                                 \
  X(reset,       "the device was reset, and has no new key yet")                                             \
  X(rejected,    "the device was rejected")                                                                  \
  X(quarantined, "the device is quarantined, until a person approves it")                                    \
  X(revoked,     "the device was revoked")                                                                   \
  X(moved,       "another gateway has the keys of this device")                                              \
  X(unreadable,  "its record cannot be read")
// clang-format on
CPNS_NAMED_ENUM(gone_reason, CPNS_GONE_REASONS)

struct previous_key;

struct offered_key {
  epoch which;
  secret32 eukey;
  /// "current", "next" (gateway: handed out), "pending" (PNE: the newer slot), "previous"
  std::string_view state;
  bool use = false;        ///< this side begins with this one; it accepts the others
  std::int64_t since = 0;  ///< Unix ms of the confirmation; 0: not known
  /// Of "previous", never nullptr then: what is left of its EUKey, so `eukey` is zero.
  std::shared_ptr<const previous_key> previous{};
};

struct offered_device {
  entity_id entity;
  std::vector<offered_key> keys;             ///< ascending by epoch; empty: see `why_none`
  gone_reason why_none = gone_reason::none;  ///< if there are no keys
  /// A session that began with a key of a lower epoch is not one of this PNE any more. nullopt: none began so.
  std::optional<epoch> sessions_from{};
};

/// A gateway: its own key as `current`, and of the handed-out ones above it the newest `next_max`, at least one, as `next`:
/// strangers that claim an amnesia must not make the list of accepted keys ever longer. Of a key that was handed out to a
/// peer that had proven none, only while its exchange is under way. No keys that a verified reset took away, and none of a
/// device that the gateway does not serve: another gateway has it, or a person decides first.
offered_device offer_of(const protocol::device_record& r, std::size_t next_max);
/// A PNE: both slots. The newest one is what it uses, from the moment it is durable.
offered_device offer_of(const entity_id& entity, const protocol::pne_record& r);

/// Whether the record of a device is there and cannot be used: it is sealed with another key, or damaged. Other errors of
/// the store pass.
bool is_unreadable(const error& e);

/// A reader with many devices must neither wake their actors nor hold all records: it reads pages of what the role keeps.
/// [thread-safe]; blocks for the time of a read.
class offered_keys {
 public:
  virtual ~offered_keys() = default;
  /// nullopt: the role has no such device. Errors of the store; they name the device.
  [[nodiscard]] virtual result<std::optional<offered_device>> find(const entity_id& entity) const = 0;

  struct page {
    std::size_t unreadable = 0;       ///< devices that are left out, because their rows cannot be read
    std::optional<std::string> next;  ///< `after` of the page that follows; nullopt: none does
  };
  using visitor = std::function<void(offered_device)>;
  /// Calls `each` for some devices after `after` (empty: from the first), in no particular order. Devices that are written
  /// meanwhile are visited as before or as after.
  [[nodiscard]] virtual result<page> read_page(const std::string& after, const visitor& each) const = 0;
};

}  // namespace cpns::actors
