#pragma once
// Records of devices with a past, for stores of any size: as roles write them, with keys drawn at random.

#include <random>

#include "bench/gateway_files.hpp"
#include "bench/link_frames.hpp"
#include "bench/load_rows.hpp"
#include "crypto/suite.hpp"
#include "protocol/pn_gw/device_record.hpp"
#include "protocol/server/records.hpp"

namespace cpns::bench {

inline constexpr std::uint32_t filled_set_size = 32;
inline constexpr std::uint32_t filled_rekey_s = 86'400;
inline constexpr int filled_gateways = 8;  ///< that hold the entities of a server

/// In a gateway: what is left of `n` exchanges, one to three in four of a set, each a day after the other. Keys are due
/// spread over the day that begins now; one device in a hundred was not seen for up to 30 days, and one in a thousand owes
/// the server its last report, since less than a minute. Each record has its last report, as the role leaves it. Not
/// thread-safe.
class gateway_past {
 public:
  gateway_past(user_id user, std::uint64_t seed) : user_(std::move(user)), dice_(seed) {}

  struct past {
    protocol::device_record record;
    bool owes;  ///< the server has not answered the report
  };

  past device(std::uint64_t number) {
    constexpr std::int64_t minute_ms = 60'000;
    auto& random = crypto::system_entropy();
    const auto day_ms = std::int64_t{filled_rekey_s} * 1000;
    protocol::device_record r;
    r.entity = entity_id::parse(device_name("g" + std::to_string(number))).value();
    r.user = user_;
    r.approved = true;
    r.generation = 1;
    r.set = random.draw_id<set_id>();
    r.gateway_temporary_key = random.draw_secret<32>();
    r.owner = random.draw_id<owner_tag>();
    r.rekey_seconds = filled_rekey_s;
    r.incarnation = 1;
    const bool owes = below(1000) == 0;
    r.keyed_since = now_ms_ - below(owes ? minute_ms : day_ms);
    if (!owes) r.keyed_since -= minute_ms;
    if (!owes && below(100) == 0) r.keyed_since -= below(30 * day_ms);
    const auto own = static_cast<std::uint16_t>(below(filled_set_size * 3 / 4));
    r.not_after =
        r.keyed_since / 1000 + std::int64_t{90} * filled_rekey_s - std::int64_t{own} * filled_rekey_s;
    for (std::uint16_t i = own; i < filled_set_size; ++i)
      r.keys.push_back({epoch{1, i}, r.set, random.draw_secret<32>(),
                        i == own ? protocol::key_use::own : protocol::key_use::unused});
    r.to_report = epoch{1, own};
    r.last_transport = "radio";
    r.last_address = "bundle:1/" + std::to_string(number);
    return {std::move(r), owes};
  }

 private:
  std::int64_t below(std::int64_t n) {
    return static_cast<std::int64_t>(dice_() % static_cast<std::uint64_t>(n));
  }
  const user_id user_;
  const std::int64_t now_ms_ = unix_milliseconds(now_wall());
  std::mt19937_64 dice_;
};

/// In a server: the device with this number as an import leaves it.
inline protocol::device_secret_record filled_device(std::uint64_t number) {
  protocol::device_secret_record d;
  d.entity = entity_id::parse(device_name("a" + std::to_string(number))).value();
  d.temporary_key =
      crypto::derive_temporary_key(crypto::openssl_suite(), d.entity, as_bytes("0123456789abcdef"));
  d.batch = "filled";
  return d;
}
/// The entity of that device as its first assignment and the report leave it.
inline protocol::entity_record filled_entity(const protocol::device_secret_record& device,
                                             std::uint64_t number, const user_id& owner) {
  auto& random = crypto::system_entropy();
  const auto now = unix_seconds(now_wall());
  const auto gateway = static_cast<int>(number % filled_gateways);
  protocol::entity_record e;
  e.entity = device.entity;
  e.owner = owner;
  e.tag = random.draw_id<owner_tag>();
  e.claimed = e.holder_since = e.holder_seen = now;
  e.holder_uri = uri_of(gateway);
  e.holder = testing_people::gateway_named(e.holder_uri);
  protocol::eukey_set set;
  set.generation = 1;
  set.set = random.draw_id<set_id>();
  set.incarnation = 1;
  set.issued_to = *e.holder;
  set.next_index = filled_set_size;
  set.not_after = now + std::int64_t{90} * filled_rekey_s;
  for (std::uint32_t i = 0; i < filled_set_size; ++i) set.eukeys.push_back(random.draw_secret<32>());
  e.sets.push_back(std::move(set));
  e.last_report = epoch{1, 0};
  e.answered.push_back({random.draw_id<request_id>(), *e.holder, random.draw<32>(), 1, 0, filled_set_size});
  return e;
}

}  // namespace cpns::bench
