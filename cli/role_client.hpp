#pragma once
// Commands that ask a running role through its API.

#include <optional>
#include <string>

#include <boost/json/value.hpp>

#include "api/client.hpp"
#include "config/schema.hpp"

namespace cpns::cli {

/// Connects to the role that `c` describes. config_missing if it has no socket; errors of api::client::connect.
result<api::client> connect_role(const config::api_config& c);

/// The JSON of the answer; null if it has no body. A refusal of the role comes as its problem, a failed connection too.
tl::expected<boost::json::value, api::problem> ask_role(api::client& role, api::verb v,
                                                        const std::string& target,
                                                        const std::optional<boost::json::value>& body = {});

/// The same with a body as text, which may hold secrets; empty: none.
tl::expected<boost::json::value, api::problem> ask_role(api::client& role, api::verb v,
                                                        const std::string& target, secret_bytes body);

/// "sleep", "wake", "button" or "reset" for one device of a process of PNEs, or for all if `entity` is empty.
tl::expected<void, api::problem> command_devices(api::client& role, const std::string& what,
                                                 const std::string& entity);

/// Prints "cpns: DETAIL" on standard error. Returns exit_failed.
int report(const api::problem& p);

}  // namespace cpns::cli
