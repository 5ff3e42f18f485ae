#include "actors/radio.hpp"

#include <utility>

#include "base/log.hpp"

namespace cpns::actors {

void radio_inbox::push(radio_event e) {
  e.transport = transport_;
  bool was_empty = false;
  {
    std::lock_guard lock{guard_};
    const bool droppable =
        e.kind == radio_event::kind_t::message || e.kind == radio_event::kind_t::peer_found;
    if (droppable && events_.size() >= queued_messages_max) {
      ++dropped_;
      return;
    }
    was_empty = events_.empty();
    events_.push_back(std::move(e));
  }
  if (was_empty) wake_();
}

std::vector<radio_event> radio_inbox::take() {
  std::lock_guard lock{guard_};
  return std::exchange(events_, {});
}

std::uint64_t radio_inbox::dropped() const {
  std::lock_guard lock{guard_};
  return dropped_;
}

void radio_inbox::link_up(plugins::link_id link, plugins::endpoint_id endpoint, std::string address) {
  push({.kind = radio_event::kind_t::link_up,
        .link = link,
        .endpoint = endpoint,
        .text = std::move(address),
        .message = {}});
}
void radio_inbox::link_down(plugins::link_id link, std::string reason) {
  push({.kind = radio_event::kind_t::link_down, .link = link, .text = std::move(reason), .message = {}});
}
void radio_inbox::message(plugins::link_id link, bytes message) {
  push({.kind = radio_event::kind_t::message, .link = link, .text = {}, .message = std::move(message)});
}
void radio_inbox::peer_found(std::string address, std::int32_t rssi_dbm) {
  push(
      {.kind = radio_event::kind_t::peer_found, .text = std::move(address), .rssi = rssi_dbm, .message = {}});
}
void radio_inbox::failed(error why) {
  push({.kind = radio_event::kind_t::failed, .text = why.message(), .message = {}});
}

radio_send_fn sender_over(std::vector<open_radio_entry> radios, std::string component) {
  return [radios = std::move(radios),
          component = std::move(component)](std::uint64_t transport, std::uint64_t link, byte_view message) {
    if (const auto sent = radios[transport].transport->send(link, message); !sent)
      log::debug(component, "not-sent", sent.error().message(), {{"transport", radios[transport].name}});
  };
}

result<std::unique_ptr<plugins::transport>> open_radio(const config::transport_config& t,
                                                       const std::vector<config::path>& plugin_dirs,
                                                       plugins::transport_role as,
                                                       plugins::transport_listener& listener) {
  plugins::transport_spec spec{t.plugin, as, t.params, {}};
  for (const auto& d : plugin_dirs) spec.plugin_dirs.push_back(d.string());
  if (auto probed = plugins::probe_transport(spec); !probed) {
    auto why = std::move(probed).error();
    why.detail = "transport " + t.name + ": " + why.detail;
    return fail(std::move(why));
  }
  return plugins::load_transport(spec, listener);
}

}  // namespace cpns::actors
