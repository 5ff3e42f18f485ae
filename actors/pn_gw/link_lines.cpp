#include "actors/pn_gw/link_lines.hpp"

#include "actors/pn_gw/actors.hpp"
#include "base/log.hpp"

namespace cpns::actors::link_lines {

void connected(const std::string& server) {
  log::info(gateway_component, "server-connected",
            "the server is authenticated, and the key exchange is done (step 0); the server may still refuse "
            "the gateway",
            {{"server", server}, {"step", "0"}});
}

void disconnected(bool planned, const std::string& why, bool proven) {
  if (planned)
    return log::info(gateway_component, "server-disconnected",
                     "the server closed the connection: idle, or the server is stopping");
  log::warn(gateway_component, "server-unreachable",
            proven ? why
                   : why + "; the server has not accepted the password of the user yet, so no key can be "
                           "assigned: keep the password file");
}

void asked_to_leave(const std::string& server, milliseconds within, bool another) {
  log::info(gateway_component, "server-draining",
            another ? "the server asks its gateways to leave; going to another one"
                    : "the server asks its gateways to leave; no other one is known, so the gateway backs "
                      "off and connects to it again",
            {{"server", server}, {"within_ms", std::to_string(within.count())}});
}

void moving(const std::string& server) {
  log::info(gateway_component, "server-left",
            "all requests to the server are answered; the connection is closed", {{"server", server}});
}

void overloaded(const std::string& server, const std::string& why) {
  log::warn(gateway_component, "server-overloaded", why + "; the requests are sent again with the same ids",
            {{"server", server}});
}

void enrolled() {
  log::info(gateway_component, "enrolled",
            "the server accepts the password, and its ClientKey is stored; the password file is not needed "
            "any more");
}

void not_enrolled(const std::string& why, const char* what) {
  log::error(gateway_component, "not-enrolled", why, {{"what", what}});
}

void credentials_not_written(const std::string& why) {
  log::error(gateway_component, "credentials-not-written", why,
             {{"what", "keep the password file; retrying every 30 s"}});
}

void user_refused(const user_id& user, const std::filesystem::path& password_file) {
  log::error(gateway_component, "user-refused",
             "the server rejects this user and password: check `user`; if the password has changed, or the "
             "user was added to the server again, write the password to user_password_file; the file is "
             "checked once per second",
             {{"user", user.text()}, {"user_password_file", password_file.string()}});
}

}  // namespace cpns::actors::link_lines
