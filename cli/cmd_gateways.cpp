#include <boost/json.hpp>
#include <iostream>
#include <set>

#include "api/routes.hpp"
#include "audit/server_states.hpp"
#include "base/text.hpp"
#include "cli/commands.hpp"
#include "cli/gateway_keys.hpp"
#include "cli/server_access.hpp"

namespace cpns::cli {
namespace {

struct gateways_options {
  role_options role{.config = server_file};
  std::string gateway, prefix, state, out;
  list_page page;
  bool blocked = false;
  bool json = false;
};

constexpr const char* block_note = "It can still deliver the keys that it holds, until the end of their "
                                   "sets; devices keep the key that they have.";

std::string name_of_gateway(const boost::json::object& g) {
  return member_text(g, "uri", member_text(g, "gw").c_str());
}

std::size_t connections_of(const boost::json::object& g) {
  const auto* all = g.if_contains("connections");
  return all == nullptr ? 0 : all->as_array().size();
}

/// "blocked", "connected" or "known".
std::string state_of_gateway(const boost::json::object& g) {
  if (g.at("blocked").as_bool()) return "blocked";
  return connections_of(g) > 0 ? "connected" : "known";
}

/// "certificate" or "key"; "-" if only its gw is known. A gateway whose key was removed has none.
std::string kind_of_gateway(const boost::json::object& g) {
  auto kind = member_text(g, "kind");
  if (kind == "x509") return "certificate";
  if (kind == "psk") return member_text(g, "key_since", "").empty() ? "no key" : "key";
  return kind;
}

/// Of its newest connection, or of its last one: `address` is also that of a command that only tried the handshake.
std::string address_of_gateway(const boost::json::object& g) {
  if (connections_of(g) == 0) return member_text(g, "address");
  return member_text(g.at("connections").as_array().back().as_object(), "address");
}

/// To which it is connected, the newest connection last: "node1", "node1, node2".
std::string nodes_of_gateway(const boost::json::object& g) {
  std::string out;
  std::set<std::string> named;
  if (const auto* all = g.if_contains("connections"))
    for (const auto& c : all->as_array()) {
      const auto node = member_text(c.as_object(), "node");
      if (named.insert(node).second) out += (out.empty() ? "" : ", ") + node;
    }
  return out.empty() ? "-" : out;
}

result<server::gateway_filter> filter_of(const gateways_options& o) {
  server::gateway_filter out{o.prefix, server::gateway_state_named(o.state)};
  if (!o.state.empty() && !out.state)
    return fail(errc::config_usage, "--state takes connected, known or blocked, not " + shown(o.state));
  if (!o.blocked) return out;
  if (out.state && out.state != server::gateway_state::blocked)
    return fail(errc::config_usage, "--blocked and --state ask for different gateways; leave one out");
  out.state = server::gateway_state::blocked;
  return out;
}

done_or<int> run_list(gateways_options& o) {
  CPNS_TRY(const auto filter, filter_of(o));
  CPNS_TRY(auto server, server_access::open(o.role, false));
  const auto query = "&prefix=" + api::encode_percent(o.prefix) +
                     (o.state.empty() ? "" : "&state=" + o.state) + (o.blocked ? "&blocked=true" : "");
  CPNS_TRY(auto gateways, server.list(
                              "/v1/gateways", query, "gateways", "gw",
                              [&filter](const auto& store, const auto& asked) {
                                return server::gateways_page(store, asked, filter, {});
                              },
                              &o.page));
  if (o.json) {
    print_rows("gateways", std::move(gateways), o.page);
    return exit_done;
  }
  table out{{"GATEWAY", "STATE", "SERVER", "ADDRESS", "LAST CONNECTED", "HAS"}};
  for (const auto& one : gateways) {
    const auto& g = one.as_object();
    out.add({name_of_gateway(g), state_of_gateway(g), nodes_of_gateway(g), address_of_gateway(g),
             member_time(g, "last_connected", "never"), kind_of_gateway(g)});
  }
  out.print();
  print_next(o.page);
  return exit_done;
}

result<gateway_id> gateway_asked(const gateways_options& o) { return parse_gateway(o.gateway); }

std::string target_of(const gateways_options& o, const char* what) {
  return "/v1/gateways/" + api::encode_percent(o.gateway) + what;
}

done_or<boost::json::object> one_gateway(server_access& server, const gateways_options& o,
                                         const gateway_id& gw) {
  if (server.running()) {
    CPNS_TRY(auto answer, server.ask(api::verb::get, target_of(o, "")));
    return std::move(answer.as_object());
  }
  CPNS_TRY(const auto found, server::find_gateway(server.store(), gw));
  if (!found)
    return fail(errc::state_unknown,
                "the gateway " + o.gateway + ": it never connected and was never blocked");
  return server::view_of(*found, found->blocked_since != 0);
}

done_or<int> run_show(gateways_options& o) {
  CPNS_TRY(const auto gw, gateway_asked(o));
  CPNS_TRY(auto server, server_access::open(o.role, false));
  CPNS_TRY(const auto g, one_gateway(server, o, gw));
  if (o.json) {
    print_answer(g);
    return exit_done;
  }
  std::cout << "gateway           " << name_of_gateway(g) << "\ngw                " << member_text(g, "gw")
            << "\nhas               " << kind_of_gateway(g) << "\nkey since         "
            << member_time(g, "key_since", "-") << "\nstate             " << state_of_gateway(g)
            << "\nblocked since     " << member_time(g, "blocked_since", "-") << "\nfirst connected   "
            << member_time(g, "first_connected", "never") << "\nlast connected    "
            << member_time(g, "last_connected", "never") << "\naddress           "
            << member_text(g, "address") << "\n";
  if (!server.running()) return exit_done;
  std::cout << "requests          " << member_text(g, "requests_per_minute") << " per minute, "
            << member_text(g, "in_flight") << " in work\n";
  for (const auto& one : g.at("connections").as_array()) {
    const auto& c = one.as_object();
    std::cout << "connection        " << member_text(c, "address") << " to " << member_text(c, "node")
              << " since " << member_time(c, "since", "-") << ", "
              << plural(c.at("requests").to_number<std::uint64_t>(), "request") << ", protocol "
              << member_text(c, "protocol") << "\n";
  }
  return exit_done;
}

/// Writes the block, or its end, to the store of the stopped server.
status block_in_store(server_access& server, const gateways_options& o, const gateway_id& gw, bool blocked) {
  auto& store = server.store();
  CPNS_TRY(auto before, audit::gateway_state(store, o.gateway));
  CPNS_TRY(const auto known, server::find_gateway(store, gw));
  if (!blocked && !known)
    return fail(errc::state_unknown,
                "the gateway " + o.gateway + ": it never connected and was never blocked");
  const auto change = change_by_command(blocked ? audit::gateway_block : audit::gateway_unblock, o.gateway,
                                        std::move(before), boost::json::object{{"blocked", blocked}});
  return with_audit(server.trail(), change, [&] {
    const auto uri = o.gateway.find(':') == std::string::npos ? std::string{} : o.gateway;
    return server::block_gateway(store, gw, uri, blocked ? unix_seconds(now_wall()) : 0);
  });
}

done_or<int> set_blocked(gateways_options& o, bool blocked, const std::string& said) {
  CPNS_TRY(const auto gw, gateway_asked(o));
  CPNS_TRY(auto server, server_access::open(o.role, true));
  if (server.running()) {
    CPNS_CHECK(server.ask(api::verb::post, target_of(o, blocked ? "/block" : "/unblock")));
  } else {
    CPNS_CHECK(block_in_store(server, o, gw, blocked));
  }
  print_done(o.json, said);
  return exit_done;
}

done_or<int> run_block(gateways_options& o) {
  return set_blocked(o, true, "Blocked the gateway " + o.gateway + ": it gets no keys. " + block_note);
}
done_or<int> run_unblock(gateways_options& o) {
  return set_blocked(o, false, "The server serves the gateway " + o.gateway + " again.");
}

done_or<int> run_key(gateways_options& o) { return give_gateway_key(o.role, o.gateway, o.out, o.json); }
done_or<int> run_remove_key(gateways_options& o) { return take_gateway_key(o.role, o.gateway, o.json); }

done_or<int> run_disconnect(gateways_options& o) {
  CPNS_CHECK(gateway_asked(o));
  CPNS_TRY(auto server, server_access::open(o.role, false));
  if (!server.running()) return fail(errc::state_conflict, "the server is stopped, and has no connections");
  CPNS_TRY(const auto answer, server.ask(api::verb::post, target_of(o, "/disconnect")));
  if (o.json) {
    print_answer(answer);
    return exit_done;
  }
  std::cout << "Closed " << plural(answer.at("closed").to_number<std::uint64_t>(), "connection") << " of "
            << o.gateway << ". It may connect again.\n";
  for (const auto& node : answer.at("unconfirmed").as_array())
    std::cout
        << "The server " << node.as_string().c_str()
        << " did not confirm that it closed its connections; it does so when it can read the database.\n";
  return exit_done;
}

void add_key_commands(CLI::App& gateways, const std::shared_ptr<gateways_options>& o, int& code) {
  constexpr const char* identity = "The gateway: urn:cpns:psk: and 1 to 64 letters, digits, '.', '_' and '-'";
  auto* key = server_command(gateways, o, code, "key",
                             "Draw a pre-shared key for a gateway without a certificate", run_key);
  key->add_option("IDENTITY", o->gateway, identity)->required();
  key->add_option("--out", o->out, "The file for the key, which must not exist; it gets mode 0600")
      ->required();
  key->footer(
      "The gateway needs no certificate then, and no CA. Give each gateway a key of its own: a person who "
      "has the key\nof a gateway can act as it, and as the server towards it. The server keeps the key "
      "sealed in its "
      "store.\n\nExamples:\n  cpns gateways key urn:cpns:psk:hall --out hall.psk --config "
      "trial/server.yaml\n" +
      url_example("gateways key urn:cpns:psk:hall --out hall.psk"));
  auto* remove = server_command(gateways, o, code, "remove-key", "Take the pre-shared key of a gateway away",
                                run_remove_key);
  remove->add_option("IDENTITY", o->gateway, identity)->required();
  remove->footer(std::string{"Its connections end within a second, and it cannot connect again.\n"} +
                 block_note +
                 "\n\nExamples:\n  cpns gateways remove-key urn:cpns:psk:hall --config trial/server.yaml\n" +
                 url_example("gateways remove-key urn:cpns:psk:hall"));
}

}  // namespace

void add_gateways(CLI::App& app, int& code) {
  auto* gateways = app.add_subcommand("gateways", "Show, block or disconnect the gateways of a server");
  gateways->require_subcommand(1);
  gateways->footer("Examples:\n  cpns gateways list --config trial/server.yaml\n  cpns gateways block "
                   "urn:cpns:gw:hall --config trial/server.yaml");
  const auto o = std::make_shared<gateways_options>();
  const auto add = [&](const char* name, const char* help, done_or<int> (*run)(gateways_options&),
                       const std::string& note) {
    auto* c = server_command(*gateways, o, code, name, help, run);
    c->add_option(
         "GATEWAY", o->gateway,
         "The gateway: its certificate's SAN URI, the identity of its key, or the 32 digits of gw in the log")
        ->required();
    const auto example = std::string{"gateways "} + name + " urn:cpns:gw:gw1";
    c->footer(note + "Examples:\n  cpns " + example + " --config trial/server.yaml\n" + url_example(example));
  };
  auto* list = server_command(
      *gateways, o, code, "list",
      "List the gateways that connected or are blocked, of all servers of the database: state, server, "
      "address, last connected",
      run_list);
  list->add_flag("--blocked", o->blocked, "Only blocked gateways");
  list->add_option("--prefix", o->prefix, "Only gateways whose SAN URI begins with this text");
  list->add_option("--state", o->state,
                   "Only gateways in this state: connected, known or blocked; a stopped server has no "
                   "connections");
  add_page_options(*list, o->page);
  list->footer("Examples:\n  cpns gateways list --config trial/server.yaml\n"
               "  cpns gateways list --state known --limit 1000 --config trial/server.yaml\n" +
               url_example("gateways list"));
  add("show", "Show one gateway, and its connections if the server runs", run_show, {});
  add("block", "Refuse all requests of a gateway", run_block,
      std::string{
          "It takes effect at once, also on open connections, and stays over restarts of the server.\n"} +
          block_note + "\nTo end that, too, release its devices (cpns entity release --held-by).\n\n");
  add("unblock", "Serve a gateway again", run_unblock, {});
  add("disconnect", "Close the connections of a gateway, which may connect again", run_disconnect,
      "At all servers that share the database. It takes effect within a second.\n\n");
  add_key_commands(*gateways, o, code);
}

}  // namespace cpns::cli
