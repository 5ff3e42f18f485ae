#include "cli/role_process.hpp"

#include "cli/audited.hpp"
#include "cli/commands.hpp"
#include "cli/rewrap.hpp"
#include "server/device_rows.hpp"

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

}  // namespace

result<running_server> start_server(const config::server_config& c) {
  CPNS_TRY(auto store, opened_store::open(c.store, c.protector));
  running_server out{std::move(store), nullptr, nullptr};
  CPNS_TRY(out.audit, open_trail(c, out.store.sealed()));
  CPNS_TRY(out.role, server::server_role::start(c, out.store.sealed()));
  return out;
}

result<running_gateway> start_gateway(const config::gateway_config& c) {
  CPNS_TRY(auto store, opened_store::open(c.store, c.protector, config::role_kind::gateway));
  running_gateway out{std::move(store), nullptr, nullptr};
  CPNS_TRY(out.audit, open_trail(c, out.store.sealed()));
  CPNS_TRY(out.role, actors::gateway_role::start(c, out.store.sealed()));
  return out;
}

result<std::unique_ptr<actors::pne_role>> start_pne(const config::pne_config& c) {
  CPNS_TRY(const auto protector, open_protector(c.protector));
  CPNS_CHECK(check_rewrap_finished(c));
  CPNS_TRY(const auto devices, devices_of(c));
  std::vector<storage::key_place> of_trail;
  if (auto key = anchor_key_place(c)) of_trail.push_back(std::move(*key));
  return actors::pne_role::start(c, *protector, devices, std::move(of_trail));
}

result<std::unique_ptr<audit::trail>> open_running_trail(const config::pne_config& c) {
  CPNS_TRY(const auto protector, open_protector(c.protector));
  return open_trail(c, *protector);
}

void reopen_trail(audit::trail& trail) {
  if (const auto done = trail.reopen(); !done)
    log::error("audit", "audit-not-reopened", done.error().message(), {{"file", trail.file().string()}});
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const auto& w : words) out += (out.empty() ? "" : ", ") + w;
  return out;
}

int not_started(const std::string& role, const std::string& file, const error& why) {
  std::vector<std::string> lines;
  if (const auto checked = config::check_file(file)) {
    auto wrong = check_named_files(*checked);
    std::erase_if(wrong.all, [&why](const auto& p) { return p.text.find(why.detail) == std::string::npos; });
    lines = wrong.lines();
  }
  if (lines.empty()) {
    log::error(role, "not-started", why.message());
    return report(why);
  }
  for (const auto& line : lines) log::error(role, "not-started", line);
  return report_diagnostics(lines);
}

}  // namespace cpns::cli
