#pragma once
// Where the server finds the Temporary Key of a device (step 7): the record of the imported device, else its batch, else the
// service of its manufacturer. A device whose record says that it is blocked is unknown. An error of one source is an error:
// none stands in for another.

#include "server/batch_book.hpp"
#include "server/key_services.hpp"
#include "server/users.hpp"

namespace cpns::server {

class temporary_key_sources final : public temporary_key_source {
 public:
  /// All outlive the object.
  temporary_key_sources(temporary_key_source& imported, const batch_book& batches, const crypto::suite& s)
      : imported_(imported), batches_(batches), s_(s) {}
  result<std::optional<protocol::device_secret_record>>
  find(const entity_id& entity, const result<storage::sealed_value>& row) override;
  /// The service to ask for the key of a device that has neither this row nor a batch; nullptr: there is none.
  [[nodiscard]] key_service* service_of(const entity_id& entity,
                                        const result<storage::sealed_value>& row) const;
  /// Before the first request. They outlive the requests.
  void use(key_services& services) { services_ = &services; }
  /// nullptr: use() was not called.
  [[nodiscard]] const key_services* services() const { return services_; }

 private:
  temporary_key_source& imported_;
  const batch_book& batches_;
  const crypto::suite& s_;
  key_services* services_ = nullptr;
};

}  // namespace cpns::server
