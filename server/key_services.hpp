#pragma once
// All services of manufacturers of a server, chosen by Entity ID.

#include <memory>
#include <vector>

#include "server/key_service.hpp"

namespace cpns::server {

class batch_book;

/// [thread-safe]
class key_services {
 public:
  /// Errors of key_service::open.
  static result<std::unique_ptr<key_services>> open(const config::temporary_keys_config& c,
                                                    const key_service::parts& with);

  /// nullptr: no service names the Entity ID.
  [[nodiscard]] key_service* of(const entity_id& entity) const;
  /// state_conflict: a service names one of these Entity IDs.
  [[nodiscard]] status accepts(const std::vector<entity_range>& ids) const;
  /// The same for all batches. state_conflict: names the batch and the service.
  [[nodiscard]] status accepts(const batch_book& batches) const;

  /// An object by the name of the service; see key_service::view.
  [[nodiscard]] boost::json::object view() const;
  [[nodiscard]] bool empty() const { return all_.empty(); }
  void look();
  void read_again();
  void collect(metrics::sheet& to) const;

 private:
  std::vector<std::unique_ptr<key_service>> all_;  ///< at most 16
};

}  // namespace cpns::server
