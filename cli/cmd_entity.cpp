#include <boost/json.hpp>
#include <iostream>

#include "api/routes.hpp"
#include "audit/server_states.hpp"
#include "base/text.hpp"
#include "cli/commands.hpp"
#include "cli/secret_json.hpp"
#include "cli/server_access.hpp"

namespace cpns::cli {
namespace {

struct entity_options {
  role_options role{.config = server_file};
  std::string entity, gateway, owner;
  list_page page;
  bool json = false;
};

/// The holder in the view of an entity or of a release, or the word "none".
std::string holder_name(const boost::json::object& view) {
  const auto* holder = view.at("holder").if_object();
  return holder == nullptr ? "none" : member_text(*holder, "uri", member_text(*holder, "gw").c_str());
}

result<entity_id> checked_entity(const std::string& text) {
  auto entity = entity_id::parse(text);
  if (!entity) return fail(errc::config_usage, entity.error().detail);
  return entity;
}

tl::unexpected<error> never_assigned(const std::string& entity) {
  return fail(errc::state_unknown, "the device " + entity + ": no key was ever assigned to it");
}

done_or<boost::json::object> one_entity(server_access& server, const entity_id& entity) {
  if (server.running()) {
    CPNS_TRY(auto answer, server.ask(api::verb::get, "/v1/entities/" + api::encode_percent(entity.text())));
    return std::move(answer.as_object());
  }
  CPNS_TRY(const auto found, find_entity(server.store(), entity));
  if (!found) return never_assigned(entity.text());
  return server::view_of(*found, true);
}

void print_keys(const boost::json::object& r) {
  std::cout << "generation        " << member_text(r, "generation") << "\n";
  for (const auto& one : r.at("sets").as_array()) {
    const auto& s = one.as_object();
    std::cout << "set               " << member_text(s, "set") << " of generation "
              << member_text(s, "generation") << " for gw " << member_text(s, "issued_to") << ", keeps "
              << plural(s.at("keys").to_number<std::uint64_t>(), "key") << " from index "
              << member_text(s, "first_index") << ", next index " << member_text(s, "next_index") << ", ends "
              << member_time(s, "not_after", "never") << "\n";
  }
  for (const auto& one : r.at("answered").as_array()) {
    const auto& a = one.as_object();
    std::cout << "granted request   " << plural(a.at("keys").to_number<std::uint64_t>(), "key")
              << " of generation " << member_text(a, "generation") << " from index "
              << member_text(a, "first_index") << " to gw " << member_text(a, "gw") << "\n";
  }
  std::cout << "transcripts       " << member_text(r, "transcripts") << " used in the last three minutes\n";
}

done_or<int> run_show(entity_options& o) {
  CPNS_TRY(const auto entity, checked_entity(o.entity));
  CPNS_TRY(auto server, server_access::open(o.role, false));
  CPNS_TRY(const auto r, one_entity(server, entity));
  if (o.json) {
    print_answer(r);
    return exit_done;
  }
  std::cout << "entity            " << member_text(r, "entity") << "\nowner             "
            << member_text(r, "owner", "none") << "\nholder            " << holder_name(r) << "\n";
  if (const auto* holder = r.at("holder").if_object())
    std::cout << "gw                " << member_text(*holder, "gw") << "\nholder since      "
              << member_time(*holder, "since", "unknown") << "\nlast seen         "
              << member_time(*holder, "seen", "never") << "\n";
  std::cout << "last report       " << member_text(r, "last_report", "none") << "\nfactory resets    "
            << member_text(r, "resets") << "\n";
  print_keys(r);
  return exit_done;
}

done_or<int> run_list(entity_options& o) {
  server::entity_filter filter;
  filter.held = o.owner.empty();
  if (!o.owner.empty()) {
    auto owner = user_id::parse(o.owner);
    if (!owner) return fail(command_failed{error{errc::config_usage, owner.error().detail}});
    filter.owner = *std::move(owner);
  }
  if (!o.gateway.empty()) {
    CPNS_TRY(filter.holder, parse_gateway(o.gateway));
  }
  CPNS_TRY(auto server, server_access::open(o.role, false));
  const auto query = std::string{filter.held ? "&held=true" : ""} +
                     (o.gateway.empty() ? "" : "&holder=" + api::encode_percent(o.gateway)) +
                     (o.owner.empty() ? "" : "&owner=" + api::encode_percent(o.owner));
  CPNS_TRY(auto held, server.list(
                          "/v1/entities", query, "entities", "entity",
                          [&filter](const auto& store, const auto& asked) {
                            return server::entities_page(store, asked, filter);
                          },
                          &o.page));
  if (o.json) {
    print_rows("entities", std::move(held), o.page);
    return exit_done;
  }
  table out{{"ENTITY", "HOLDER", "HELD SINCE", "LAST SEEN"}};
  for (const auto& one : held) {
    const auto& r = one.as_object();
    const auto* holder = r.at("holder").if_object();
    out.add({member_text(r, "entity"), holder_name(r),
             holder == nullptr ? "-" : member_time(*holder, "since", "-"),
             holder == nullptr ? "-" : member_time(*holder, "seen", "-")});
  }
  out.print();
  print_next(o.page);
  return exit_done;
}

/// The views of the entities that were released, as they were before.
using released = result<boost::json::array>;

released release_in_store(storage::sealed_store& store, const std::vector<protocol::entity_record>& held) {
  CPNS_CHECK(release_entities(store, held));
  boost::json::array out;
  for (const auto& r : held) out.push_back(server::view_of(r, false));
  return out;
}

released release_one(server_access& server, const std::string& entity) {
  auto& store = server.store();
  CPNS_TRY(auto before, audit::entity_state(store, entity));
  auto after = before;
  if (auto* state = after.if_object()) (*state)["holder"] = nullptr;
  const auto change = change_by_command(audit::entity_release, entity, std::move(before), std::move(after));
  return with_audit(server.trail(), change, [&]() -> released {
    CPNS_TRY(const auto id, checked_entity(entity));
    CPNS_TRY(auto one, find_entity(store, id));
    if (!one) return never_assigned(entity);
    if (!one->holder) return fail(errc::state_unknown, "a gateway that holds the device " + entity);
    return release_in_store(store, {std::move(*one)});
  });
}

tl::unexpected<error> holds_nothing(const std::string& gateway) {
  return fail(errc::state_unknown, "a device that the gateway " + gateway + " holds");
}

released release_of(server_access& server, const std::string& gateway, const gateway_id& gw) {
  auto& store = server.store();
  CPNS_TRY(auto held, held_entities(store, gw));
  const auto change = change_by_command(audit::gateway_release, gateway, audit::release_state(held.size()),
                                        audit::release_state(0));
  return with_audit(server.trail(), change, [&]() -> released {
    if (held.empty()) return holds_nothing(gateway);
    return release_in_store(store, held);
  });
}

/// Asks the running server, which releases the devices of a gateway in parts.
done_or<boost::json::array> ask_for_release(server_access& server, const entity_options& o) {
  boost::json::array out;
  if (!o.entity.empty()) {
    const auto target = "/v1/entities/" + api::encode_percent(o.entity) + "/release";
    CPNS_TRY(auto one, server.ask(api::verb::post, target));
    out.push_back(std::move(one));
    return out;
  }
  const auto target = "/v1/gateways/" + api::encode_percent(o.gateway) + "/release";
  std::string after;
  do {
    secret_json body;
    if (!after.empty()) body.add("after", after);
    CPNS_TRY(auto part, server.ask(api::verb::post, target, body.take()));
    for (auto& one : part.at("released").as_array()) out.push_back(std::move(one));
    after = member_text(part.as_object(), "next", "");
  } while (!after.empty());
  if (out.empty()) return holds_nothing(o.gateway);
  return out;
}

done_or<boost::json::array> do_release(server_access& server, const entity_options& o, const gateway_id& gw) {
  if (server.running()) return ask_for_release(server, o);
  CPNS_TRY(auto done, o.gateway.empty() ? release_one(server, o.entity) : release_of(server, o.gateway, gw));
  return done;
}

done_or<int> run_release(entity_options& o) {
  if (o.entity.empty() == o.gateway.empty())
    return fail(errc::config_usage, "name one device, or with --held-by all devices of one gateway");
  gateway_id gw;
  if (!o.gateway.empty()) {
    CPNS_TRY(gw, parse_gateway(o.gateway));
  } else {
    CPNS_CHECK(checked_entity(o.entity));
  }
  CPNS_TRY(auto server, server_access::open(o.role, true));
  CPNS_TRY(auto done, do_release(server, o, gw));
  if (o.json) {
    print_answer(boost::json::object{{"released", std::move(done)}});
    return exit_done;
  }
  for (const auto& one : done) {
    const auto& r = one.as_object();
    const auto since = member_time(r.at("holder").as_object(), "since", "");
    std::cout << "Released " << member_text(r, "entity") << ", which " << holder_name(r) << " held"
              << (since.empty() ? "" : " since " + since) << ".\n";
  }
  return exit_done;
}

}  // namespace

void add_entity(CLI::App& app, int& code) {
  auto* entity = app.add_subcommand(
      "entity", "Show or release the gateway that holds a device, on a running or stopped server");
  entity->require_subcommand(1);
  entity->footer("Examples:\n  cpns entity show urn:dev:mac:0024befffe804ff1 --config trial/server.yaml\n  "
                 "cpns entity list --held-by urn:cpns:gw:gw1 --config trial/server.yaml");
  const auto o = std::make_shared<entity_options>();
  constexpr const char* gateway_text =
      "The gateway: its certificate's SAN URI, or the 32 digits of gw in the log";

  auto* show =
      server_command(*entity, o, code, "show",
                     "Show one device: owner, holder, key sets without keys, granted requests", run_show);
  show->add_option("ENTITY", o->entity, "The Entity ID")->required();
  show->footer("Examples:\n  cpns entity show urn:dev:mac:0024befffe804ff1 --config trial/server.yaml\n" +
               url_example("entity show urn:dev:mac:0024befffe804ff1"));

  auto* list = server_command(*entity, o, code, "list",
                              "List the held devices: gateway, held since, last seen", run_list);
  list->add_option("--held-by", o->gateway, gateway_text);
  list->add_option("--owner", o->owner, "Devices of this user, held or not");
  add_page_options(*list, o->page);
  list->footer("Examples:\n  cpns entity list --held-by urn:cpns:gw:gw1 --config trial/server.yaml\n"
               "  cpns entity list --owner alice@example.org --limit 1000 --config trial/server.yaml\n" +
               url_example("entity list --held-by urn:cpns:gw:gw1"));

  auto* release = server_command(
      *entity, o, code, "release",
      "Take a device from the gateway that holds it, for the next gateway of its owner", run_release);
  release->add_option("ENTITY", o->entity, "The Entity ID");
  release->add_option("--held-by", o->gateway,
                      std::string{gateway_text} + "; all of its devices are released");
  release->footer(
      std::string{
          R"(For a gateway that does not come back. The next gateway of the owner that shows the device becomes
its holder; the old keys end with the first key that it delivers. If the old gateway comes back later,
the server answers that another gateway holds the device, and the old one leaves it alone; if it comes
back first, it holds the device again.

Exit codes: 0 released, 1 nothing was released, 2 invalid command line.

Examples:
  cpns entity release urn:dev:mac:0024befffe804ff1 --config trial/server.yaml
  cpns entity release --held-by urn:cpns:gw:gw1 --config trial/server.yaml
)"} + url_example("entity release urn:dev:mac:0024befffe804ff1"));
}

}  // namespace cpns::cli
