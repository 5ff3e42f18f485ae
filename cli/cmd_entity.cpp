#include <boost/json.hpp>
#include <iostream>

#include "audit/server_states.hpp"
#include "base/text.hpp"
#include "cli/audited.hpp"
#include "cli/commands.hpp"
#include "cli/stores.hpp"

namespace cpns::cli {
namespace {

struct entity_options {
  std::string config = "server.yaml";
  std::string entity, gateway;
};

std::string holder_name(const protocol::entity_record& r) {
  if (!r.holder) return "none";
  return r.holder_uri.empty() ? r.holder->hex() : r.holder_uri;
}

result<protocol::entity_record> open_entity(const storage::sealed_store& store, const std::string& text) {
  const auto entity = entity_id::parse(text);
  if (!entity) return fail(errc::config_usage, entity.error().detail);
  CPNS_TRY(auto found, find_entity(store, *entity));
  if (!found) return fail(errc::state_unknown, "the device " + text + ": no key was ever assigned to it");
  return std::move(*found);
}

std::string time_or(std::int64_t t, const char* otherwise) { return t == 0 ? otherwise : utc_text(t); }

result<int> run_show(entity_options& o) {
  CPNS_TRY(auto opened, open_server_store(o.config));
  CPNS_TRY(const auto r, open_entity(opened.sealed(), o.entity));
  std::cout << "entity            " << r.entity.text() << "\nowner             "
            << (r.owner ? r.owner->text() : "none") << "\nholder            " << holder_name(r) << "\n";
  if (r.holder)
    std::cout << "gw                " << r.holder->hex() << "\nholder since      "
              << time_or(r.holder_since, "unknown") << "\nlast seen         "
              << time_or(r.holder_seen, "never") << "\n";
  std::cout << "last report       " << (r.last_report ? r.last_report->text() : "none")
            << "\nfactory resets    " << r.resets << "\n";
  return exit_done;
}

result<int> run_list(entity_options& o) {
  std::optional<gateway_id> gw;
  if (!o.gateway.empty()) {
    CPNS_TRY(gw, parse_gateway(o.gateway));
  }
  CPNS_TRY(auto opened, open_server_store(o.config));
  CPNS_TRY(const auto held, held_entities(opened.sealed(), gw));
  for (const auto& r : held)
    std::cout << r.entity.text() << "\t" << holder_name(r) << "\t" << time_or(r.holder_since, "-") << "\t"
              << time_or(r.holder_seen, "-") << "\n";
  return exit_done;
}

/// The records of the entities that were released, as they were before.
using released = result<std::vector<protocol::entity_record>>;

released release(storage::sealed_store& store, std::vector<protocol::entity_record> held) {
  CPNS_CHECK(release_entities(store, held));
  return held;
}

released release_one(audited_server& opened, const std::string& entity) {
  auto& store = opened.store.sealed();
  CPNS_TRY(auto before, audit::entity_state(store, entity));
  auto after = before;
  if (auto* state = after.if_object()) (*state)["holder"] = nullptr;
  const auto change = change_by_command(audit::entity_release, entity, std::move(before), std::move(after));
  return with_audit(*opened.trail, change, [&]() -> released {
    CPNS_TRY(auto one, open_entity(store, entity));
    if (!one.holder) return fail(errc::state_unknown, "a gateway that holds the device " + entity);
    return release(store, {std::move(one)});
  });
}

released release_of(audited_server& opened, const std::string& gateway, const gateway_id& gw) {
  auto& store = opened.store.sealed();
  CPNS_TRY(auto held, held_entities(store, gw));
  const auto change = change_by_command(audit::gateway_release, gateway, audit::release_state(held.size()),
                                        audit::release_state(0));
  return with_audit(*opened.trail, change, [&]() -> released {
    if (held.empty()) return fail(errc::state_unknown, "a device that the gateway " + gateway + " holds");
    return release(store, std::move(held));
  });
}

result<int> run_release(entity_options& o) {
  if (o.entity.empty() == o.gateway.empty())
    return fail(errc::config_usage, "name one device, or with --held-by all devices of one gateway");
  gateway_id gw;
  if (!o.gateway.empty()) {
    CPNS_TRY(gw, parse_gateway(o.gateway));
  } else if (const auto entity = entity_id::parse(o.entity); !entity) {
    return fail(errc::config_usage, entity.error().detail);
  }
  CPNS_TRY(auto opened, open_audited_server(o.config));
  CPNS_TRY(const auto done,
           o.gateway.empty() ? release_one(opened, o.entity) : release_of(opened, o.gateway, gw));
  for (const auto& r : done)
    std::cout << "Released " << r.entity.text() << ", which " << holder_name(r) << " held"
              << (r.holder_since != 0 ? " since " + utc_text(r.holder_since) : std::string{}) << ".\n";
  return exit_done;
}

}  // namespace

void add_entity(CLI::App& app, int& code) {
  auto* entity = app.add_subcommand(
      "entity", "Show or release the gateway that holds a device, while the server is stopped");
  entity->require_subcommand(1);
  const auto o = std::make_shared<entity_options>();
  constexpr const char* gateway_text =
      "The gateway: its certificate's SAN URI, or the 32 digits of gw in the log";

  auto* show =
      store_command(*entity, o, code, "show", "Show the owner and the holder of one device", run_show);
  show->add_option("ENTITY", o->entity, "The Entity ID")->required();
  show->footer("Example:\n  cpns entity show urn:dev:mac:0024befffe804ff1 --config trial/server.yaml");

  auto* list = store_command(*entity, o, code, "list",
                             "List the held devices: gateway, held since, last seen", run_list);
  list->add_option("--held-by", o->gateway, gateway_text);
  list->footer("Example:\n  cpns entity list --held-by urn:cpns:gw:gw1 --config trial/server.yaml");

  auto* release = store_command(
      *entity, o, code, "release",
      "Take a device from the gateway that holds it, for the next gateway of its owner", run_release);
  release->add_option("ENTITY", o->entity, "The Entity ID");
  release->add_option("--held-by", o->gateway,
                      std::string{gateway_text} + "; all of its devices are released");
  release->footer(
      R"(For a gateway that does not come back. The next gateway of the owner that shows the device becomes
its holder; the old keys end with the first key that it delivers. If the old gateway comes back later,
the server answers that another gateway holds the device, and the old one leaves it alone; if it comes
back first, it holds the device again.

Exit codes: 0 released, 1 nothing was released, 2 invalid command line.

Examples:
  cpns entity release urn:dev:mac:0024befffe804ff1 --config trial/server.yaml
  cpns entity release --held-by urn:cpns:gw:gw1 --config trial/server.yaml)");
}

}  // namespace cpns::cli
