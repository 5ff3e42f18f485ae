#include "server/key_services.hpp"

#include "metrics/certificates.hpp"
#include "server/batch_book.hpp"

namespace cpns::server {

result<std::unique_ptr<key_services>> key_services::open(const config::temporary_keys_config& c,
                                                         const key_service::parts& with) {
  auto out = std::make_unique<key_services>();
  for (std::size_t i = 0; i < c.services.size(); ++i) {
    const auto setting = config::service_key(i) + "tls";
    CPNS_TRY(auto one, key_service::open(c.services[i], setting, with));
    out->all_.push_back(std::move(one));
  }
  return out;
}

key_service* key_services::of(const entity_id& entity) const {
  for (const auto& s : all_)
    if (s->names(entity)) return s.get();
  return nullptr;
}

status key_services::accepts(const std::vector<entity_range>& ids) const {
  for (const auto& s : all_)
    for (const auto& theirs : s->entities())
      for (const auto& ours : ids)
        if (ours.overlaps(theirs))
          return fail(errc::state_conflict, "'" + ours.text() + "' overlaps '" + theirs.text() +
                                                "' of the service " + s->name() +
                                                " (temporary_keys.services of the configuration)");
  return {};
}

status key_services::accepts(const batch_book& batches) const {
  if (empty()) return {};
  for (const auto& batch : batches.list({}, {}, batch_book::batches_max))
    if (auto taken = accepts(batch->ids); !taken)
      return fail(errc::state_conflict, "batch " + batch->batch + ": " + taken.error().detail +
                                            "; an Entity ID has one source of its Temporary Key: shorten the "
                                            "entities of the service, or remove the batch with the service "
                                            "taken out of the file");
  return {};
}

boost::json::object key_services::view() const {
  boost::json::object out;
  for (const auto& s : all_) out[s->name()] = s->view();
  return out;
}

void key_services::look() {
  for (const auto& s : all_) s->look();
}

void key_services::read_again() {
  for (const auto& s : all_) s->read_again();
}

void key_services::collect(metrics::sheet& to) const {
  for (const auto& s : all_) s->collect(to);
}

}  // namespace cpns::server
