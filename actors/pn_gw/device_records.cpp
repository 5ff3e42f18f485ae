#include "actors/pn_gw/device_records.hpp"

#include <chrono>
#include <mutex>
#include <utility>

#include "base/log.hpp"
#include "crypto/suite.hpp"

namespace cpns::actors {

using namespace protocol;

namespace {

constexpr seconds progress_pause{5};

/// Whether a record with this standing belongs to a machine in this state.
bool stands_as(pn_gw_state state, device_standing standing) {
  return (state == pn_gw_state::held_elsewhere) == (standing == device_standing::held_elsewhere) &&
         (state == pn_gw_state::quarantined) == (standing == device_standing::quarantined) &&
         (state == pn_gw_state::rejected) == (standing == device_standing::rejected) &&
         (state == pn_gw_state::revoked) == (standing == device_standing::revoked);
}

}  // namespace

status read_record(device_parts& parts) {
  const auto entity = parts.record.entity;
  auto kept = parts.shared->store->read(entity);
  if (kept && kept->record) {
    parts.record = std::move(*kept->record);
    parts.row = kept->row;
    return {};
  }
  auto why =
      kept ? error{errc::state_unknown, "the store has no record of a device that rested"} : kept.error();
  log::error(gateway_component, "record-unreadable", kept ? why.detail : why.message(),
             {{"entity", entity.text()}});
  return fail(std::move(why));
}

gw_dates dates_now(const shared_parts& shared) {
  return shared.dates ? shared.dates() : gw_dates{shared.clock()};
}

pn_gw_machine machine_of(const shared_parts& shared, const pn_gw_settings& settings, device_record record) {
  return {settings,       std::move(record), crypto::openssl_suite(), crypto::system_entropy(),
          shared.clock(), dates_now(shared), shared.claimants.get()};
}

pn_gw_machine machine_after_rest(const shared_parts& shared, const pn_gw_settings& settings,
                                 device_parts& parts) {
  return {settings,       std::move(parts.record), *parts.rested,
          parts.place,    crypto::openssl_suite(), crypto::system_entropy(),
          shared.clock(), dates_now(shared),       shared.claimants.get()};
}

void keep_retired(const shared_parts& shared, const gw_persist& o) {
  const auto* own = o.record->own();
  if (o.retired && own != nullptr && shared.previous != nullptr)
    shared.previous->keep(o.record->entity, o.retired->which, o.retired->eukey, own->which);
}

bool may_be_read_later(const error& why) {
  return fault_of(why.code) == fault::store && why != errc::store_damaged && why != errc::store_sealed;
}

bool is_of_no_use(pn_gw_state state, const device_record& record) {
  if (state == pn_gw_state::rejected || state == pn_gw_state::revoked) return true;
  return (state == pn_gw_state::found || state == pn_gw_state::backing_off ||
          state == pn_gw_state::awaiting_approval) &&
         record.generation == 0;
}

bool may_go_on(const pn_gw_machine& machine, const device_record& stored) {
  return stands_as(machine.state(), stored.standing) && !stored.has_unproven() &&
         encode(stored) == encode(machine.record());
}

result<std::vector<entity_id>> unfinished_devices(key_store& store,
                                                  const std::function<void(const device_summary&)>& each) {
  constexpr std::size_t look_at_clock = 4096;
  std::mutex guard;
  std::vector<entity_id> out;
  std::size_t count = 0;
  auto said = std::chrono::steady_clock::now();
  CPNS_CHECK(store.summaries(
      [&](device_summary s) {
        const std::lock_guard lock{guard};
        if (++count % look_at_clock == 0 && std::chrono::steady_clock::now() - said >= progress_pause) {
          said = std::chrono::steady_clock::now();
          log::info(gateway_component, "store-loading", "the secure store is being loaded",
                    {{"devices", std::to_string(count)}});
        }
        each(s);
        if (s.to_report || s.refills || s.unproven) out.push_back(std::move(s.entity));
      },
      [](const error& e) {
        log::error(gateway_component, "record-unreadable",
                   e.message() + "; its device is not served until the store is restored from a backup");
      }));
  log::info(gateway_component, "store-loaded", "the secure store is loaded",
            {{"devices", std::to_string(count)}, {"owing", std::to_string(out.size())}});
  return out;
}

}  // namespace cpns::actors
