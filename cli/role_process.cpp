#include "cli/role_process.hpp"

#include <boost/json.hpp>

#include "actors/application_keys/gateway_offer.hpp"
#include "actors/application_keys/previous_keys.hpp"
#include "cli/audited.hpp"
#include "cli/commands.hpp"
#include "cli/rewrap.hpp"
#include "server/device_rows.hpp"
#include "storage/rocksdb_store.hpp"

namespace cpns::cli {
namespace {

/// Derives TK' of each device; the Temporary Keys do not outlive the call.
result<std::vector<actors::manufactured_device>> devices_of(const config::pne_config& c) {
  const auto& suite = crypto::openssl_suite();
  std::vector<actors::manufactured_device> out;
  if (!c.devices_file.empty()) {
    CPNS_TRY(const auto rows, server::load_device_rows(c.devices_file));
    if (!rows.bad.empty()) return fail(errc::config_syntax, rows.bad.front().in(c.devices_file.string()));
    for (const auto& row : rows.good) out.push_back({row.entity, server::kept_key(suite, row), {}});
  }
  for (const auto& d : c.devices) {
    CPNS_TRY(const auto entity, entity_id::parse(d.entity));
    CPNS_TRY(const auto row, server::load_temporary_key(d.temporary_key_file, entity));
    out.push_back({entity, server::kept_key(suite, row), d.key_file.string()});
  }
  return out;
}

/// A PNE waits for its disk for ever: it needs nothing from it until a gateway has a new key for it.
result<std::unique_ptr<storage::store>> open_slots(const std::filesystem::path& folder,
                                                   const config::store_memory& memory) {
  constexpr std::chrono::hours for_ever{24 * 365 * 100};
  return storage::open_rocksdb_store(
      folder, {.timeout = for_ever, .write_buffer = memory.write_buffer, .cache = memory.cache});
}

/// Lines for a password that a gateway finds in its file. `trail` outlives the functions.
actors::password_record record_in(audit::trail& trail) {
  const auto line = [] {
    return audit::change{
        audit::this_process(), audit::channel::file, {}, "gateway-password", {}, nullptr, nullptr};
  };
  using finish_fn = actors::password_record::finish_fn;
  return {.begin = [&trail, line]() -> result<finish_fn> {
            CPNS_TRY(auto ticket, trail.begin(line()));
            return finish_fn{
                [&trail, kept = std::make_shared<audit::ticket>(std::move(ticket))](const status& done) {
                  static_cast<void>(trail.finish(std::move(*kept), audit::outcome_of(done)));
                }};
          },
          .refused = [&trail, line](const std::string& reason) { trail.refused(line(), reason); }};
}

/// {"limits.users_cached": 5, ...} from {"limits": {"users_cached": 5, ...}, ...}
boost::json::object values_of(const std::vector<std::string>& keys, const boost::json::object& settings) {
  boost::json::object out;
  for (const auto& key : keys) {
    const auto* in = &settings;
    auto rest = std::string_view{key};
    for (auto dot = rest.find('.'); in != nullptr && dot != std::string_view::npos; dot = rest.find('.')) {
      const auto* section = in->if_contains(rest.substr(0, dot));
      in = section == nullptr ? nullptr : section->if_object();
      rest.remove_prefix(dot + 1);
    }
    const auto* value = in == nullptr ? nullptr : in->if_contains(rest);
    out[key] = value == nullptr ? boost::json::value{} : *value;
  }
  return out;
}

}  // namespace

result<running_server> start_server(const config::server_config& c) {
  CPNS_TRY(auto store,
           opened_store::open(c.store, c.protector, config::role_kind::server, memory_of(c).store));
  running_server out{std::move(store), nullptr, nullptr};
  CPNS_TRY(out.audit, open_trail(c, out.store.sealed()));
  auto watch = std::make_shared<storage::key_watch>(out.store.sealed().under(), out.store.keys());
  CPNS_TRY(out.role,
           server::server_role::start(c, out.store.sealed(), now_wall, [watch] { return watch->id(); }));
  return out;
}

result<running_gateway> start_gateway(const config::gateway_config& c) {
  CPNS_TRY(auto store,
           opened_store::open(c.store, c.protector, config::role_kind::gateway, memory_of(c).store));
  running_gateway out{std::move(store), nullptr, nullptr};
  CPNS_TRY(out.audit, open_trail(c, out.store.sealed()));
  CPNS_TRY(out.role, actors::gateway_role::start(c, out.store.sealed(), record_in(*out.audit)));
  return out;
}

result<std::unique_ptr<actors::pne_role>> start_pne(const config::pne_config& c) {
  CPNS_TRY(const auto protector, open_protector(c.protector));
  CPNS_CHECK(check_rewrap_finished(c));
  CPNS_TRY(const auto devices, devices_of(c));
  std::vector<storage::key_place> of_trail;
  if (auto key = anchor_key_place(c)) of_trail.push_back(std::move(*key));
  const auto open = [memory = memory_of(c).store](const auto& folder) { return open_slots(folder, memory); };
  return actors::pne_role::start(c, *protector, devices, open, std::move(of_trail));
}

result<served_keys> serve_keys(const config::gateway_config& c, running_gateway& on) {
  served_keys out;
  if (!c.application_keys) return out;
  out.offered = std::make_unique<actors::offer_with_previous>(
      std::make_unique<actors::gateway_offer>(on.store.sealed(), c.amnesia_budget), on.role->previous());
  CPNS_TRY(out.socket, actors::key_socket::start(*c.application_keys, "gateway", *out.offered,
                                                 on.role->offered_changes(), on.role->programs()));
  return out;
}

result<std::unique_ptr<actors::key_socket>> serve_keys(const config::pne_config& c, actors::pne_role& role) {
  if (!c.application_keys) return nullptr;
  return actors::key_socket::start(*c.application_keys, "pne", *role.offered(), role.offered_changes(),
                                   role.programs());
}

result<std::unique_ptr<audit::trail>> open_running_trail(const config::pne_config& c) {
  CPNS_TRY(const auto protector, open_protector(c.protector));
  return open_trail(c, *protector);
}

void reopen_trail(audit::trail& trail) {
  if (const auto done = trail.reopen(); !done)
    log::error("audit", "audit-not-reopened", done.error().message(), {{"file", trail.file().string()}});
}

void tell_memory(const std::string& role, const config::memory_parts& parts) {
  if (parts.empty()) return;
  std::string each;
  for (const auto& [name, bytes] : parts)
    each +=
        (each.empty() ? "" : ", ") + std::string{name} + " " + std::to_string(bytes / config::mib) + " MiB";
  log::info(role, "memory-divided", "limits.memory is divided", {{"parts", each}});
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const auto& w : words) out += (out.empty() ? "" : ", ") + w;
  return out;
}

status recorded_reload(audit::trail& trail, const std::string& file, const changed_settings& c,
                       const std::function<status()>& apply) {
  if (c.keys.empty()) return apply();
  std::error_code ec;
  const auto path = std::filesystem::absolute(file, ec);
  return with_audit(trail,
                    {audit::this_process(),
                     audit::channel::file,
                     {},
                     "configuration-reload",
                     ec ? file : path.string(),
                     values_of(c.keys, c.before),
                     values_of(c.keys, c.after)},
                    apply);
}

std::vector<std::string> lines_of(const std::string& file, const error& why) {
  if (const auto checked = config::check_file(file)) {
    auto wrong = check_named_files(*checked);
    std::erase_if(wrong.all, [&why](const auto& p) { return p.text.find(why.detail) == std::string::npos; });
    if (!wrong.none()) return wrong.lines();
  }
  return {why.message()};
}

int not_started(const std::string& role, const std::string& file, const error& why) {
  const auto lines = lines_of(file, why);
  for (const auto& line : lines) log::error(role, "not-started", line);
  if (lines.front() == why.message()) return report(why);
  return report_diagnostics(lines);
}

}  // namespace cpns::cli
