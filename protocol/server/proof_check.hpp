#pragma once
// Step 5 alone: verifies the user's proof of a request and delays wrong proofs. Called before the entity is
// loaded, so that a request without a valid proof costs next to nothing. Pure: time is an argument.

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "crypto/suite.hpp"
#include "protocol/messages.hpp"
#include "protocol/server/records.hpp"

namespace cpns::protocol {

/// The gateway that sends a request, from the TLS connection.
struct requester {
  gateway_id gw;
  secret32 exporter;  ///< tls_exporter(32, "EXPERIMENTAL cpns user proof")
  std::string uri{};  ///< of its certificate, from which gw is derived; for people
};

/// One KeyAssignmentRequest, for as long as it is worked on. Several places hold it, so it is shared, and nothing of it changes
/// but what is known of its proof.
class received_request {
 public:
  received_request(const crypto::suite& s, std::shared_ptr<const requester> sender, const request_id& its_id,
                   key_assignment_request body);
  received_request(const received_request&) = delete;
  received_request& operator=(const received_request&) = delete;
  ~received_request() { wipe(proved_by_.data(), proved_by_.size()); }

  const std::shared_ptr<const requester> from;
  const request_id id;
  const key_assignment_request request;
  const crypto::digest content_hash;  ///< H(request with proof null)

 private:
  friend class proof_check;
  crypto::digest proved_by_{};  ///< the StoredKey for which the proof is right
  bool proved_ = false;
};

/// A request that is not granted.
struct refused {
  refusal answer;
  std::string_view event;  ///< stable id for the log
  std::string why;         ///< for the operator; more than the peer learns
};

/// True: a record is damaged, and a person has to repair it. False: the store may return it later.
bool is_damage(const error& e);
/// The refusal for an unreadable record: `internal` for a damaged one, which a person has to repair, else
/// `overloaded`. `whose` completes "the record of ...".
refused unreadable(const error& fault, std::string_view whose);
/// The manufacturer's table has no row for the device.
refused unknown_entity();
/// A proof that is not checked for `wait` seconds, because earlier ones were wrong.
refused proof_delayed(std::uint32_t wait);

/// [thread-safe]
class proof_check {
 public:
  proof_check(const crypto::suite& s, const secret32& issuer_key);
  /// nullopt: the proof is valid. An unknown user costs the same work and gets the same answer as a wrong
  /// password.
  [[nodiscard]] std::optional<refused> operator()(const received_request& asked,
                                                  const std::optional<user_record>& user) const;
  /// The same; a right proof is remembered, so that the next check with the same record costs nothing. Before the request is
  /// shared with another thread.
  [[nodiscard]] std::optional<refused> check_first(received_request& asked,
                                                   const std::optional<user_record>& user) const;

 private:
  const crypto::suite& s_;
  crypto::digest nobodys_key_{};  ///< the StoredKey for proofs of an unknown user
};

/// Limits guessing of passwords: after wrong proofs, further ones are not checked for a while. The delay is per
/// user and gateway, so that no gateway waits for another one's proofs. Bounded: the gateway with the oldest wrong
/// proof is evicted. Not thread-safe.
class proof_delays {
 public:
  static constexpr std::uint32_t free_proofs = 4;            ///< wrong proofs before the first delay
  static constexpr seconds longest{30};                      ///< the delay doubles from 1 s to this
  static constexpr seconds kept = std::chrono::minutes{10};  ///< after the last wrong proof
  static constexpr std::size_t users_max = 16;  ///< per gateway; all further ones share one delay

  explicit proof_delays(std::size_t gateways_max = 4096) : gateways_max_(gateways_max) {}
  /// Whole seconds until a proof is checked; 0: now.
  [[nodiscard]] std::uint32_t wait(time_point now, const gateway_id& gw, const user_id& user) const;
  void wrong(time_point now, const gateway_id& gw, const user_id& user);
  void right(const gateway_id& gw, const user_id& user);
  [[nodiscard]] std::size_t gateways() const { return latest_.size(); }

 private:
  struct delay {
    std::uint32_t wrong = 0;
    time_point last = time_zero;
    [[nodiscard]] seconds length() const;
    [[nodiscard]] bool over(time_point now) const;
  };
  struct gateway {
    gateway_id gw;
    std::map<user_id, delay> users;
    delay others;
  };
  using order = std::list<gateway>;

  std::size_t gateways_max_;
  order latest_;  ///< the one with the newest wrong proof first
  std::unordered_map<gateway_id, order::iterator> by_gateway_;
};

}  // namespace cpns::protocol
