#pragma once
// One manufacturer's service for Temporary Keys (step 7; docs/openapi/key-service.yaml, docs/adr/0034).

#include <boost/json/object.hpp>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "api/https_client.hpp"
#include "base/entity_range.hpp"
#include "base/seldom.hpp"
#include "config/schema.hpp"
#include "crypto/suite.hpp"
#include "crypto/tls_source.hpp"
#include "metrics/registry.hpp"
#include "protocol/server/records.hpp"
#include "server/circuit_breaker.hpp"
#include "server/key_cache.hpp"

namespace cpns::server {

/// The record of the device; nullopt: the service does not know it. An error of the group `peer`: the service gave no answer.
using found_key = result<std::optional<protocol::device_secret_record>>;

/// A user who has proved a password may ask for any Entity ID of the manufacturer, as often as the server lets him, and each
/// query may take a second. So an Entity ID has one query at a time, whose answer all requests share, and answers are kept.
/// [thread-safe]
class key_service {
 public:
  /// Called once, on the thread of the caller or of the service's client; must not block.
  using done_fn = std::function<void(found_key)>;
  struct parts {
    const crypto::suite& suite;
    clock_fn now;
    metrics::registry& counted;
  };

  /// `setting`: where the YAML file has the service. Errors of tls_source::for_service; config_range.
  static result<std::unique_ptr<key_service>> open(const config::key_service_config& c, std::string setting,
                                                   const parts& with);
  ~key_service();
  key_service(const key_service&) = delete;
  key_service& operator=(const key_service&) = delete;

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const std::vector<entity_range>& entities() const { return entities_; }
  [[nodiscard]] bool names(const entity_id& entity) const;

  /// Only after the user's proof was verified. `entity` is one of entities().
  void ask(const entity_id& entity, done_fn done) { ask(entity, std::move(done), false); }
  /// The device did not prove its presence with `wrong`: the manufacturer may have given it another key. False, and `done` is
  /// not called, if `wrong` was asked for again already, or too many keys were lately.
  bool ask_again(const entity_id& entity, const secret32& wrong, done_fn done);

  /// {"breaker", "failures", "keys", "unknown", "last_failure": {"at", "why"} or null}.
  [[nodiscard]] boost::json::object view() const;
  /// As tls_source::look and read_again.
  void look() { tls_->look(); }
  void read_again() { tls_->read_again(); }
  [[nodiscard]] const crypto::tls_source& tls() const { return *tls_; }
  void collect(metrics::sheet& to) const;

 private:
  /// What a query came to; its name is that of a label.
  struct ending;
  struct flight {
    std::vector<done_fn> waiting;
    bool again = false;
    std::chrono::steady_clock::time_point began;
  };
  key_service(const config::key_service_config& c, std::vector<entity_range> entities, std::string path,
              std::shared_ptr<crypto::tls_source> tls, const parts& with);
  void ask(const entity_id& entity, done_fn done, bool again);
  /// With the guard held: the answer in memory, or where it will come from. `done` is taken by a query.
  std::string_view look_up(const entity_id& entity, done_fn& done, bool again,
                           std::optional<key_cache::known>& known);
  void finish(const entity_id& entity, api::https_outcome outcome);
  [[nodiscard]] ending read(const entity_id& entity, api::https_outcome outcome) const;
  [[nodiscard]] found_key record_of(const entity_id& entity, const key_cache::known& known) const;
  void judge(const ending& how);  ///< with the guard held
  bool take_token(time_point now);

  const std::string name_, path_;
  const std::vector<entity_range> entities_;
  const milliseconds timeout_;
  const crypto::suite& suite_;
  const clock_fn now_;
  const std::shared_ptr<crypto::tls_source> tls_;
  std::map<std::string, metrics::counter, std::less<>> queries_;  ///< by outcome
  std::map<std::string, metrics::counter, std::less<>> lookups_;  ///< by where the answer was
  metrics::histogram seconds_;
  mutable std::mutex guard_;
  key_cache cache_;
  circuit_breaker breaker_;
  std::unordered_map<entity_id, flight> flights_;
  double tokens_;  ///< for ask_again
  time_point refilled_;
  seldom failure_line_;
  std::string last_failure_;
  time_point failed_at_ = time_zero;
  std::unique_ptr<api::https_client> client_;  ///< the last member: its thread uses the others
};

}  // namespace cpns::server
