#include "actors/pn_gw/device_records.hpp"

#include <utility>

#include "base/log.hpp"

namespace cpns::actors {

using namespace protocol;

status read_record(device_parts& parts) {
  const auto entity = parts.record.entity;
  auto kept = parts.store->load(entity);
  if (kept && *kept) {
    parts.record = std::move(**kept);
    return {};
  }
  auto why =
      kept ? error{errc::state_unknown, "the store has no record of a device that rested"} : kept.error();
  log::error(gateway_component, "record-unreadable", kept ? why.detail : why.message(),
             {{"entity", entity.text()}});
  return fail(std::move(why));
}

bool may_be_read_later(const error& why) {
  return fault_of(why.code) == fault::store && why != errc::store_damaged && why != errc::store_sealed;
}

bool stands_as(pn_gw_state state, device_standing standing) {
  return (state == pn_gw_state::held_elsewhere) == (standing == device_standing::held_elsewhere) &&
         (state == pn_gw_state::quarantined) == (standing == device_standing::quarantined) &&
         (state == pn_gw_state::rejected) == (standing == device_standing::rejected) &&
         (state == pn_gw_state::revoked) == (standing == device_standing::revoked);
}

result<std::vector<device_record>> unfinished_devices(const key_store& store,
                                                      const std::function<void(const device_record&)>& each) {
  std::vector<device_record> out;
  std::size_t count = 0;
  CPNS_CHECK(store.visit(
      [&](device_record r) {
        ++count;
        each(r);
        if (owes_server(r)) out.push_back(std::move(r));
      },
      [](const error& e) {
        log::error(gateway_component, "record-unreadable",
                   e.message() + "; its device is not served until the store is restored from a backup");
      }));
  log::info(gateway_component, "store-loaded", "the secure store is loaded",
            {{"devices", std::to_string(count)}});
  return out;
}

}  // namespace cpns::actors
