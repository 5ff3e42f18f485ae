#include "actors/application_keys/gateway_offer.hpp"

#include <utility>
#include <vector>

namespace cpns::actors {
namespace {

/// Of a page.
constexpr std::size_t devices_per_page = 64, keys_per_page = 256;

}  // namespace

result<std::optional<offered_device>> gateway_offer::find(const entity_id& entity) const {
  CPNS_TRY(const auto found, rows_.get(storage::table::peers, as_bytes(entity.text())));
  if (!found) return std::optional<offered_device>{};
  auto record = protocol::decode_device_record(found->expose());
  if (!record) return fail(record.error().code, entity.text() + ": " + record.error().detail);
  return std::optional{offer_of(*record, next_max_)};
}

result<offered_keys::page> gateway_offer::read_page(const std::string& after, const visitor& each) const {
  page out;
  std::size_t keys = 0;
  CPNS_TRY(out.next, rows_.page(
                         storage::table::peers, after, devices_per_page,
                         [&](byte_view, const secret_bytes& value) {
                           const auto record = protocol::decode_device_record(value.expose());
                           if (!record) {
                             ++out.unreadable;
                             return true;
                           }
                           auto offer = offer_of(*record, next_max_);
                           keys += offer.keys.size();
                           each(std::move(offer));
                           return keys < keys_per_page;
                         },
                         [&out](const error&) { ++out.unreadable; }));
  return out;
}

/// Programs learn of a key before the output that follows its record: a KDEL leaves later. After a failed write, too: the
/// store may have the old record or the new one, and a program reads the one that is durable.
storage::commit_done announcing(key_changes& to, const storage::sealed_batch& batch,
                                storage::commit_done done) {
  std::vector<entity_id> devices;
  for (const auto& op : batch)
    if (op.table == storage::table::peers)
      if (auto device = entity_id::parse(as_text(op.row))) devices.push_back(std::move(*device));
  return [&to, devices = std::move(devices), done = std::move(done)](const status& s) {
    for (const auto& device : devices) to.changed(device);
    done(s);
  };
}

}  // namespace cpns::actors
