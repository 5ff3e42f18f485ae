#include "cli/gateway_keys.hpp"

#include <boost/json.hpp>
#include <iostream>
#include <system_error>

#include "api/routes.hpp"
#include "audit/server_states.hpp"
#include "cli/issuing.hpp"
#include "cli/secret_json.hpp"
#include "crypto/psk_key.hpp"
#include "server/gateway_keys.hpp"
#include "server/store_admin.hpp"

namespace cpns::cli {
namespace {

std::string target_of(const std::string& identity) {
  return "/v1/gateways/" + api::encode_percent(identity) + "/key";
}

/// Whether the server has a key of this gateway.
done_or<bool> has_key(server_access& server, const std::string& identity) {
  if (!server.running()) {
    CPNS_TRY(const auto state, audit::gateway_key_state(server.store(), identity));
    return state == audit::gateway_key_state(true);
  }
  CPNS_TRY(const auto found,
           server.list("/v1/gateways", "&prefix=" + api::encode_percent(identity), "gateways", "gw", {}));
  for (const auto& one : found)
    if (member_text(one.as_object(), "uri") == identity)
      return member_text(one.as_object(), "key_since", "") != "";
  return false;
}

/// Records the change in the trail of the stopped server, and makes it.
status in_store(server_access& server, const std::string& identity, bool add,
                const std::function<status()>& act) {
  CPNS_TRY(auto before, audit::gateway_key_state(server.store(), identity));
  const auto change = change_by_command(add ? audit::gateway_key_add : audit::gateway_key_remove, identity,
                                        std::move(before), audit::gateway_key_state(add));
  return with_audit(server.trail(), change, act);
}

done_or<void> add_key(server_access& server, const std::string& identity, const crypto::psk_key& key) {
  if (server.running()) {
    secret_json body;
    body.add("key", key.text());
    CPNS_CHECK(server.ask(api::verb::put, target_of(identity), body.take()));
    return {};
  }
  CPNS_CHECK(in_store(server, identity, true, [&] {
    return server::add_gateway_key(server.store(), identity, key, unix_seconds(now_wall()));
  }));
  return {};
}

}  // namespace

done_or<int> give_gateway_key(const role_options& role, const std::string& identity,
                              const std::filesystem::path& file, bool json) {
  CPNS_CHECK(server::parse_psk_identity(identity));
  CPNS_TRY(auto server, server_access::open(role, true));
  CPNS_TRY(const bool exists, has_key(server, identity));
  if (exists)
    return fail(errc::state_exists, "the key of " + identity +
                                        "; cpns gateways remove-key takes it away, and ends the connection "
                                        "of the gateway");
  const auto key = crypto::psk_key::draw(crypto::system_entropy());
  auto line = to_bytes(key.text().expose());
  line.push_back('\n');
  const secret_bytes content{std::move(line)};
  CPNS_CHECK(write_together({{file, content.expose(), 0600}}, false));
  if (auto added = add_key(server, identity, key); !added) {
    const auto there = has_key(server, identity);
    std::error_code ignored;
    // Another administrator was faster: the key that is there is another one.
    if (added.error().exists || (there && !*there))
      std::filesystem::remove(file, ignored);
    else
      added.error().text += "; " + file.string() +
                            " is written: if cpns gateways show has a key of the gateway, it is this one";
    return fail(std::move(added).error());
  }
  if (json) {
    print_answer(boost::json::object{{"identity", identity}, {"key_file", file.string()}});
    return exit_done;
  }
  std::cout
      << "identity          " << identity << "\nkey file          " << file.string()
      << "\n\nMove the file to the gateway, and put into its configuration instead of tls and server_uri:\n"
         "psk:\n  identity: "
      << identity << "\n  key_file: " << file.filename().string() << "\n";
  return exit_done;
}

done_or<int> take_gateway_key(const role_options& role, const std::string& identity, bool json) {
  CPNS_CHECK(server::parse_psk_identity(identity));
  CPNS_TRY(auto server, server_access::open(role, true));
  if (server.running()) {
    CPNS_CHECK(server.ask(api::verb::del, target_of(identity)));
  } else {
    CPNS_CHECK(in_store(server, identity, false,
                        [&] { return server::remove_gateway_key(server.store(), identity); }));
  }
  print_done(json, "Removed the key of " + identity +
                       ": its connections end, and it cannot connect. It can still deliver the keys that it "
                       "holds, until the end of their sets; devices keep the key that they have.");
  return exit_done;
}

}  // namespace cpns::cli
