#include "actors/pn_gw/gateway_role.hpp"

#include <algorithm>
#include <atomic>
#include <boost/json.hpp>
#include <charconv>
#include <iterator>
#include <mutex>
#include <optional>

#include "actors/application_keys/gateway_offer.hpp"
#include "actors/command_error.hpp"
#include "actors/pn_gw/authentication.hpp"
#include "actors/pn_gw/device.hpp"
#include "actors/pn_gw/gateway_rules.hpp"
#include "actors/pn_gw/server_side.hpp"
#include "actors/pn_gw/supervisor.hpp"
#include "actors/pn_gw/views.hpp"
#include "actors/radio_metrics.hpp"
#include "actors/radio_view.hpp"
#include "actors/reopenable_radio.hpp"
#include "actors/system.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "config/loader.hpp"
#include "config/memory_budget.hpp"
#include "crypto/suite.hpp"
#include "metrics/certificates.hpp"
#include "storage/store_metrics.hpp"

namespace cpns::actors {
namespace {

namespace json = boost::json;

constexpr std::chrono::seconds answer_time{8};

bool is_closed(const open_radio_entry& r) {
  return r.transport->state().kind == plugins::transport_state::kind_t::closed;
}

/// The tcp radios in the process of the gateway share its open files.
bool shares_files(const open_radio_entry& r, const config::transport_config& as) {
  return as.isolation == config::isolation_kind::none && r.transport->info().name == "tcp";
}

bool sets_links(const config::transport_config& t) {
  const auto set = t.params.find("max_links");
  if (set == t.params.end()) return false;
  std::uint64_t links = 0;
  std::from_chars(set->second.data(), set->second.data() + set->second.size(), links);
  return links != 0;
}

/// The links that all radios hold together. `as`: how each was opened. Of those that share their files, one without
/// max_links declares all that the process can hold, and the others have theirs within that.
std::uint64_t links_together(const std::vector<open_radio_entry>& radios,
                             const std::vector<config::transport_config>& as) {
  std::uint64_t alone = 0, shared = 0, fit = 0;
  for (std::size_t i = 0; i < radios.size(); ++i) {
    const std::uint64_t links = radios[i].transport->info().max_links;
    const bool shares = shares_files(radios[i], as[i]);
    (shares ? shared : alone) += links;
    if (shares && !sets_links(as[i])) fit = std::max(fit, links);
  }
  return alone + (fit == 0 ? shared : std::min(shared, fit));
}

/// An error if limits.links is set higher than all radios together allow. A radio that waits for its resource, or is
/// closed, allows any number: what it will hold is not known before it opens.
status check_links(const config::gateway_config& c, const std::vector<open_radio_entry>& radios,
                   const std::vector<config::transport_config>& as) {
  if (!c.links_origin || std::any_of(radios.begin(), radios.end(), is_closed)) return {};
  const auto room = links_together(radios, as);
  if (c.limits.links <= room) return {};
  std::string each;
  std::uint64_t sum = 0;
  for (const auto& r : radios) {
    const std::uint64_t links = r.transport->info().max_links;
    sum += links;
    each += (each.empty() ? "" : ", ") + r.name + " " + std::to_string(links);
  }
  if (sum > room) each += "; the tcp radios in this process share its open files";
  config::diagnostics wrong{c.links_origin->file, {}};
  wrong.add(c.links_origin->at, errc::config_range,
            "'limits.links' is " + std::to_string(c.limits.links) + ", but the radios allow " +
                std::to_string(room) + " links (" + each +
                "); lower it, or give the radios more: by their parameters, and by the open files of each "
                "process (ulimit -n, LimitNOFILE)");
  return fail(wrong.as_error());
}

}  // namespace

struct gateway_role::impl {
  explicit impl(const config::gateway_config& c, storage::sealed_store& rows)
      : store(rows), config(c), commits(rows, {}, storage::make_commit_metrics(counted)),
        keys(rows, [this](storage::sealed_batch batch, storage::commit_done done) {
          if (config.application_keys) done = announcing(offered_changes, batch, std::move(done));
          commits.submit(std::move(batch), std::move(done));
        }) {}

  // Destroyed in reverse, after drain() has stopped actors and threads in the right order.
  storage::sealed_store& store;
  config::gateway_config config;
  gateway_id gw;
  std::atomic<bool> failed{false};
  metrics::registry counted;
  const std::shared_ptr<pne_tally> tally = std::make_shared<pne_tally>(config.rekey.low_water);
  key_changes offered_changes;
  consumers programs{std::string{gateway_component}, offered_changes,
                     config.application_keys ? config.application_keys->consumer_wait : milliseconds{0}};
  const std::unique_ptr<previous_keys> previous =
      config.application_keys ? std::make_unique<previous_keys>(*config.application_keys,
                                                                crypto::openssl_suite(), offered_changes)
                              : nullptr;
  storage::group_committer commits;
  key_store keys;
  std::vector<std::shared_ptr<radio_inbox>> inboxes;
  std::vector<std::unique_ptr<reopenable_radio>> transports;
  std::vector<open_radio_entry> radios;  ///< all of `transports`, in their order
  std::mutex opened_guard;
  std::vector<config::transport_config> opened;  ///< per transport: as it was opened last; guarded
  std::unique_ptr<actor_runtime> runtime;
  std::shared_ptr<std::atomic<supervisor_actor*>> wake_target =
      std::make_shared<std::atomic<supervisor_actor*>>(nullptr);
  supervisor_actor supervisor;
  server_link_actor link;
  std::unique_ptr<uplink_to_actor> from_uplink;
  std::shared_ptr<uplink_gate> gate = std::make_shared<uplink_gate>();
  std::shared_ptr<authentication> step0;
  std::unique_ptr<uplink> up;
  bool down = false;
  std::uint64_t links_max = config.limits.links;  ///< as it was applied last

  status open_radios();
  [[nodiscard]] reopenable_radio::open_fn opener_of(const config::transport_config& t,
                                                    if_missing missing = if_missing::wait) const {
    return [t, missing, dirs = config.plugin_dirs](plugins::transport_listener& to) {
      return open_radio(t, dirs, plugins::transport_role::central, to, std::string{gateway_component},
                        missing);
    };
  }
  /// Index in `opened`; nullopt: no radio has this name.
  [[nodiscard]] std::optional<std::size_t> radio_named(const std::string& name) {
    std::lock_guard lock{opened_guard};
    for (std::size_t i = 0; i < opened.size(); ++i)
      if (opened[i].name == name) return i;
    return std::nullopt;
  }
  status reopen(const std::string& name, const std::map<std::string, std::string, std::less<>>& parameters);
  /// A question to one of the actors.
  template <class Answer, class Actor, class Question>
  result<Answer> ask(const Actor& of, Question q, const char* late) {
    caf::scoped_actor self{runtime->system()};
    result<Answer> out = fail(errc::peer_timeout, late);
    self->request(of, answer_time, std::move(q))
        .receive([&out](Answer& a) { out = std::move(a); }, [](const caf::error&) {});
    return out;
  }
  /// Values that others count, at a scrape.
  void collect() {
    storage::collect_store(counted, store, commits, config.store.path);
    counted.collect([this](metrics::sheet& to) {
      tally->add_to(to, now_wall());
      for (const auto& r : radios) add_radio(to, r);
      metrics::add_certificate_ends(to, "tls", step0->certificate_ends());
    });
  }
  /// A question to the supervisor whose answer is a gw_view.
  template <class Question>
  result<json::value> ask(Question q) {
    CPNS_TRY(auto view,
             ask<gw_view>(supervisor, std::move(q), "the devices of the gateway did not answer in time"));
    return std::move(view.json);
  }
  /// A command whose answer is "" or the reason why it is not done.
  template <class Command>
  status tell(Command c) {
    CPNS_TRY(const auto why, ask<std::string>(supervisor, std::move(c),
                                              "not known to be done: the gateway did not answer in time"));
    if (!why.empty()) return fail(command_error(why));
    return {};
  }
  result<json::object> permit(sup_permit q) {
    CPNS_TRY(const auto now, ask<gw_permit>(supervisor, q, "the gateway did not answer in time"));
    if (!now.refused.empty()) return fail(errc::state_conflict, now.refused);
    return json::object{{"open", now.open}, {"seconds_left", now.left.count()}};
  }
};

status gateway_role::impl::open_radios() {
  std::string last;
  for (const auto& t : config.transports) {
    const auto number = transports.size();
    auto inbox = std::make_shared<radio_inbox>(
        number,
        [target = wake_target] {
          if (const auto* to = target->load(std::memory_order_acquire))
            caf::anon_send(*to, sup_radio_ready{});
        },
        bounds_of(memory_of(config)));
    auto opening = reopenable_radio::start(opener_of(t), *inbox);
    if (!opening) {
      last = opening.error().message();
      log::error(gateway_component, "radio-refused", last, {{"transport", t.name}});
    }
    auto radio = opening ? std::move(*opening) : reopenable_radio::start_closed(t.plugin, last, *inbox);
    radios.push_back({t.name, inbox, radio.get()});
    inboxes.push_back(std::move(inbox));
    transports.push_back(std::move(radio));
    opened.push_back(t);
  }
  if (std::all_of(radios.begin(), radios.end(), is_closed))
    return fail(errc::plugin_failed, "no transport can be used: " + last);
  return check_links(config, radios, config.transports);
}

status gateway_role::impl::reopen(const std::string& name,
                                  const std::map<std::string, std::string, std::less<>>& parameters) {
  config::transport_config former;
  const auto at = radio_named(name);
  if (!at) return fail(errc::state_unknown, "the gateway has no open radio " + shown(name));
  {
    std::lock_guard lock{opened_guard};
    former = opened[*at];
  }
  const auto in_file = std::find_if(config.transports.begin(), config.transports.end(),
                                    [&name](const auto& t) { return t.name == name; });
  auto fresh = *in_file;
  fresh.origin = {};  // an error is not at a place in the file
  for (const auto& [key, value] : parameters) fresh.params[key] = value;
  if (const auto wrong = check_radio(fresh, config.plugin_dirs, plugins::transport_role::central);
      !wrong.none())
    return fail(wrong.all.front().code, wrong.all.front().text);
  log::info(gateway_component, "radio-reopened", "the radio is closed, and opened again",
            {{"transport", name}});
  if (auto done = transports[*at]->reopen(opener_of(fresh, if_missing::refuse), opener_of(former)); !done) {
    if (is_closed({name, nullptr, transports[*at].get()}))
      log::error(gateway_component, "radio-closed", done.error().message(), {{"transport", name}});
    return done;
  }
  std::lock_guard lock{opened_guard};
  opened[*at] = std::move(fresh);
  return {};
}

gateway_role::gateway_role(std::unique_ptr<impl> i) : impl_(std::move(i)) {}
gateway_role::~gateway_role() { drain(); }

result<std::unique_ptr<gateway_role>>
gateway_role::start(const config::gateway_config& c, storage::sealed_store& store, password_record record) {
  CPNS_TRY(auto step0, authentication::open(c));

  auto made = std::unique_ptr<gateway_role>{new gateway_role{std::make_unique<impl>(c, store)}};
  auto& m = *made->impl_;
  m.step0 = step0;
  m.gw = step0->gateway();
  CPNS_TRY(auto rules, rules_of(c, m.gw, m.config));
  m.runtime = std::make_unique<actor_runtime>();
  CPNS_CHECK(m.open_radios());

  auto link = server_link_of(c, m.gw, m.keys, m.gate);
  CPNS_TRY(link.user, user_id::parse(c.user));
  std::vector<std::pair<shared_text, pne_facts>> known;
  CPNS_TRY(auto unfinished, unfinished_devices(m.keys, [&](const protocol::device_summary& s) {
             link.incarnation = std::max(link.incarnation, s.incarnation);
             known.emplace_back(shared_text{s.entity.text()}, facts_of(s, rules->device.rekey_override));
           }));
  m.tally->put_all(std::move(known));
  link.counted = server_link_metrics{m.counted};
  link.record = std::move(record);
  auto up = uplink_of(c, link, *step0);
  const auto nonces = link.nonces;
  m.link = spawn_server_link(m.runtime->system(), std::move(link));
  m.from_uplink = std::make_unique<uplink_to_actor>(m.link);

  supervisor_parts parts;
  parts.counted = std::make_shared<supervisor_metrics>(m.counted);
  parts.tally = m.tally;
  for (const auto& r : m.radios) parts.radio_links.push_back(make_radio_links(m.counted, r.name));
  m.collect();
  parts.mailboxes = memory_of(c).mailboxes;
  parts.rules = std::move(rules);
  parts.radios = m.radios;
  parts.store = &m.keys;
  if (c.application_keys) parts.programs = &m.programs;
  parts.previous = m.previous.get();
  parts.unfinished = std::move(unfinished);
  parts.history = std::make_shared<pne_history>();
  parts.nonces = nonces;
  parts.uplink = m.link;
  parts.clock = now_anchored;
  parts.dates = [keys = &m.keys] { return protocol::gw_dates{now_wall(), keys->newest_date()}; };
  parts.failed = [&m](const std::string& why) {
    log::error(gateway_component, "role-failed", why);
    m.failed = true;
  };
  m.supervisor = spawn_supervisor(m.runtime->system(), std::move(parts));

  m.up = m.gate->open([&] {
    return std::make_unique<uplink>(
        std::move(up), [step0] { return step0->context(); }, *m.from_uplink);
  });

  m.wake_target->store(&m.supervisor, std::memory_order_release);
  caf::anon_send(m.supervisor, sup_radio_ready{});  // for events before the target was set
  for (const auto& r : m.radios)
    if (const auto scanning = r.transport->scan(true); !scanning && !is_closed(r))
      log::error(gateway_component, "not-scanning", scanning.error().message(), {{"transport", r.name}});
  return made;
}

result<json::object> gateway_role::list(const pnes_wanted& wanted) {
  return page_of_pnes(impl_->keys, *impl_->tally, wanted, [this](sup_page q) -> result<json::array> {
    CPNS_TRY(auto live, impl_->ask(std::move(q)));
    return std::move(live.as_array());
  });
}
result<json::value> gateway_role::radios() { return impl_->ask(sup_radios{}); }
result<json::value> gateway_role::counts() { return impl_->ask(sup_stats{}); }

result<json::value> gateway_role::server() {
  CPNS_TRY(auto view,
           impl_->ask<gw_view>(impl_->link, link_describe{}, "the server link did not answer in time"));
  return std::move(view.json);
}

result<json::object> gateway_role::permit() { return impl_->permit({}); }
result<json::object> gateway_role::open_permit(std::chrono::minutes length) {
  return impl_->permit({sup_permit::what_t::open, length});
}
result<json::object> gateway_role::close_permit() { return impl_->permit({sup_permit::what_t::close}); }

result<json::value> gateway_role::show(const entity_id& entity, bool in_full) {
  CPNS_TRY(auto one, impl_->ask(sup_show{entity.text(), in_full}));
  if (one.is_null()) return fail(errc::state_unknown, "the gateway has no device " + entity.text());
  return one;
}

status gateway_role::reopen(const std::string& radio,
                            const std::map<std::string, std::string, std::less<>>& parameters) {
  return impl_->reopen(radio, parameters);
}

json::value gateway_role::parameters_of(const std::string& radio) {
  const auto at = impl_->radio_named(radio);
  if (!at) return nullptr;
  std::lock_guard lock{impl_->opened_guard};
  json::object out;
  for (const auto& [key, value] : impl_->opened[*at].params) out[key] = value;
  return out;
}
key_changes& gateway_role::offered_changes() const { return impl_->offered_changes; }
consumers& gateway_role::programs() const { return impl_->programs; }
const previous_keys& gateway_role::previous() const { return *impl_->previous; }
metrics::registry& gateway_role::counted() const { return impl_->counted; }

json::object gateway_role::overview() {
  json::object out{{"name", impl_->config.name}, {"user", impl_->config.user}, {"gateway", impl_->gw.hex()}};
  if (auto all = counts()) out["counts"] = std::move(*all);
  if (auto window = permit()) out["permit"] = std::move(*window);
  if (auto link = server()) out["server"] = std::move(*link);
  out["radios"] = describe_radio_states(impl_->radios);
  if (impl_->config.application_keys) out["consumers"] = impl_->programs.describe();
  out["store"] = json::object{{"writable", impl_->store.health().writable}};
  return out;
}

/// Empty: the server accepted the password of the user, and has not refused it since.
std::string gateway_role::not_enrolled() {
  const auto link = server();
  if (!link) return link.error().detail;
  const auto text = [](const json::value& v) {
    return std::string{v.as_string().data(), v.as_string().size()};
  };
  const auto& now = link->as_object();
  const auto user = text(now.at("user"));
  if (user == "enrolled") return {};
  if (user == "refused") return "the server rejects the user and the password of the gateway";
  std::string why = "the gateway is not enrolled: the server has not accepted its password yet";
  if (const auto* last = now.if_contains("last_error"))
    why += "; the last error: " + text(last->as_object().at("text"));
  return why;
}

std::vector<std::string> gateway_role::not_ready() {
  std::vector<std::string> out;
  if (failed()) out.emplace_back("a part of the role failed, and the role ends");
  if (const auto health = impl_->store.health(); !health.writable)
    out.push_back("the store accepts no writes: " + health.why);
  std::vector<std::string> without_links;
  for (const auto& r : impl_->radios)
    if (const auto now = r.transport->state(); now.kind != plugins::transport_state::kind_t::open)
      without_links.push_back("the radio " + r.name + " is not open: " + now.why);
  if (without_links.size() == impl_->radios.size())
    std::move(without_links.begin(), without_links.end(), std::back_inserter(out));
  if (const auto usable = impl_->step0->context(); !usable)
    out.push_back("no connection to a server can begin: " + usable.error().detail);
  if (auto why = not_enrolled(); !why.empty()) out.push_back(std::move(why));
  return out;
}

status gateway_role::command(const std::string& what, const entity_id& entity) {
  CPNS_CHECK(show(entity));
  return impl_->tell(sup_command{entity.text(), what});
}

status gateway_role::forget(const entity_id& entity) {
  CPNS_CHECK(show(entity));
  return impl_->tell(sup_forget{entity.text()});
}

status gateway_role::check(const config::gateway_config& c) const {
  // Radios may have closed since, or hold fewer links: no reason to refuse a change of something else.
  if (c.limits.links == impl_->links_max) return {};
  std::lock_guard lock{impl_->opened_guard};
  return check_links(c, impl_->radios, impl_->opened);
}

void gateway_role::reload(const config::gateway_config& c) {
  impl_->step0->read_again();
  caf::anon_send(impl_->link, link_reload{c.user_password_file});
  auto rules = rules_of(c, impl_->gw, impl_->config);
  if (!rules) return log::error(gateway_component, "reload-refused", rules.error().message());
  caf::anon_send(impl_->supervisor, sup_settings{std::move(*rules)});
  impl_->links_max = c.limits.links;
}

result<password_outcome> gateway_role::change_password(secret_bytes password) {
  // Two answers of the server, the derivation, and the disk.
  constexpr seconds longest{45};
  caf::scoped_actor self{impl_->runtime->system()};
  result<password_outcome> out =
      fail(errc::peer_timeout, "not known to be done: the gateway did not answer in time");
  self->request(impl_->link, longest,
                link_new_password{std::make_shared<const secret_bytes>(std::move(password))})
      .receive(
          [&out](const link_password_answer& a) {
            if (a.outcome)
              out = password_outcome{a.unchanged};
            else
              out = fail(a.outcome.error());
          },
          [](const caf::error&) {});
  return out;
}

void gateway_role::drain() {
  auto& m = *impl_;
  if (m.down) return;
  m.down = true;
  for (auto& t : m.transports) (void)t->scan(false);
  m.wake_target->store(nullptr, std::memory_order_release);
  for (auto& t : m.transports) t->close();
  m.gate->shut();
  if (m.supervisor) {
    caf::scoped_actor self{m.runtime->system()};
    self->request(m.supervisor, std::chrono::seconds(5), sup_stop{})
        .receive([](bool) {}, [](const caf::error&) {});
  }
  if (m.link) caf::anon_send(m.link, link_shut_down{});  // a supervisor that died has not done so
  m.up.reset();
  m.from_uplink.reset();
  m.supervisor = nullptr;
  m.link = nullptr;
  m.runtime.reset();
  m.transports.clear();
}

bool gateway_role::failed() const { return impl_->failed; }

}  // namespace cpns::actors
