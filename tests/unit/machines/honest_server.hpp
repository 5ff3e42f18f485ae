#pragma once
// A CPNS Server of one entity and one user, reduced to the needs of the gateway's machine: presence, sets, chains,
// holder. It verifies by docs/protocol.md and remembers every key that it generated.

#include <map>
#include <set>
#include <variant>

#include "crypto/key_schedule.hpp"
#include "protocol/codec.hpp"
#include "tests/support/seeded_entropy.hpp"

namespace cpns::test {

class honest_server {
 public:
  using answer_t = std::variant<protocol::assigned_keys, protocol::refusal>;

  honest_server(entity_id entity, secret32 tk_prime, std::uint64_t seed);

  protocol::nonce16 issuer_nonce(const gateway_id& gw, time_point now) const;
  answer_t handle(const gateway_id& gw, const request_id& id, const protocol::key_assignment_request& r,
                  time_point now);
  protocol::report_outcome handle_report(const gateway_id& gw, epoch e);

  [[nodiscard]] const secret32* key(epoch e) const;
  [[nodiscard]] std::optional<epoch> last_report() const { return last_report_; }

  void forget_reports() { last_report_.reset(); }

  std::optional<gateway_id> holder;
  std::uint32_t set_size = 32;
  bool literal = false;
  seconds rekey{3600};
  int asked = 0, refills = 0, stale = 0, presence_failed = 0;

 private:
  struct eukeys {
    std::uint32_t generation = 0;
    set_id set;
    std::vector<secret32> keys;
  };
  answer_t refuse(protocol::link_status s, std::uint32_t retry_after = 0) const;
  answer_t grant(const gateway_id& gw, const protocol::key_assignment_request& r, time_point now);
  answer_t refill(const gateway_id& gw, const protocol::key_assignment_request& r, time_point now);
  protocol::assigned_keys make_answer(const gateway_id& gw, const eukeys& from, std::size_t first,
                                      time_point now) const;
  void extend(eukeys& e, std::size_t by);

  entity_id entity_;
  secret32 tk_prime_, k_iss_;
  owner_tag owner_;
  seeded_entropy random_;
  std::map<std::uint32_t, eukeys> sets_;
  std::map<request_id, answer_t> answered_;
  std::set<crypto::digest> used_;
  std::optional<epoch> last_report_;
};

}  // namespace cpns::test
