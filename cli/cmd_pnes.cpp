// `cpns pnes`: the PNEs, radios, permit window and server link of a running gateway; the PNEs of a stopped one, too.

#include <boost/json.hpp>
#include <cstdio>
#include <iostream>

#include "api/routes.hpp"
#include "base/text.hpp"
#include "cli/commands.hpp"
#include "cli/radio_text.hpp"
#include "cli/role_client.hpp"
#include "cli/stopped_gateway.hpp"
#include "config/loader.hpp"

namespace cpns::cli {
namespace {

namespace json = boost::json;
using api::verb;
using answer = tl::expected<json::value, api::problem>;

constexpr std::size_t stopped_page_rows = 1000;

struct pnes_options {
  role_options gateway{.role = config::role_kind::gateway};
  std::string entity, prefix, state, radio;
  std::vector<std::string> parameters;
  unsigned minutes = 0;
  bool json = false, close = false;
};

// ---- as text

void print_row(const json::object& o) {
  const auto twice = o.contains("same_id") ? "  ID used twice: " + text_of(o, "same_id") : std::string{};
  std::printf("%-40s %-18s %-10s %-7s %s%s\n", text_of(o, "entity").c_str(), text_of(o, "state").c_str(),
              text_of(o, "epoch").c_str(), text_of(o, "unused_keys").c_str(), text_of(o, "address").c_str(),
              twice.c_str());
  if (o.contains("reason")) std::printf("  %s\n", text_of(o, "reason").c_str());
}

std::string event_text(const json::object& e) {
  return text_of(e, "time") + " " + text_of(e, "event") + ": " + text_of(e, "text") +
         (e.contains("epoch") ? " (epoch " + text_of(e, "epoch") + ")" : "") +
         (e.contains("unverified") && e.at("unverified").as_bool() ? " [unverified peer]" : "");
}

/// Objects in it are events, or written with the members of `prefix.`.
void print_members(const json::object& o, const std::string& prefix = {}) {
  for (const auto& [key, value] : o) {
    const auto name = prefix + std::string{key};
    if (value.is_array()) {
      std::cout << name << ":\n";
      for (const auto& e : value.get_array()) std::cout << "  " << event_text(e.as_object()) << "\n";
    } else if (value.is_object() && value.get_object().contains("event")) {
      std::cout << name << ": " << event_text(value.get_object()) << "\n";
    } else if (value.is_object()) {
      print_members(value.get_object(), name + ".");
    } else {
      std::cout << name << ": " << text_of(o, key) << "\n";
    }
  }
}

void print_permit(const json::object& p) {
  if (p.at("open").as_bool())
    std::cout << "open: new PNEs are accepted for " << text_of(p, "seconds_left") << " s\n";
  else
    std::cout << "closed\n";
}

// ---- the commands

std::string target_of_list(const pnes_options& o) {
  return "/v1/pnes?prefix=" + api::encode_percent(o.prefix) +
         (o.state.empty() ? "" : "&state=" + api::encode_percent(o.state));
}

int list(const page_reader& pages, const pnes_options& o) {
  return print_all(pages, "pnes", o.json,
                   "ENTITY                                   STATE              EPOCH      UNUSED  ADDRESS",
                   print_row);
}

answer ask_for_permit(api::client& gateway, const pnes_options& o) {
  if (o.close) return ask_role(gateway, verb::del, "/v1/permit");
  if (o.minutes > 0) return ask_role(gateway, verb::put, "/v1/permit", json::object{{"minutes", o.minutes}});
  return ask_role(gateway, verb::get, "/v1/permit");
}

/// The parameters as an object; an error unless each is NAME=VALUE.
result<json::object> parameters_of(const pnes_options& o) {
  json::object out;
  for (const auto& text : o.parameters) {
    const auto at = text.find('=');
    if (at == 0 || at == std::string::npos)
      return fail(errc::config_usage, "--set takes NAME=VALUE, not " + shown(text));
    out[text.substr(0, at)] = text.substr(at + 1);
  }
  return out;
}

answer reopen(api::client& gateway, const pnes_options& o) {
  CPNS_TRY(auto parameters, parameters_of(o));
  return ask_role(gateway, verb::post, "/v1/radios/" + api::encode_percent(o.radio) + "/reopen",
                  json::object{{"parameters", std::move(parameters)}});
}

answer ask(api::client& gateway, const std::string& what, const pnes_options& o) {
  if (what == "radios") return ask_role(gateway, verb::get, "/v1/radios");
  if (what == "server") return ask_role(gateway, verb::get, "/v1/server");
  if (what == "reopen") return reopen(gateway, o);
  if (what == "permit") return ask_for_permit(gateway, o);
  const auto one = "/v1/pnes/" + api::encode_percent(o.entity);
  if (what == "show") return ask_role(gateway, verb::get, one);
  if (what == "forget") return ask_role(gateway, verb::del, one);
  return ask_role(gateway, verb::post, one + "/" + what);
}

void print(const std::string& what, const json::value& got) {
  if (what == "radios")
    print_radios(got);
  else if (what == "permit")
    print_permit(got.as_object());
  else if (what == "show" || what == "server")
    print_members(got.as_object());
  else
    std::cout << "done\n";
}

int print_answer_to(const pnes_options& o, const std::string& what, const json::value& got) {
  if (o.json)
    std::cout << json::serialize(got.is_null() ? json::object{{"done", true}} : got) << "\n";
  else
    print(what, got);
  return exit_done;
}

/// Of the store, while the gateway is stopped.
result<int> run_stopped(const pnes_options& o, const std::string& what) {
  const auto c = config::load_gateway(o.gateway.config);
  if (!c) return fail(c.error().as_error());
  CPNS_TRY(const auto gateway, stopped_gateway::open(*c));
  if (what == "show") {
    CPNS_TRY(const auto one, gateway.show(o.entity));
    return print_answer_to(o, what, one);
  }
  return list(
      [&](const std::string& after) -> answer {
        CPNS_TRY(auto page, gateway.page({stopped_page_rows, after, o.prefix, o.state}));
        return page;
      },
      o);
}

int run(const pnes_options& o, const std::string& what) {
  auto gateway = connect_role(o.gateway);
  if (!gateway) {
    const bool stopped = !o.gateway.names_running() && gateway.error() == errc::peer_closed;
    if (!stopped || (what != "list" && what != "show")) return report(gateway.error());
    const auto done = run_stopped(o, what);
    return done ? *done : report(done.error());
  }
  if (what == "list") return list(pages_of(*gateway, target_of_list(o)), o);
  const auto got = ask(*gateway, what, o);
  return got ? print_answer_to(o, what, *got) : report(got.error());
}

}  // namespace

void add_pnes(CLI::App& app, int& code) {
  auto* pnes = app.add_subcommand(
      "pnes", "Work with the PNEs, radios and server link of a running gateway; list those of a stopped one");
  pnes->require_subcommand(1);
  pnes->footer("Examples:\n  cpns pnes list --config trial/gateway.yaml\n  cpns pnes approve "
               "urn:dev:mac:0024befffe804ff1 --config trial/gateway.yaml");
  const auto o = std::make_shared<pnes_options>();
  const auto add = [&](const char* name, const char* text, const std::string& example = {}) {
    auto* c = pnes->add_subcommand(name, text);
    add_role_options(*c, o->gateway);
    c->add_flag("--json", o->json, "Print the answer as JSON");
    c->footer(std::string{"Examples:\n  cpns pnes "} + name + example + " --config trial/gateway.yaml\n" +
              url_example(std::string{"pnes "} + name + example, config::role_kind::gateway));
    c->callback([o, name = std::string{name}, &code] { code = run(*o, name); });
    return c;
  };
  const auto add_for_one = [&](const char* name, const char* text) {
    add(name, text, " urn:dev:mac:0024befffe804ff1")
        ->add_option("ENTITY", o->entity, "The Entity ID")
        ->required();
  };
  auto* listed = add("list", "List the PNEs that the gateway knows, in the order of their Entity IDs");
  listed->add_option("--prefix", o->prefix, "Only Entity IDs that begin with this text");
  listed->add_option("--state", o->state, "Only PNEs in this state, such as keyed or awaiting_approval");
  add_for_one("show", "Show one PNE in full, with its last events");
  add_for_one("approve", "Accept a PNE that waits for approval");
  add_for_one("reject", "Refuse a PNE");
  add_for_one("update", "Deliver the next EUKey now");
  add_for_one("forget", "Erase the record and the keys of a PNE: it is new when it is seen next");
  auto* permit =
      add("permit",
          "Accept new PNEs without a question for some minutes; without MINUTES: show the time left", " 5");
  auto* minutes = permit->add_option("MINUTES", o->minutes, "1 to 60")->check(CLI::Range(1, 60));
  permit->add_flag("--close", o->close, "Ask again from now on")->excludes(minutes);
  add("radios", "Show the radios of the gateway: counters, and links with signal strength and security");
  auto* opened =
      add("reopen", "Close a radio and open it again, while the others work", " radio --set announce_ms=200");
  opened->add_option("RADIO", o->radio, "Its name in the gateway's YAML file")->required();
  opened->add_option(
      "--set", o->parameters,
      "NAME=VALUE: a parameter in place of that in the YAML file, until the radio is opened again");
  add("server", "Show the connection to the server: its state, certificate and last error");
}

}  // namespace cpns::cli
