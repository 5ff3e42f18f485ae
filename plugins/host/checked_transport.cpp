#include "plugins/host/checked_transport.hpp"

#include <cstddef>
#include <mutex>
#include <utility>
#include <vector>

#include "plugins/host/checked_core.hpp"
#include "plugins/host/description.hpp"
#include "plugins/host/extensions.hpp"

namespace cpns::plugins {
namespace {

/// Never freed: a misbehaving plugin may call back after close().
checked_core& keep_forever(std::unique_ptr<checked_core> core) {
  static std::mutex guard;
  static auto* const kept = new std::vector<std::unique_ptr<checked_core>>;
  std::lock_guard lock{guard};
  kept->push_back(std::move(core));
  return *kept->back();
}

status from_plugin(cpns_status s, const std::string& what) {
  switch (s) {
  case CPNS_OK: return {};
  case CPNS_BAD_PARAMETER: return fail(errc::config_range, what);
  case CPNS_WOULD_BLOCK: return fail(errc::state_overloaded, what);
  case CPNS_NO_LINK: return fail(errc::plugin_link, what);
  case CPNS_LIMIT: return fail(errc::plugin_failed, what + ": over a limit declared by the plugin");
  case CPNS_UNSUPPORTED: return fail(errc::plugin_failed, what + ": not supported in this role");
  default: return fail(errc::plugin_failed, what);
  }
}

class checked_transport final : public transport {
 public:
  checked_transport(checked_core& core, const cpns_transport* plugin, transport_info info)
      : core_(core), plugin_(plugin), extensions_(*plugin), info_(std::move(info)) {}
  ~checked_transport() override { checked_transport::close(); }

  const transport_info& info() const override { return info_; }
  status scan(bool on) override {
    return called("scan", [on](const auto& p) { return p->scan(p->context, on); });
  }
  status add_endpoint(endpoint_id endpoint, std::string_view name) override {
    CPNS_CHECK(core_.reserve_endpoint(endpoint));
    const std::string text{name};
    auto added = called("presenting " + text,
                        [&](const auto& p) { return p->add_endpoint(p->context, endpoint, text.c_str()); });
    if (!added) core_.release_endpoint(endpoint);
    return added;
  }
  status remove_endpoint(endpoint_id endpoint) override {
    core_.release_endpoint(endpoint);
    return called("removing endpoint " + std::to_string(endpoint),
                  [&](const auto& p) { return p->remove_endpoint(p->context, endpoint), CPNS_OK; });
  }
  status connect(std::string_view address) override {
    const std::string text{address};
    return called("connecting to " + text,
                  [&](const auto& p) { return p->connect(p->context, text.c_str()); });
  }
  void cancel(std::string_view address) override {
    const checked_core::plugin_guard plugin{core_};
    if (!plugin || !CPNS_HAS(plugin.get(), cancel) || plugin->cancel == nullptr) return;
    plugin->cancel(plugin->context, std::string{address}.c_str());
  }
  status send(link_id link, byte_view message) override { return core_.send(link, message); }
  void disconnect(link_id link) override { core_.disconnect(link); }
  status set_power(power_level p) override {
    return called("setting the power level", [&](const auto&) { return extensions_.set_power(p); });
  }
  void forget_pairing(std::string_view address) override {
    if (const checked_core::plugin_guard plugin{core_}; plugin)
      extensions_.forget_pairing(std::string{address}.c_str());
  }
  link_quality quality(link_id link) const override {
    const checked_core::plugin_guard plugin{core_};
    return plugin && core_.is_up(link) ? extensions_.quality(link) : link_quality{};
  }
  std::vector<named_counter> counters() const override {
    const auto own = core_.counters();
    std::vector<named_counter> out{{"links", own.links},
                                   {"messages_sent", own.messages_sent},
                                   {"messages_received", own.messages_received},
                                   {"messages_dropped", own.dropped_messages},
                                   {"bad_frames", own.bad_frames},
                                   {"misbehaviour", own.misbehaviour},
                                   {"links_lost", own.links_lost},
                                   {"links_bad_frame", own.links_bad_frame},
                                   {"links_too_slow", own.links_too_slow},
                                   {"links_over_limit", own.links_over_limit}};
    if (const checked_core::plugin_guard plugin{core_}; plugin)
      for (auto& c : extensions_.counters()) out.push_back({"radio_" + c.name, c.value});
    return out;
  }
  void close() override {
    std::call_once(closed_, [this] {
      core_.retire_plugin();
      plugin_->close(plugin_->context);
      core_.end_loop();
      core_.detach();
    });
  }

 private:
  template <class Call>
  status called(const std::string& what, Call call) {
    const checked_core::plugin_guard plugin{core_};
    if (!plugin) return fail(errc::state_stopping, info_.name + " is closed");
    return from_plugin(call(plugin), info_.name + ": " + what);
  }

  checked_core& core_;
  const cpns_transport* plugin_;
  const plugin_extensions extensions_;
  transport_info info_;
  std::once_flag closed_;
};

/// The fault of an opened transport; empty: none.
std::string fault_of(const cpns_transport* t) {
  if (t == nullptr) return "open succeeded and returned no transport";
  if (!CPNS_HAS(t, get_extension)) return "its cpns_transport is smaller than that of interface 1.0";
  if (!t->get_limits || !t->scan || !t->add_endpoint || !t->remove_endpoint || !t->connect || !t->send ||
      !t->disconnect || !t->close || !t->get_extension)
    return "a function of its cpns_transport is missing";
  return {};
}

std::string fault_of(const cpns_limits& l) {
  if (l.mtu < mtu_min || l.mtu > mtu_max)
    return "it declares an MTU of " + std::to_string(l.mtu) + " bytes; 23 to 65535 are allowed";
  if (l.max_links == 0) return "it declares no links (max_links is 0)";
  if (l.duty_permille > 1000)
    return "it declares a duty cycle of " + std::to_string(l.duty_permille) +
           " thousandths; at most 1000 are allowed";
  return {};
}

}  // namespace

open_result<std::unique_ptr<transport>> open_checked(const cpns_transport_entry_t& entry, transport_role as,
                                                     const std::map<std::string, std::string>& params,
                                                     bool probe, transport_listener& listener,
                                                     simulated_clock* simulated) {
  const std::string name = entry.name != nullptr ? entry.name : "unnamed";
  const auto refuse = [](errc code, std::string why, std::string parameter = {}) {
    return tl::unexpected{open_error{error{code, std::move(why)}, std::move(parameter)}};
  };
  CPNS_TRY(const auto description, describe(entry));
  if (const auto wrong = check_parameters(description, as, params); !wrong.empty())
    return refuse(wrong.front().code, wrong.front().text, wrong.front().name);
  const auto all = with_presets(description, as, params);
  std::vector<cpns_parameter> list;
  for (const auto& [k, v] : all) list.push_back({k.c_str(), v.c_str()});
  const cpns_open_args args{sizeof(cpns_open_args),
                            as == transport_role::central ? CPNS_ROLE_CENTRAL : CPNS_ROLE_PERIPHERAL,
                            list.data(), list.size(), probe};
  auto& core = keep_forever(std::make_unique<checked_core>(name, simulated));
  core.attach(&listener);
  const auto give_up = [&core](const cpns_transport* plugin) {
    if (plugin != nullptr && CPNS_HAS(plugin, get_extension) && plugin->close) plugin->close(plugin->context);
    core.end_loop();
    core.detach();
  };
  const cpns_transport* plugin = nullptr;
  const auto opened = entry.open(&core.host(), &args, &plugin);
  if (opened != CPNS_OK) {
    give_up(nullptr);
    const auto reason = core.logged_warnings();
    return refuse(opened == CPNS_BAD_PARAMETER ? errc::config_range : errc::plugin_failed,
                  name + ": " + (reason.empty() ? "open failed and gave no reason" : reason),
                  opened == CPNS_BAD_PARAMETER ? core.refused_parameter() : std::string{});
  }
  if (const auto fault = fault_of(plugin); !fault.empty()) {
    give_up(plugin);
    return refuse(errc::plugin_misbehaved, name + ": " + fault);
  }
  cpns_limits limits{};
  limits.size = sizeof limits;
  plugin->get_limits(plugin->context, &limits);
  if (const auto fault = fault_of(limits); !fault.empty()) {
    give_up(plugin);
    return refuse(errc::plugin_misbehaved, name + ": " + fault);
  }
  transport_info info{name,
                      description.version,
                      description.description,
                      limits.mtu,
                      limits.max_links,
                      as == transport_role::peripheral ? limits.max_endpoints : 0,
                      (limits.traits & CPNS_TRAIT_RELIABLE) != 0,
                      (limits.traits & CPNS_TRAIT_ORDERED) != 0,
                      (limits.traits & CPNS_TRAIT_MAY_SCAN_WHILE_CONNECTED) != 0,
                      limits.duty_permille};
  core.set_plugin(plugin, as, info);
  return std::unique_ptr<transport>{std::make_unique<checked_transport>(core, plugin, std::move(info))};
}

}  // namespace cpns::plugins
