#include "actors/pne/pne_role.hpp"

#include <algorithm>
#include <atomic>
#include <boost/json/value.hpp>

#include "actors/application_keys/pne_offer.hpp"
#include "actors/command_error.hpp"
#include "actors/key_source.hpp"
#include "actors/pne/fleet.hpp"
#include "actors/radio.hpp"
#include "actors/radio_metrics.hpp"
#include "actors/radio_view.hpp"
#include "actors/system.hpp"
#include "base/log.hpp"
#include "config/memory_budget.hpp"
#include "crypto/suite.hpp"
#include "storage/key_protector.hpp"

namespace cpns::actors {
namespace {

/// The actor of a device with a key file of its own blocks until that is on the disk, and overlapping writes share the
/// flush: with 2 workers a thousand such devices took twice as long as with 16.
constexpr std::size_t workers_for(std::size_t files) { return std::clamp<std::size_t>(files, 2, 16); }

protocol::pne_settings settings_of(const config::pne_config& c, const manufactured_device& d) {
  protocol::pne_settings s;
  s.entity = d.entity;
  s.temporary_key = d.temporary_key;
  s.lowest_suite = static_cast<std::uint8_t>(*std::min_element(c.suites.begin(), c.suites.end()));
  s.strict_chain = c.require_chain == config::chain_rule::strict;
  s.unchained_window = std::chrono::duration_cast<seconds>(c.unchained_window);
  if (c.answer_window) s.answer_window = std::chrono::duration_cast<seconds>(*c.answer_window);
  return s;
}

/// Checks that every radio can present all devices. An error if no radio can; a warning for each that cannot.
status check_capacity(std::size_t devices, const std::vector<open_radio_entry>& radios) {
  std::string too_small;
  for (const auto& r : radios) {
    const auto& can = r.transport->info();
    if (devices > can.max_endpoints) {
      too_small += (too_small.empty() ? "" : "; ") + ("the radio " + r.name) + " presents " +
                   std::to_string(can.max_endpoints) + " PNEs at most";
    } else if (devices > can.max_links) {
      log::warn(pne_component, "limits-contradict",
                std::to_string(devices) + " devices, but the radio " + r.name + " allows " +
                    std::to_string(can.max_links) +
                    " links (limited by its parameters and by the open files of this process: ulimit -n, "
                    "LimitNOFILE); the other devices wait for a free link",
                {{"transport", r.name}});
    }
  }
  const bool nowhere = std::all_of(radios.begin(), radios.end(), [devices](const open_radio_entry& r) {
    return devices > r.transport->info().max_endpoints;
  });
  const auto text = too_small + ", and this process has " + std::to_string(devices) +
                    ": raise the parameter of the radio (tcp, loopback: max_links), or run more processes "
                    "with fewer devices";
  if (nowhere) return fail(errc::state_exhausted, text);
  if (!too_small.empty()) log::warn(pne_component, "limits-contradict", text);
  return {};
}

}  // namespace

struct pne_role::impl {
  metrics::registry counted;
  key_changes offered_changes;
  consumers programs{std::string{pne_component}, offered_changes};
  std::unique_ptr<previous_keys> previous;  ///< with application_keys
  // In the order of construction; torn down in reverse by drain().
  std::vector<descriptor> locks;
  std::unique_ptr<slot_store> slots;  ///< null without a `keys_dir`
  std::atomic<bool> failed{false};
  std::vector<std::shared_ptr<radio_inbox>> inboxes;
  std::vector<std::unique_ptr<plugins::transport>> transports;
  std::vector<open_radio_entry> radios;  ///< all of `transports`, in their order
  std::unique_ptr<actor_runtime> runtime;
  fleet_actor fleet;
  std::shared_ptr<std::atomic<fleet_actor*>> wake_target =
      std::make_shared<std::atomic<fleet_actor*>>(nullptr);
  std::unique_ptr<storage::key_changer> keys;
  std::unique_ptr<offered_keys> offer;
  std::size_t count = 0;
  bool down = false;
};

pne_role::pne_role(std::unique_ptr<impl> i) : impl_(std::move(i)) {}
pne_role::~pne_role() { drain(); }

result<std::unique_ptr<pne_role>> pne_role::start(const config::pne_config& c,
                                                  const storage::key_protector& protector,
                                                  const std::vector<manufactured_device>& devices,
                                                  const open_store_fn& open_store,
                                                  std::vector<storage::key_place> more_keys) {
  auto made = std::unique_ptr<pne_role>{new pne_role{std::make_unique<impl>()}};
  auto& m = *made->impl_;
  CPNS_TRY(auto own, open_keys(c, protector, devices, open_store, crypto::system_entropy(), m.counted));
  fleet_parts parts;
  parts.wake = c.wake;
  parts.clock = now_anchored;
  parts.mailboxes = memory_of(c).mailboxes;
  std::vector<pne_offer::place> offered;
  for (std::size_t i = 0; i < devices.size(); ++i) {
    auto& d = own.devices[i];
    if (c.application_keys) {
      offered.push_back({devices[i].entity, std::move(d.file), d.keys == nullptr});
      if (d.keys) d.keys = std::make_shared<announced_keys>(d.keys, devices[i].entity, m.offered_changes);
    }
    parts.members.push_back({settings_of(c, devices[i]), std::move(d.keys), std::move(d.record)});
  }
  m.count = devices.size();
  m.locks = std::move(own.locks);
  m.slots = std::move(own.slots);
  if (c.application_keys) {
    m.previous =
        std::make_unique<previous_keys>(*c.application_keys, crypto::openssl_suite(), m.offered_changes);
    m.offer = std::make_unique<offer_with_previous>(
        std::make_unique<pne_offer>(std::move(offered), m.slots.get()), *m.previous);
    parts.previous = m.previous.get();
  }
  auto& places = own.places;
  auto place = !c.keys_dir.empty() ? c.keys_dir.string()
               : places.empty()    ? std::string{}
                                   : places.front().name;
  for (auto& key : more_keys) places.push_back(std::move(key));
  m.keys = std::make_unique<storage::key_changer>(key_source_of(c.protector), std::move(places),
                                                  std::move(place), "pne");
  m.runtime = std::make_unique<actor_runtime>(workers_for(own.files));
  for (const auto& t : c.transports) {
    const auto number = m.transports.size();
    m.inboxes.push_back(std::make_shared<radio_inbox>(
        number,
        [target = m.wake_target] {
          if (const auto* fleet = target->load(std::memory_order_acquire))
            caf::anon_send(*fleet, fleet_radio_ready{});
        },
        bounds_of(memory_of(c))));
    CPNS_TRY(auto opened, open_radio(t, c.plugin_dirs, plugins::transport_role::peripheral, *m.inboxes.back(),
                                     std::string{pne_component}));
    parts.radios.push_back({t.name, m.inboxes.back(), opened.get()});
    m.transports.push_back(std::move(opened));
  }
  CPNS_CHECK(check_capacity(devices.size(), parts.radios));
  m.radios = parts.radios;
  parts.failed = [&m](const std::string&) { m.failed = true; };
  parts.counted = pne_metrics{m.counted};
  m.counted.collect([role = made.get(), radios = parts.radios](metrics::sheet& to) {
    for (const auto& r : radios) add_radio(to, r);
    role->add_devices(to);
  });
  m.fleet = spawn_fleet(m.runtime->system(), std::move(parts));
  m.wake_target->store(&m.fleet, std::memory_order_release);
  caf::anon_send(m.fleet, fleet_radio_ready{});  // for events before the target was set
  return made;
}

status pne_role::command(const std::string& what, const std::string& entity) {
  pne_command c;
  if (what == "wake")
    c = pne_command::wake;
  else if (what == "sleep")
    c = pne_command::sleep;
  else if (what == "button")
    c = pne_command::button;
  else if (what == "reset")
    c = pne_command::factory_reset;
  else
    return fail(errc::config_usage, "unknown command " + what + "; expected wake, sleep, button or reset");
  if (!entity.empty()) {
    CPNS_TRY(const auto found, list({}, entity, 1));
    const auto is_it = [&entity](const boost::json::value& row) {
      const auto& name = row.as_object().at("entity").as_string();
      return std::string_view{name.data(), name.size()} == entity;
    };
    if (found.empty() || !is_it(found.front()))
      return fail(errc::state_unknown, "this process has no device " + entity);
  }
  caf::scoped_actor self{impl_->runtime->system()};
  status out;
  self->request(impl_->fleet, std::chrono::seconds(8), fleet_command{entity, c})
      .receive(
          [&out](const std::string& wrong) {
            if (!wrong.empty()) out = fail(command_error(wrong));
          },
          [&out](const caf::error&) {
            out = fail(errc::peer_timeout, "not known to be done: the devices did not answer within 8 s");
          });
  return out;
}

result<boost::json::array> pne_role::list(const std::string& after, const std::string& prefix,
                                          std::size_t count) {
  caf::scoped_actor self{impl_->runtime->system()};
  result<boost::json::array> out = fail(errc::peer_timeout, "the devices did not answer within 5 s");
  self->request(impl_->fleet, std::chrono::seconds(5), fleet_page{after, prefix, count})
      .receive([&out](fleet_view& got) { out = std::move(got.devices); }, [](const caf::error&) {});
  return out;
}

result<boost::json::object> pne_role::radios() {
  caf::scoped_actor self{impl_->runtime->system()};
  result<boost::json::object> out = fail(errc::peer_timeout, "the radios did not answer within 5 s");
  self->request(impl_->fleet, std::chrono::seconds(5), fleet_radios{})
      .receive([&out](fleet_radios_view& got) { out = std::move(got.json); }, [](const caf::error&) {});
  return out;
}

void pne_role::add_devices(metrics::sheet& to) {
  double awake = 0, unreadable = 0, links = 0;
  const auto all = list({}, {}, devices());
  if (!all) return;
  for (const auto& one : *all) {
    const auto& o = one.as_object();
    awake += o.at("awake").as_bool() ? 1 : 0;
    links += static_cast<double>(o.at("links").to_number<std::uint64_t>());
    unreadable += o.contains("key_file") ? 1 : 0;
  }
  to.gauge("cpns_pne_awake", "Devices that are awake, so that the radios present them.", awake);
  to.gauge("cpns_pne_links", "Links of the devices to gateways.", links);
  to.gauge("cpns_pne_unreadable", "Devices that are off the radio, because their keys cannot be read.",
           unreadable);
}

metrics::registry& pne_role::counted() const { return impl_->counted; }

boost::json::object pne_role::overview() {
  boost::json::object out{{"devices", devices()}, {"radios", describe_radio_states(impl_->radios)}};
  if (impl_->slots) out["store"] = boost::json::object{{"writable", impl_->slots->health().writable}};
  return out;
}

std::vector<std::string> pne_role::not_ready() {
  if (failed()) return {"a radio failed, or no keys can be read, and the role ends"};
  if (!impl_->slots) return {};
  if (const auto health = impl_->slots->health(); !health.writable)
    return {"the store accepts no writes: " + health.why};
  return {};
}

const offered_keys* pne_role::offered() const { return impl_->offer.get(); }
consumers& pne_role::programs() const { return impl_->programs; }
key_changes& pne_role::offered_changes() const { return impl_->offered_changes; }

storage::key_changer& pne_role::keys() { return *impl_->keys; }

void pne_role::drain() {
  auto& m = *impl_;
  if (m.down) return;
  m.down = true;
  // Radios close first, so that no callback reaches an actor that is stopping.
  m.wake_target->store(nullptr, std::memory_order_release);
  for (auto& t : m.transports) t->close();
  if (m.runtime && m.fleet) {
    caf::scoped_actor self{m.runtime->system()};
    self->request(m.fleet, std::chrono::seconds(5), fleet_stop{})
        .receive([](bool) {}, [](const caf::error&) {});
    m.fleet = nullptr;
    if (m.slots) m.slots->wait_for_saves();  // their completions use actors
  }
  m.runtime.reset();
  m.radios.clear();
  m.transports.clear();
}

bool pne_role::failed() const { return impl_->failed || (impl_->slots && impl_->slots->health().lost); }
std::size_t pne_role::devices() const { return impl_->count; }

}  // namespace cpns::actors
