#include <iostream>

#include "base/text.hpp"
#include "cli/commands.hpp"
#include "cli/entities.hpp"
#include "cli/stores.hpp"

namespace cpns::cli {
namespace {

struct entity_options {
  std::string config = "server.yaml";
  std::string entity, gateway;
};

std::string name_of_holder(const protocol::entity_record& r) {
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

status run_show(entity_options& o) {
  CPNS_TRY(auto opened, open_server_store(o.config));
  CPNS_TRY(const auto r, open_entity(opened.sealed(), o.entity));
  std::cout << "entity            " << r.entity.text() << "\nowner             "
            << (r.owner ? r.owner->text() : "none") << "\nholder            " << name_of_holder(r) << "\n";
  if (r.holder)
    std::cout << "gw                " << r.holder->hex() << "\nholder since      "
              << time_or(r.holder_since, "before this was kept") << "\nlast heard of     "
              << time_or(r.holder_seen, "never") << "\n";
  std::cout << "last report       " << (r.last_report ? r.last_report->text() : "none")
            << "\nfactory resets    " << r.resets << "\n";
  return {};
}

status run_list(entity_options& o) {
  std::optional<gateway_id> gw;
  if (!o.gateway.empty()) {
    CPNS_TRY(gw, parse_gateway(o.gateway));
  }
  CPNS_TRY(auto opened, open_server_store(o.config));
  CPNS_TRY(const auto held, held_entities(opened.sealed(), gw));
  for (const auto& r : held)
    std::cout << r.entity.text() << "\t" << name_of_holder(r) << "\t" << time_or(r.holder_since, "-") << "\t"
              << time_or(r.holder_seen, "-") << "\n";
  return {};
}

status run_release(entity_options& o) {
  if (o.entity.empty() == o.gateway.empty())
    return fail(errc::config_usage, "name one device, or with --held-by all devices of one gateway");
  std::optional<gateway_id> gw;
  if (!o.gateway.empty()) {
    CPNS_TRY(gw, parse_gateway(o.gateway));
  }
  CPNS_TRY(auto opened, open_server_store(o.config));
  std::vector<protocol::entity_record> held;
  if (gw) {
    CPNS_TRY(held, held_entities(opened.sealed(), gw));
    if (held.empty()) return fail(errc::state_unknown, "a device that the gateway " + o.gateway + " holds");
  } else {
    CPNS_TRY(auto one, open_entity(opened.sealed(), o.entity));
    if (!one.holder) return fail(errc::state_unknown, "a gateway that holds the device " + o.entity);
    held.push_back(std::move(one));
  }
  std::string done;
  for (const auto& r : held)
    done += "Released " + r.entity.text() + ", which " + name_of_holder(r) + " held" +
            (r.holder_since != 0 ? " since " + utc_text(r.holder_since) : std::string{}) + ".\n";
  CPNS_CHECK(release_entities(opened.sealed(), std::move(held)));
  std::cout << done;
  return {};
}

CLI::App* command(CLI::App& parent, const std::shared_ptr<entity_options>& o, int& code, const char* name,
                  const char* what, status (*run)(entity_options&)) {
  auto* c = parent.add_subcommand(name, what);
  c->add_option("--config", o->config, "The server's configuration, which names the store")
      ->capture_default_str();
  c->callback([o, run, &code] {
    const auto done = run(*o);
    code = done ? exit_done : report(done.error());
  });
  return c;
}

}  // namespace

void add_entity(CLI::App& app, int& code) {
  auto* entity = app.add_subcommand(
      "entity", "Which gateway holds a device, in a server's store, while the server is stopped");
  entity->require_subcommand(1);
  const auto o = std::make_shared<entity_options>();
  constexpr const char* gateway_text =
      "The gateway: its certificate's SAN URI, or the 32 digits that the log calls gw";

  auto* show = command(*entity, o, code, "show", "Show who owns and who holds one device", run_show);
  show->add_option("ENTITY", o->entity, "The Entity ID")->required();
  show->footer("Example:\n  cpns entity show urn:dev:mac:0024befffe804ff1 --config trial/server.yaml");

  auto* list = command(*entity, o, code, "list",
                       "List devices that are held: by which gateway, since when, when it was heard of last",
                       run_list);
  list->add_option("--held-by", o->gateway, gateway_text);
  list->footer("Example:\n  cpns entity list --held-by urn:cpns:gw:gw1 --config trial/server.yaml");

  auto* release = command(*entity, o, code, "release",
                          "Take a device from the gateway that holds it: the next gateway of its owner that "
                          "shows the device gets it",
                          run_release);
  release->add_option("ENTITY", o->entity, "The Entity ID");
  release->add_option("--held-by", o->gateway,
                      std::string{gateway_text} + "; all of its devices are released");
  release->footer(
      "For a gateway that is gone for good. Its keys end with the next key that another gateway delivers. If "
      "it comes\nback later, it is told that the device is held by another one and leaves it alone; if it "
      "comes back first, it\nholds the device again.\n\nExit codes: 0 released, 1 nothing was released, 2 "
      "the "
      "command line is wrong.\n\nExamples:\n"
      "  cpns entity release urn:dev:mac:0024befffe804ff1 --config trial/server.yaml\n"
      "  cpns entity release --held-by urn:cpns:gw:gw1 --config trial/server.yaml");
}

}  // namespace cpns::cli
