#include "actors/pn_gw/stored_view.hpp"

#include <boost/json.hpp>

#include "actors/pn_gw/device.hpp"
#include "actors/pn_gw/device_view.hpp"
#include "base/log.hpp"

namespace cpns::actors {

std::vector<std::string> describe_stored_devices(const key_store& store,
                                                 const std::function<bool(const std::string&)>& is_live) {
  std::vector<std::string> out;
  const auto all = store.all();
  if (!all) {
    log::error(gateway_component, "store-unreadable", all.error().message());
    return out;
  }
  for (const auto& r : all->records)
    if (!is_live(r.entity.text())) out.push_back(describe_stored(r));
  return out;
}

std::string show_stored_device(const key_store& store, const std::string& entity) {
  const auto id = entity_id::parse(entity);
  if (!id) return {};
  const auto record = store.load(*id);
  return record && *record ? describe_stored(**record) : std::string{};
}

std::vector<protocol::device_record> unfinished_devices(const key_store& store) {
  std::vector<protocol::device_record> out;
  auto all = store.all();
  if (!all) {
    log::error(gateway_component, "store-unreadable", all.error().message());
    return out;
  }
  for (const auto& e : all->unreadable)
    log::error(gateway_component, "record-unreadable",
               e.message() + "; its device is not served until the store is restored from a backup");
  for (auto& r : all->records)
    if (owes_server(r)) out.push_back(std::move(r));
  log::info(gateway_component, "store-loaded", "the secure store is read",
            {{"devices", std::to_string(all->records.size())}});
  return out;
}

std::string describe_counts(const supervisor_counts& c) {
  boost::json::object o;
  o["devices"] = c.devices;
  o["links"] = c.links;
  o["links_without_device"] = c.links_without_device;
  o["links_unproven"] = c.links_unproven;
  o["messages_dropped"] = c.messages_dropped;
  o["lines_left_out"] = c.lines_left_out;
  o["devices_died"] = c.devices_died;
  return boost::json::serialize(o);
}

}  // namespace cpns::actors
