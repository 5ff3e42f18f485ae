// Questions and commands of the API.
#include "actors/pn_gw/gathering.hpp"
#include "actors/pn_gw/supervisor_impl.hpp"
#include "actors/pn_gw/views.hpp"
#include "actors/radio_view.hpp"
#include "base/log.hpp"

namespace cpns::actors {

using namespace protocol;

gw_view supervisor_state::stats() const {
  return {describe_counts({devices_.size(), routes_.size(), by_number_.size() + unproven_.waiting(),
                           unproven_.size(), dropped(), lines_->left_out(), deaths_, resting_})};
}

gw_view supervisor_state::radios() const {
  radio_links links(parts_.radios.size());
  for (const auto& [link, r] : routes_) {
    const auto d = devices_.find(r.device);
    links.add(link.transport, link.link, r.address.text(),
              d == devices_.end() ? std::string{} : d->second.entity.text());
  }
  return {describe_radios(parts_.radios, links)};
}

/// The work is bounded by `count`, whatever the number of devices.
caf::result<gw_view> supervisor_state::page(const sup_page& m) const {
  std::vector<device_actor> found;
  boost::json::array notes;
  auto it = m.prefix > m.after ? by_entity_.lower_bound(m.prefix) : by_entity_.upper_bound(m.after);
  for (; it != by_entity_.end() && found.size() + notes.size() < m.count &&
         it->first.view().starts_with(m.prefix);
       ++it) {
    const auto d = devices_.find(it->second);
    if (d == devices_.end()) continue;
    if (d->second.rested)
      notes.push_back(note_of(d->second).json);
    else
      found.push_back(d->second.work->actor);
  }
  return gather(self_, found, std::move(notes));
}

caf::result<gw_view> supervisor_state::show(const sup_show& m) const {
  const auto it = by_entity_.find(m.entity);
  const auto d = it == by_entity_.end() ? devices_.end() : devices_.find(it->second);
  if (d != devices_.end() && !d->second.rested)
    return self_->delegate(d->second.work->actor, gw_describe{m.in_full});
  auto stored = d == devices_.end() ? show_stored_device(*parts_.store, m.entity)
                                    : show_device_at_rest(*parts_.store, note_of(d->second).json.as_object());
  if (!m.in_full || !stored.is_object()) return gw_view{std::move(stored)};
  if (const auto on = d == devices_.end() ? std::nullopt : d->second.rested->link())
    if (const auto dbm = rssi_(on->transport, on->link)) stored.get_object()["rssi_dbm"] = *dbm;
  describe_past(stored.get_object(), parts_.history->of(m.entity));
  return gw_view{std::move(stored)};
}

/// The device, which is loaded from the store if it is not in memory; an error for the operator if there is none.
result<std::uint64_t> supervisor_state::present(const std::string& entity) {
  CPNS_TRY(const auto id, entity_id::parse(entity));
  auto it = by_entity_.find(entity);
  if (it == by_entity_.end()) {
    CPNS_TRY(auto stored, parts_.store->read(id));
    if (!stored.record) return fail(errc::state_unknown, "the gateway has no device " + entity);
    spawn(id, std::move(stored));
    it = by_entity_.find(entity);
  }
  auto& device = devices_.at(it->second);
  if (device.evicting) return fail(errc::state_conflict, entity + " is being evicted from memory; try again");
  keep_alive(device);
  return it->second;
}

template <class Message>
caf::result<std::string> supervisor_state::ask(std::uint64_t device, Message m) {
  auto promise = self_->make_response_promise<std::string>();
  with_actor(device, [this, promise, m](const device_actor& actor) mutable {
    self_->request(actor, caf::infinite, m)
        .then([promise](const std::string& why) mutable { promise.deliver(why); },
              [promise](const caf::error&) mutable {
                promise.deliver(std::string{"not known to be done: the actor of the device ended"});
              });
  });
  return promise;
}

/// The device's actor replies: to "approve" and "reject" after the decision is durable.
caf::result<std::string> supervisor_state::command(const sup_command& m) {
  const auto device = present(m.entity);
  if (!device) return device.error().detail;
  if (m.what == "update") return ask(*device, gw_update{});
  if (m.what != "approve" && m.what != "reject") return "unknown command " + m.what;
  return ask(*device, gw_decision{m.what == "approve"});
}

caf::result<std::string> supervisor_state::forget_device(const sup_forget& m) {
  const auto device = present(m.entity);
  if (!device) return device.error().detail;
  auto promise = self_->make_response_promise<std::string>();
  with_actor(*device, [this, promise, number = *device, entity = m.entity](const device_actor& actor) {
    self_->request(actor, caf::infinite, gw_forget{})
        .then(
            [this, promise, number, entity](const std::string& why) mutable {
              if (why.empty()) {
                log::info(gateway_component, "forgotten", "the record and the keys of the PNE are erased",
                          {{"entity", entity}});
                parts_.history->forget(entity);
                if (const auto it = devices_.find(number); it != devices_.end()) let_go(it);
              }
              promise.deliver(why);
            },
            [promise](const caf::error&) mutable {
              promise.deliver(std::string{"not known to be done: the actor of the device ended"});
            });
  });
  return promise;
}

gw_permit supervisor_state::permit(const sup_permit& m) {
  gw_permit out{};
  if (m.what == sup_permit::what_t::open && parts_.rules->device.policy != validation_policy::ask) {
    out.refused = "the permit window replaces the policy `ask`, and validation.policy has another value";
  } else if (m.what == sup_permit::what_t::open) {
    permit_.open(clock(), m.length);
    log::info(gateway_component, "permit-opened",
              "new devices are accepted without a question, for a limited time",
              {{"minutes", std::to_string(m.length.count())}});
    send_settings();
    arm();
  } else if (m.what == sup_permit::what_t::close && permit_.is_open()) {
    close_permit("permit-closed", "an operator closed the permit window");
  }
  out.left = permit_.left(clock());
  out.open = out.left.count() > 0;
  return out;
}

void supervisor_state::close_permit(std::string_view event, std::string_view text) {
  permit_.close();
  log::info(gateway_component, event, text);
  send_settings();
}

}  // namespace cpns::actors
