#include "actors/radio.hpp"

#include <utility>

#include "actors/late_radio.hpp"
#include "base/log.hpp"
#include "plugins/isolation/isolated_transport.hpp"

namespace cpns::actors {
namespace {

const radio_event nothing{.text = {}, .message = {}};  // replaces an event that was discarded

bool is_nothing(const radio_event& e) { return e.kind == radio_event::kind_t::message && e.link == 0; }

}  // namespace

void radio_inbox::push(radio_event e) {
  using enum radio_event::kind_t;
  e.transport = transport_;
  bool was_empty = false;
  {
    std::lock_guard lock{guard_};
    if (e.kind == link_down && forget_unseen(e.link)) return;
    const bool droppable =
        e.kind == message || e.kind == peer_found || e.kind == connect_failed || e.kind == woke;
    if (droppable && (events_.size() >= most_.events || bytes_ + e.message.size() > most_.bytes)) {
      ++dropped_;
      return;
    }
    if (e.kind == message || e.kind == link_up || e.kind == link_down) {
      auto& of_link = of_links_[e.link];
      if (e.kind == message && of_link.size() >= messages_of_link_max) {
        ++dropped_;
        return;
      }
      of_link.push_back(events_.size());
    }
    bytes_ += e.message.size();
    was_empty = events_.empty();
    events_.push_back(std::move(e));
  }
  if (was_empty) wake_();
}

/// Discards all events of a link that came up and went down since the last take(): a peer that reconnects
/// faster than the role works costs no memory.
bool radio_inbox::forget_unseen(plugins::link_id link) {
  const auto it = of_links_.find(link);
  if (it == of_links_.end() || events_[it->second.front()].kind != radio_event::kind_t::link_up) return false;
  for (const auto at : it->second) {
    bytes_ -= events_[at].message.size();
    events_[at] = nothing;
  }
  nothings_ += it->second.size();
  of_links_.erase(it);
  if (nothings_ > nothings_max && nothings_ * 2 > events_.size()) compact();
  return true;
}

void radio_inbox::compact() {
  std::erase_if(events_, is_nothing);
  nothings_ = 0;
  of_links_.clear();
  for (std::size_t i = 0; i < events_.size(); ++i)
    if (const auto link = events_[i].link; link != 0) of_links_[link].push_back(i);
}

std::vector<radio_event> radio_inbox::take() {
  std::lock_guard lock{guard_};
  if (nothings_ != 0) compact();
  of_links_.clear();
  bytes_ = 0;
  return std::exchange(events_, {});
}

std::uint64_t radio_inbox::dropped() const {
  std::lock_guard lock{guard_};
  return dropped_;
}

void radio_inbox::count_dropped() {
  std::lock_guard lock{guard_};
  ++dropped_;
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
void radio_inbox::connect_failed(std::string address, std::string why) {
  push({.kind = radio_event::kind_t::connect_failed,
        .text = std::move(address) + (why.empty() ? "" : ": " + why),
        .message = {}});
}
void radio_inbox::woke(std::string address) {
  push({.kind = radio_event::kind_t::woke, .text = std::move(address), .message = {}});
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

radio_rssi_fn rssi_over(std::vector<open_radio_entry> radios) {
  return [radios = std::move(radios)](std::uint64_t transport, std::uint64_t link) {
    return radios[transport].transport->quality(link).rssi_dbm;
  };
}

namespace {

plugins::transport_spec spec_of(const config::transport_config& t,
                                const std::vector<config::path>& plugin_dirs, plugins::transport_role as) {
  plugins::transport_spec spec{t.plugin, as, t.params, {}};
  for (const auto& d : plugin_dirs) spec.plugin_dirs.push_back(d.string());
  return spec;
}

config::mark place_of(const config::transport_origin& o, const std::string& parameter) {
  const auto it = o.params.find(parameter);
  return it == o.params.end() ? o.at : it->second;
}

/// A load error is located at the plugin's name, any other at the parameter or the transport.
config::diagnostic as_diagnostic(const config::transport_config& t, const plugins::open_error& why) {
  const auto at = why.code == errc::plugin_load || why.code == errc::plugin_incompatible
                      ? t.origin.plugin
                      : place_of(t.origin, why.parameter);
  return {at, why.code, "transport " + t.name + ": " + why.detail};
}

error as_error(const config::transport_config& t, std::vector<config::diagnostic> all) {
  if (!t.origin.file.empty()) return config::diagnostics{t.origin.file, std::move(all)}.as_error();
  return {all.front().code, all.front().text};
}

plugins::open_result<std::unique_ptr<plugins::transport>>
open_in_its_place(const config::transport_config& t, const plugins::transport_spec& spec,
                  plugins::transport_listener& listener) {
  if (t.isolation == config::isolation_kind::process) {
    plugins::isolation::isolation_settings settings;
    settings.name = t.name;
    return plugins::isolation::open_isolated(spec, std::move(settings), listener);
  }
  CPNS_CHECK(plugins::probe_transport(spec));
  return plugins::load_transport(spec, listener);
}

/// Checks the parameters against the plugin's declaration.
config::diagnostics check_declared(const config::transport_config& t, const plugins::transport_spec& spec,
                                   plugins::transport_role as) {
  config::diagnostics out{t.origin.file, {}};
  const auto plugin = plugins::describe_transport(spec);
  if (!plugin) {
    out.all.push_back(as_diagnostic(t, plugin.error()));
    return out;
  }
  for (const auto& p : plugins::check_parameters(*plugin, as, t.params))
    out.add(place_of(t.origin, p.name), p.code, "transport " + t.name + ": " + p.text);
  out.sort();
  return out;
}

}  // namespace

config::diagnostics check_radio(const config::transport_config& t,
                                const std::vector<config::path>& plugin_dirs, plugins::transport_role as) {
  const auto spec = spec_of(t, plugin_dirs, as);
  auto out = check_declared(t, spec, as);
  if (!out.none()) return out;
  // A value of the declared form can still be invalid. A resource that this machine lacks at present (an
  // adapter, an address) is not a fault of the file.
  if (auto probed = plugins::probe_transport(spec); !probed && probed.error().code == errc::config_range)
    out.all.push_back(as_diagnostic(t, std::move(probed).error()));
  return out;
}

result<plugins::plugin_description> describe_radio(const config::transport_config& t,
                                                   const std::vector<config::path>& plugin_dirs,
                                                   plugins::transport_role as) {
  return plugins::describe_transport(spec_of(t, plugin_dirs, as));
}

status try_radio(const config::transport_config& t, const std::vector<config::path>& plugin_dirs,
                 plugins::transport_role as) {
  const auto spec = spec_of(t, plugin_dirs, as);
  const auto done = [&]() -> plugins::open_result<void> {
    CPNS_CHECK(plugins::probe_transport(spec));
    // The probe leaves out what only one process can have, such as a port.
    radio_inbox nobody{0, [] {}};
    plugins::isolation::isolation_settings settings;
    settings.name = t.name;
    CPNS_TRY(const auto opened, plugins::isolation::open_isolated(spec, std::move(settings), nobody));
    opened->close();
    return {};
  }();
  if (done) return {};
  return fail(done.error().code, done.error().detail);
}

result<std::unique_ptr<plugins::transport>> open_radio(const config::transport_config& t,
                                                       const std::vector<config::path>& plugin_dirs,
                                                       plugins::transport_role as,
                                                       plugins::transport_listener& listener,
                                                       const std::string& component, if_missing missing) {
  const auto spec = spec_of(t, plugin_dirs, as);
  if (auto wrong = check_declared(t, spec, as); !wrong.none()) return fail(as_error(t, std::move(wrong.all)));
  const auto open = [t, spec, &listener]() -> plugins::open_result<std::unique_ptr<plugins::transport>> {
    auto opened = open_in_its_place(t, spec, listener);
    if (opened && t.power == config::power_kind::saving)
      CPNS_CHECK((*opened)->set_power(plugins::power_level::saving));
    return opened;
  };
  const late_radio_events events{
      [t, component](const plugins::transport_info& info) {
        log::info(component, "radio-open", "the radio is open",
                  {{"transport", t.name}, {"plugin", t.plugin}, {"version", info.version}});
      },
      [t, component](const error& why) {
        log::error(component, "radio-refused", why.message() + "; retrying every 5 s",
                   {{"transport", t.name}});
      }};
  auto opened = open();
  if (opened) {
    events.open((*opened)->info());
    return std::move(*opened);
  }
  // A missing resource (address, adapter, service) may appear later; any other error needs the operator.
  const bool waits = missing == if_missing::wait && opened.error().code == errc::plugin_failed;
  auto cause = opened.error().detail;
  auto why = as_error(t, {as_diagnostic(t, std::move(opened).error())});
  if (!waits) return fail(std::move(why));
  events.refused(why);
  return make_late_radio(t.plugin, std::move(cause), open, events);
}

}  // namespace cpns::actors
