// What a running role says about itself through its API: whether it can do its work, its store, its radios.

#include <array>
#include <boost/json.hpp>

#include "cli/doctor/doctor.hpp"
#include "cli/role_client.hpp"
#include "config/describe.hpp"

namespace cpns::cli::doctor {
namespace {

struct remedy {
  std::string_view reason;  ///< a part of it
  std::string_view text;
};
/// By the reasons of the three roles. A new reason gets the general remedy until it has a line here.
constexpr std::array remedies{
    remedy{"the store accepts no writes",
           "free space on the disk of the store, or look for disk errors in the "
           "kernel's log; the role goes on by itself when writes succeed"},
    remedy{"the address of 'listen' does not exist", "give the machine that address, or correct listen"},
    remedy{"no gateway can connect", "look at the lines about certificates"},
    remedy{"no connection to a server can begin", "look at the lines about certificates"},
    remedy{"the radio ",
           "look for its adapter, its service or its address, and for another process that uses it "
           "(`ss -ltnp` shows those with a port); the role tries again every 5 s"},
    remedy{"not enrolled", "look at the lines about enrolment and the server"},
    remedy{"rejects the user", "look at the line about enrolment"}};

std::string_view remedy_of(std::string_view reason) {
  for (const auto& r : remedies)
    if (reason.find(r.reason) != std::string_view::npos) return r.text;
  return "look for errors in its log";
}

const config::api_config& api_of(const subject& s) {
  return std::visit([](const auto& c) -> const config::api_config& { return c.api; }, s.file.config);
}

}  // namespace

result<boost::json::object> status_of_role(const subject& s) {
  CPNS_TRY(auto role, connect_role(api_of(s)));
  auto answer = ask_role(role, api::verb::get, "/v1/status");
  if (!answer) return fail(errc::state_unknown, answer.error().detail);
  if (!answer->is_object()) return fail(errc::state_unknown, "the answer of the role has another form");
  return std::move(answer->as_object());
}

lines check_ready(const subject& s) {
  const auto named = "the " + std::string{config::word_of(s.file.role)};
  const auto unknown = [&named](const std::string& why) {
    return lines{{state_t::warning, named + " runs, but does not say whether it can do its work: " + why +
                                        "; look for errors in its log"}};
  };
  auto role = connect_role(api_of(s));
  if (!role) return unknown(role.error().detail);
  const auto health = ask_readiness(*role);
  if (!health) return unknown(health.error().detail);
  lines out;
  for (const auto& reason : health->at("reasons").as_array()) {
    const auto why = boost::json::value_to<std::string>(reason);
    out.push_back({state_t::error, named + " is not ready: " + why + "; " + std::string{remedy_of(why)}});
  }
  if (out.empty()) out.push_back({state_t::ok, named + " says that it is ready"});
  return out;
}

}  // namespace cpns::cli::doctor
