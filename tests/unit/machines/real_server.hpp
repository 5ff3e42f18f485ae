#pragma once
// The CPNS Server's assignment machine of one entity behind the interface that `harness` uses, with a failing disk
// and a process that ends at any output.

#include <map>
#include <string>
#include <vector>

#include "protocol/server/assignment_machine.hpp"
#include "tests/unit/machines/honest_server.hpp"
#include "tests/unit/server_machine/people.hpp"

namespace cpns::test {

class real_server {
 public:
  using answer_t = honest_server::answer_t;

  real_server(const entity_id& entity, const secret32& tk_prime, std::uint64_t seed);

  protocol::nonce16 issuer_nonce(const gateway_id& gw, time_point now) const;
  /// nullopt: the server ended before it answered.
  std::optional<answer_t> handle(const gateway_id& gw, const request_id& id,
                                 const protocol::key_assignment_request& r, time_point now);
  /// nullopt: it ended, or the write failed.
  std::optional<protocol::report_outcome> handle_report(const gateway_id& gw, epoch e, time_point now);
  /// The process ends and starts again from its disk.
  void restart();

  /// The key of a former answer, or nullptr.
  [[nodiscard]] const secret32* key(const set_id& set, epoch e) const;

  protocol::assignment_settings settings;  ///< applied at the next restart
  secret_bytes disk;                       ///< empty: no row yet
  unsigned write_failures = 0;             ///< percent
  unsigned ends_per_mille = 0;             ///< of its outputs
  int asked = 0, stale = 0, restarts = 0;
  std::vector<std::string> faults;  ///< broken invariants

 private:
  std::optional<answer_t> drive(time_point now, bool& stored);
  void check(const protocol::assigned_keys& a);

  testing_people::person alice_{"alice@example.org"};
  protocol::device_secret_record device_;
  seeded_entropy random_, weather_;
  secret32 exporter_;
  std::optional<protocol::assignment_machine> machine_;
  std::map<std::pair<set_id, epoch>, secret32> answered_;
};

}  // namespace cpns::test
