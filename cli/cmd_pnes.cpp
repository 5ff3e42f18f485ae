#include <boost/json.hpp>
#include <cstdio>
#include <iostream>

#include "api/routes.hpp"
#include "cli/commands.hpp"
#include "cli/role_client.hpp"

namespace cpns::cli {
namespace {

struct pnes_options {
  role_options gateway{.role = config::role_kind::gateway};
  std::string entity;
  bool json = false;
};

std::string text_of(const boost::json::object& o, const char* key) {
  const auto* v = o.if_contains(key);
  if (v == nullptr) return "-";
  return v->is_string() ? std::string{v->get_string().data(), v->get_string().size()}
                        : boost::json::serialize(*v);
}

void print_row(const boost::json::object& o) {
  const auto twice = o.contains("same_id") ? "  ID used twice: " + text_of(o, "same_id") : std::string{};
  std::printf("%-40s %-18s %-10s %-7s %s%s\n", text_of(o, "entity").c_str(), text_of(o, "state").c_str(),
              text_of(o, "epoch").c_str(), text_of(o, "unused_keys").c_str(), text_of(o, "address").c_str(),
              twice.c_str());
  if (o.contains("reason")) std::printf("  %s\n", text_of(o, "reason").c_str());
}

void print_radio(const boost::json::object& r) {
  std::printf("%s  %s %s\n", paint(colour::bold, text_of(r, "name")).c_str(), text_of(r, "plugin").c_str(),
              text_of(r, "version").c_str());
  for (const auto& [key, value] : r.at("counters").as_object())
    std::printf("  %-32s %s\n", std::string{key}.c_str(), boost::json::serialize(value).c_str());
  const auto& links = r.at("links").as_array();
  if (links.empty()) return;
  std::printf(
      "  %s\n",
      paint(colour::bold,
            "ADDRESS                          ENTITY                                   dBm   SECURITY")
          .c_str());
  for (const auto& one : links) {
    const auto& l = one.as_object();
    std::printf("  %-32s %-40s %-5s %s\n", text_of(l, "address").c_str(), text_of(l, "entity").c_str(),
                text_of(l, "rssi_dbm").c_str(), text_of(l, "security").c_str());
  }
}

tl::expected<boost::json::value, api::problem> ask(api::client& gateway, const std::string& what,
                                                   const std::string& entity) {
  if (what == "list") return ask_role(gateway, api::verb::get, "/v1/pnes");
  if (what == "radios") return ask_role(gateway, api::verb::get, "/v1/radios");
  const auto one = "/v1/pnes/" + api::encode_percent(entity);
  if (what == "show") return ask_role(gateway, api::verb::get, one);
  return ask_role(gateway, api::verb::post, one + "/" + what);
}

int run(const pnes_options& o, const std::string& what) {
  auto gateway = connect_role(o.gateway);
  if (!gateway) return report(gateway.error());
  const auto answer = ask(*gateway, what, o.entity);
  if (!answer) return report(answer.error());
  if (o.json) {
    std::cout << boost::json::serialize(answer->is_null() ? boost::json::object{{"done", true}} : *answer)
              << "\n";
  } else if (what == "list") {
    std::printf(
        "%s\n",
        paint(colour::bold,
              "ENTITY                                   STATE              EPOCH      UNUSED  ADDRESS")
            .c_str());
    for (const auto& one : answer->as_object().at("pnes").as_array()) print_row(one.as_object());
  } else if (what == "radios") {
    for (const auto& one : answer->as_object().at("radios").as_array()) print_radio(one.as_object());
  } else if (what == "show") {
    const auto& one = answer->as_object();
    for (const auto& [key, value] : one)
      std::cout << std::string{key} << ": " << text_of(one, std::string{key}.c_str()) << "\n";
  } else {
    std::cout << "done\n";
  }
  return exit_done;
}

}  // namespace

void add_pnes(CLI::App& app, int& code) {
  auto* pnes = app.add_subcommand("pnes", "Show, approve, reject or update the PNEs of a running gateway");
  pnes->require_subcommand(1);
  const auto o = std::make_shared<pnes_options>();
  const auto add = [&](const char* name, const char* text, bool entity) {
    auto* c = pnes->add_subcommand(name, text);
    add_role_options(*c, o->gateway);
    c->add_flag("--json", o->json, "Print the answer as JSON");
    if (entity) c->add_option("ENTITY", o->entity, "The Entity ID")->required();
    c->footer(std::string{"Examples:\n  cpns pnes "} + name +
              (entity ? " urn:dev:mac:0024befffe804ff1" : "") + " --config trial/gateway.yaml\n  cpns pnes " +
              name + (entity ? " urn:dev:mac:0024befffe804ff1" : "") +
              " --url https://gw.example.org:7480 --cert anna.pem --key anna.key --ca ca.pem");
    c->callback([o, name = std::string{name}, &code] { code = run(*o, name); });
  };
  add("list", "List all PNEs that the gateway knows", false);
  add("show", "Show one PNE in full", true);
  add("approve", "Accept a PNE that waits for approval", true);
  add("reject", "Refuse a PNE", true);
  add("update", "Deliver the next EUKey now", true);
  add("radios", "Show the radios of the gateway: counters, and links with signal strength and security",
      false);
}

}  // namespace cpns::cli
